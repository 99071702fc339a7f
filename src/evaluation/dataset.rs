//! Image files of faces that say what they show: class folders and UTKFace.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::attributes::{Attribute, Gender};
use crate::source::{SourceError, images_in};

/// An image file of one face, and the class that it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledImage<A> {
    /// The file.
    pub path: PathBuf,
    /// What it shows.
    pub truth: A,
}

/// Why a folder or a file is not the data that was expected.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum DatasetError {
    #[error("{}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{}: not one of the expected folders, which are {}", path.display(), expected.join(", "))]
    UnknownClass { path: PathBuf, expected: Vec<&'static str> },
    #[error("{}: no folder '{class}'; expected are {}", path.display(), expected.join(", "))]
    MissingClass { path: PathBuf, class: &'static str, expected: Vec<&'static str> },
    #[error(transparent)]
    Images(#[from] SourceError),
    #[error("{}: not named like UTKFace's files, <age>_<gender>_<race>_<date>.jpg.chip.jpg", path.display())]
    NotUtkFace { path: PathBuf },
}

/// The images in `DIR/<class>/`, with one folder for each class of `A`; a folder may be empty, but not all of them.
///
/// Files and hidden folders beside them are let be.
///
/// # Errors
/// [`DatasetError`] names the folder that is missing, that is not a class, or that cannot be read.
pub fn class_folders<A: Attribute>(folder: &Path) -> Result<Vec<LabelledImage<A>>, DatasetError> {
    let expected: Vec<_> = A::CLASSES.iter().map(|class| class.name()).collect();
    let is_class = |path: &PathBuf| expected.iter().any(|class| path.ends_with(class));
    let found = folders_in(folder)?;
    if let Some(path) = found.iter().find(|path| !is_class(path)) {
        return Err(DatasetError::UnknownClass { path: path.clone(), expected });
    }
    let mut images = Vec::new();
    for class in A::CLASSES {
        let Some(class_folder) = found.iter().find(|path| path.ends_with(class.name())) else {
            return Err(DatasetError::MissingClass { path: folder.to_owned(), class: class.name(), expected });
        };
        let of_class = images_if_any(class_folder)?;
        images.extend(of_class.into_iter().map(|path| LabelledImage { path, truth: *class }));
    }
    if images.is_empty() { Err(no_images(folder)) } else { Ok(images) }
}

/// A face of UTKFace (Zhang, Song, Qi 2017), with what its file's name says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UtkFace {
    /// The file.
    pub path: PathBuf,
    /// Age in years.
    pub age_years: u32,
    /// The names have 0 for male and 1 for female: the other way round than [`Gender::CLASSES`].
    pub gender: Gender,
    /// As annotated.
    pub race: Race,
}

/// The races that UTKFace's annotators could choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants say what they are")]
pub enum Race {
    White,
    Black,
    Asian,
    Indian,
    Other,
}

impl UtkFace {
    /// Reads a file's name, `<age>_<gender>_<race>_<date>` and any ending.
    ///
    /// # Errors
    /// [`DatasetError::NotUtkFace`], as for the few files of the published set that lack a part.
    pub fn from_path(path: PathBuf) -> Result<Self, DatasetError> {
        match parse_utkface_name(&path) {
            Some((age_years, gender, race)) => Ok(Self { path, age_years, gender, race }),
            None => Err(DatasetError::NotUtkFace { path }),
        }
    }
}

fn parse_utkface_name(path: &Path) -> Option<(u32, Gender, Race)> {
    let mut parts = path.file_name()?.to_str()?.split('_');
    let age_years = parts.next()?.parse().ok()?;
    let gender = match parts.next()? {
        "0" => Gender::Man,
        "1" => Gender::Woman,
        _ => return None,
    };
    let race = match parts.next()? {
        "0" => Race::White,
        "1" => Race::Black,
        "2" => Race::Asian,
        "3" => Race::Indian,
        "4" => Race::Other,
        _ => return None,
    };
    parts.next().map(|_date| (age_years, gender, race))
}

/// The faces of UTKFace in a folder and in the folders directly below it, an entry for each image file.
///
/// A file whose name says less than it should is an error of its own, the others are there nevertheless.
///
/// # Errors
/// [`DatasetError`] names a folder that cannot be read or that holds no file of UTKFace.
pub fn utkface(folder: &Path) -> Result<Vec<Result<UtkFace, DatasetError>>, DatasetError> {
    let mut images = images_if_any(folder)?;
    for below in folders_in(folder)? {
        images.extend(images_if_any(&below)?);
    }
    if images.is_empty() {
        return Err(no_images(folder));
    }
    let mut faces: Vec<_> = images.into_iter().map(UtkFace::from_path).collect();
    if faces.iter().any(Result::is_ok) { Ok(faces) } else { faces.swap_remove(0).map(|face| vec![Ok(face)]) }
}

/// The folders in a folder that are not hidden, in the order of their names.
fn folders_in(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let unreadable = |error| DatasetError::Unreadable { path: folder.to_owned(), error };
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !is_hidden && entry.path().is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

fn images_if_any(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    match images_in(folder) {
        Err(SourceError::NoImages { .. }) => Ok(Vec::new()),
        images => images,
    }
}

fn no_images(folder: &Path) -> DatasetError {
    SourceError::NoImages { path: folder.to_owned() }.into()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A folder with empty files and, for names that end so, empty folders.
    fn folder_with(entries: &[&str]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for entry in entries {
            let path = folder.path().join(entry);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if entry.ends_with('/') { fs::create_dir_all(path).unwrap() } else { fs::write(path, "").unwrap() }
        }
        folder
    }

    #[test]
    fn class_folders_label_their_images() {
        let folder =
            folder_with(&["man/b.png", "man/a.JPG", "woman/c.png", "man/notes.txt", "readme.txt", ".cache/d.png"]);
        let images = class_folders(folder.path()).unwrap();
        let found: Vec<_> = images.iter().map(|i| (i.path.strip_prefix(folder.path()).unwrap(), i.truth)).collect();
        let expected = [("woman/c.png", Gender::Woman), ("man/a.JPG", Gender::Man), ("man/b.png", Gender::Man)];
        assert_eq!(found, expected.map(|(path, truth)| (Path::new(path), truth)));
    }

    #[test]
    fn a_class_folder_may_be_empty() {
        let folder = folder_with(&["man/a.png", "woman/"]);
        assert_eq!(class_folders::<Gender>(folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_wrong_folder_is_refused_with_what_was_expected() {
        let cases: [(&[&str], &str); 5] = [
            (&["man/a.png", "women/b.png"], "women: not one of the expected folders, which are woman, man"),
            (&["man/a.png"], "no folder 'woman'; expected are woman, man"),
            (&["a.png"], "no folder 'woman'"),
            (&["man/", "woman/a.txt"], "holds no image file"),
            (&["train/man/a.png", "train/woman/a.png"], "train: not one of the expected folders"),
        ];
        for (entries, reason) in cases {
            let message = class_folders::<Gender>(folder_with(entries).path()).unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
        let message = class_folders::<Gender>(Path::new("no/such/folder")).unwrap_err().to_string();
        assert!(message.contains("no/such/folder"), "{message}");
    }

    #[test]
    fn utkface_is_read_from_its_names_here_and_one_folder_below() {
        let folder = folder_with(&["26_1_3_20170116.jpg.chip.jpg", "images/7_0_4_20170109.jpg"]);
        let faces: Vec<_> = utkface(folder.path()).unwrap().into_iter().map(Result::unwrap).collect();
        let facts: Vec<_> = faces.iter().map(|face| (face.age_years, face.gender, face.race)).collect();
        assert_eq!(facts, [(26, Gender::Woman, Race::Indian), (7, Gender::Man, Race::Other)]);
    }

    #[test]
    fn a_name_that_lacks_a_part_is_an_error_of_its_own() {
        // The first is in the published set, which has three that lack the race.
        for name in ["61_1_20170109142408075.jpg.chip.jpg", "61_3_0_20170109.jpg", "x_1_0_20170109.jpg", "61_1_0.jpg"] {
            let folder = folder_with(&[name, "26_1_3_20170116.jpg"]);
            let faces = utkface(folder.path()).unwrap();
            let refused: Vec<_> =
                faces.iter().filter_map(|face| face.as_ref().err()).map(ToString::to_string).collect();
            assert!(refused.len() == 1 && refused[0].contains(name), "{refused:?}");
        }
    }

    #[test]
    fn a_folder_of_other_images_is_refused() {
        let message = utkface(folder_with(&["man/a.png"]).path()).unwrap_err().to_string();
        assert!(message.contains("a.png: not named like UTKFace's files"), "{message}");
        let message = utkface(folder_with(&["a.txt"]).path()).unwrap_err().to_string();
        assert!(message.contains("holds no image file"), "{message}");
    }
}
