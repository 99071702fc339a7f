//! UTKFace, whose labels are in the file names.

use std::path::Path;

use super::{Dataset, DatasetError, Person, Picture, Race, Sample};
use crate::source::{Entry, Folder, LeftOut, SourceError};
use face_attributes::attributes::Gender;

/// The faces of UTKFace (Zhang, Song, Qi 2017) in a folder and in the folders directly below it, without those of people
/// younger than `min_age_years`.
///
/// Files are named `<age>_<gender>_<race>_<date>` with any ending. A file whose name lacks a label is refused; the published
/// set has some.
///
/// # Errors
/// [`DatasetError`] names a folder that cannot be read or that contains no such face.
pub fn utkface(folder: &Path, min_age_years: u32) -> Result<Dataset<Gender>, DatasetError> {
    let mut rest = Folder::read(folder)?;
    let mut images = rest.take(&[Entry::Image]);
    for below in rest.take(&[Entry::Folder]) {
        let mut below = Folder::read(&below)?;
        images.extend(below.take(&[Entry::Image]));
        rest.append(below);
    }
    let mut left_out = rest.left_out(folder);
    if images.is_empty() {
        return Err(SourceError::NoFiles { path: folder.to_owned(), wanted: "image", left_out }.into());
    }
    let (mut samples, mut refused, mut younger) = (Vec::new(), Vec::new(), 0);
    for path in images {
        match person_from_name(&path) {
            Some(person) if person.age_years < min_age_years => younger += 1,
            Some(person) => {
                samples.push(Sample { picture: Picture::File(path), truth: person.gender, person: Some(person) });
            }
            None => refused.push(DatasetError::NotUtkFace { path }),
        }
    }
    if samples.is_empty() {
        let what = format!("face of {min_age_years} years or more");
        let nothing_left = DatasetError::NothingLeft { path: folder.to_owned(), what };
        return Err(if younger > 0 { nothing_left } else { refused.pop().unwrap_or(nothing_left) });
    }
    let description = format!(
        "UTKFace (Zhang, Song, Qi 2017; non-commercial research only), people of {min_age_years} years or more; age, \
         gender and race as an algorithm estimated them and an annotator checked"
    );
    let what = format!("people younger than {min_age_years} years");
    left_out.push(LeftOut { what, count: younger, names: Vec::new() });
    Ok(Dataset { description, samples, refused, left_out })
}

fn person_from_name(path: &Path) -> Option<Person> {
    let mut parts = path.file_name()?.to_str()?.split('_');
    let age_years = parts.next()?.parse().ok()?;
    // The reverse order of `Gender::CLASSES`.
    let gender = match parts.next()? {
        "0" => Gender::Man,
        "1" => Gender::Woman,
        _ => return None,
    };
    let race = *Race::ALL.get(parts.next()?.parse::<usize>().ok()?)?;
    parts.next().map(|_date| Person { age_years, gender, race })
}

#[cfg(test)]
mod tests {
    use super::super::test_folder::folder_with;
    use super::*;

    fn people(dataset: &Dataset<Gender>) -> Vec<(u32, Gender, Race)> {
        let person = |sample: &Sample<Gender>| sample.person.map(|p| (p.age_years, sample.truth, p.race)).unwrap();
        dataset.samples.iter().map(person).collect()
    }

    #[test]
    fn names_are_read_here_and_one_folder_below() {
        let folder = folder_with(&["26_1_3_20170116.jpg.chip.jpg", "images/7_0_4_20170109.jpg"]);
        let dataset = utkface(folder.path(), 0).unwrap();
        assert_eq!(people(&dataset), [(26, Gender::Woman, Race::Indian), (7, Gender::Man, Race::Other)]);
    }

    #[test]
    fn the_younger_are_left_out_and_counted() {
        let folder = folder_with(&["18_1_0_20170116.jpg", "17_0_0_20170116.jpg", "7_0_0_20170116.jpg"]);
        let dataset = utkface(folder.path(), 18).unwrap();
        assert_eq!(people(&dataset), [(18, Gender::Woman, Race::White)]);
        let left_out = LeftOut { what: "people younger than 18 years".to_owned(), count: 2, names: Vec::new() };
        assert_eq!(dataset.left_out, [left_out]);
        let message = utkface(folder.path(), 19).unwrap_err().to_string();
        assert!(message.contains("no face of 19 years or more"), "{message}");
    }

    #[test]
    fn a_name_that_lacks_a_part_is_refused() {
        // The first is in the published set, which has three that lack the race.
        for name in ["61_1_20170109142408075", "61_3_0_20170109", "61_1_5_20170109", "x_1_0_20170109", "61_1_0"] {
            let folder = folder_with(&[&format!("{name}.jpg.chip.jpg"), "26_1_3_20170116.jpg"]);
            let refused: Vec<_> = utkface(folder.path(), 0).unwrap().refused.iter().map(ToString::to_string).collect();
            assert!(refused.len() == 1 && refused[0].contains(name), "{refused:?}");
        }
    }

    #[test]
    fn a_folder_of_other_images_is_refused() {
        let message = utkface(folder_with(&["man/a.png"]).path(), 0).unwrap_err().to_string();
        assert!(message.contains("a.png: not named like UTKFace's files"), "{message}");
        let message = utkface(folder_with(&["a.txt"]).path(), 0).unwrap_err().to_string();
        assert!(message.contains("holds no image file"), "{message}");
    }
}
