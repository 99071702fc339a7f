//! The face crops of IMDB-WIKI with their metadata, a MATLAB file.

use std::fs;
use std::path::Path;

use matrw::{MatVariable, load_matfile_from_u8};

use super::{Dataset, DatasetError, LeftOut, Picture, Sample};
use face_attributes::attributes::Gender;
use face_attributes::panics::catch_panic;

/// Possible names of the metadata's file and of the variable in it.
const NAMES: [&str; 2] = ["wiki", "imdb"];

const EXPECTED: &str = "the metadata of IMDB-WIKI, a MATLAB 5 file";

/// The faces of IMDB-WIKI (Rothe, Timofte, Van Gool 2018) in the folder into which `wiki_crop.tar` or `imdb_crop.tar` was
/// unpacked, with `wiki.mat` or `imdb.mat` beside the folders of images.
///
/// Pictures of people of unknown gender are left out. So are pictures in which the authors' detector found no face, or two
/// faces, because the label may be of the other person. Reading the metadata of IMDB needs 0.9 GB of memory.
///
/// # Errors
/// [`DatasetError`] where there are no metadata, or other metadata, or no picture is left. A row with unexpected values is
/// refused by its number, from 1.
pub fn imdb_wiki(folder: &Path) -> Result<Dataset<Gender>, DatasetError> {
    let metadata =
        NAMES.iter().map(|name| (*name, folder.join(format!("{name}.mat")))).find(|(_, path)| path.is_file());
    let (name, path) = metadata.ok_or_else(|| DatasetError::NoMetadata { path: folder.to_owned() })?;
    let bytes = fs::read(&path).map_err(|error| DatasetError::Unreadable { path: path.clone(), error })?;
    // matrw panics at damaged files.
    let columns = catch_panic(|| Columns::read(bytes, name)).unwrap_or_else(Err);
    let columns = columns.map_err(|reason| DatasetError::Damaged { path: path.clone(), expected: EXPECTED, reason })?;

    let (mut samples, mut refused) = (Vec::new(), Vec::new());
    let [mut unknown, mut faceless, mut crowded] = [0; 3];
    for (row, file) in columns.full_path.iter().enumerate() {
        let truth = match columns.gender[row] {
            0.0 => Gender::Woman,
            1.0 => Gender::Man,
            gender if gender.is_nan() => {
                unknown += 1;
                continue;
            }
            gender => {
                let problem = format!("gender is {gender}, expected 0, 1 or NaN");
                refused.push(DatasetError::Row { path: path.clone(), row: row as u64 + 1, problem });
                continue;
            }
        };
        if !columns.face_score[row].is_finite() {
            faceless += 1;
        } else if !columns.second_face_score[row].is_nan() {
            crowded += 1;
        } else if let Some(file) = file {
            samples.push(Sample { picture: Picture::File(folder.join(file)), truth, person: None });
        } else {
            let problem = "full_path is no text".to_owned();
            refused.push(DatasetError::Row { path: path.clone(), row: row as u64 + 1, problem });
        }
    }
    if samples.is_empty() {
        return Err(DatasetError::NothingLeft { path, what: "row with a gender and one face".to_owned() });
    }
    let description = format!(
        "{} of IMDB-WIKI (Rothe, Timofte, Van Gool 2018; academic research only), gender as the site's profile says it",
        name.to_uppercase()
    );
    let left_out = [
        ("people of unknown gender", unknown),
        ("pictures without a face", faceless),
        ("pictures with a second face", crowded),
    ]
    .map(|(what, count)| LeftOut { what: what.to_owned(), count, names: Vec::new() });
    Ok(Dataset { description, samples, refused, left_out: left_out.to_vec() })
}

/// The used part of the metadata, with one value per picture.
struct Columns {
    /// Path relative to the folder; `None` where it is not a text.
    full_path: Vec<Option<String>>,
    /// 0 female, 1 male, NaN unknown.
    gender: Vec<f64>,
    /// Higher is better; -inf where no face was found.
    face_score: Vec<f64>,
    /// NaN where no second face was found.
    second_face_score: Vec<f64>,
}

/// The start of files that MATLAB writes; matrw requires it.
const MATLAB_5: &[u8] = b"MATLAB 5.0 MAT-file, ";

impl Columns {
    fn read(mut bytes: Vec<u8>, name: &str) -> Result<Self, String> {
        // Other programs than MATLAB write no comma.
        if let Some(text) = bytes.get_mut(..MATLAB_5.len())
            && text.starts_with(b"MATLAB 5.0 MAT-file")
        {
            text.copy_from_slice(MATLAB_5);
        }
        let file = load_matfile_from_u8(&bytes).map_err(|_| "it cannot be parsed".to_owned())?;
        let table = &file[name];
        let numbers = |field: &str| {
            table[field].to_vec_f64().ok_or_else(|| format!("no numbers '{field}' in a structure '{name}'"))
        };
        let [gender, face_score, second_face_score] =
            [numbers("gender")?, numbers("face_score")?, numbers("second_face_score")?];
        let cells = &table["full_path"];
        if !matches!(cells, MatVariable::CellArray(_)) {
            return Err(format!("no cells 'full_path' in a structure '{name}'"));
        }
        let rows = cells.dim().iter().product();
        if [&gender, &face_score, &second_face_score].iter().any(|column| column.len() != rows) {
            return Err("its columns differ in length".to_owned());
        }
        let text = |row: usize| cells[row].to_vec_char().map(|letters| letters.into_iter().collect());
        Ok(Self { full_path: (0..rows).map(text).collect(), gender, face_score, second_face_score })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use matrw::{MatFile, matfile, matvar, save_matfile_v7};
    use tempfile::TempDir;

    use super::*;

    /// Written by SciPy; tests/data/README.md has the generator.
    const WIKI: &[u8] = include_bytes!("../../../tests/data/wiki.mat");

    fn folder_with(name: &str, bytes: &[u8]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), bytes).unwrap();
        folder
    }

    #[test]
    fn faces_are_chosen_by_gender_and_scores() {
        let folder = folder_with("wiki.mat", WIKI);
        let dataset = imdb_wiki(folder.path()).unwrap();
        let found: Vec<_> = dataset.samples.iter().map(|sample| (sample.picture.to_string(), sample.truth)).collect();
        let expected = [("17/1_1980-05-04_2009.jpg", Gender::Man), ("02/6_1975-01-31_2011.jpg", Gender::Woman)];
        assert_eq!(found, expected.map(|(file, truth)| (folder.path().join(file).display().to_string(), truth)));
        assert_eq!(dataset.left_out.iter().map(|left_out| left_out.count).collect::<Vec<_>>(), [1, 2, 1]);
        let refused: Vec<_> = dataset.refused.iter().map(ToString::to_string).collect();
        assert!(refused.len() == 1 && refused[0].ends_with("row 7: gender is 2, expected 0, 1 or NaN"), "{refused:?}");
        assert!(dataset.description.starts_with("WIKI of IMDB-WIKI"), "{}", dataset.description);
    }

    #[test]
    fn another_folder_is_refused_with_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        let message = imdb_wiki(folder.path()).unwrap_err().to_string();
        assert!(message.contains("expected wiki.mat or imdb.mat in it"), "{message}");
    }

    #[test]
    fn damaged_metadata_are_refused_wherever_they_are_cut() {
        for share in 0..20 {
            let folder = folder_with("wiki.mat", &WIKI[..WIKI.len() * share / 20]);
            let message = imdb_wiki(folder.path()).unwrap_err().to_string();
            assert!(message.contains("wiki.mat: not the metadata of IMDB-WIKI"), "{message}");
        }
    }

    fn refusal(file: MatFile) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("imdb.mat");
        save_matfile_v7(path.to_str().unwrap(), file, true).unwrap();
        imdb_wiki(folder.path()).unwrap_err().to_string()
    }

    #[test]
    fn metadata_of_something_else_are_refused() {
        let cases = [
            (matfile!(wiki: matvar!({ gender: [1.0, 0.0] })), "no numbers 'gender' in a structure 'imdb'"),
            (matfile!(imdb: matvar!([1.0, 0.0])), "no numbers 'gender' in a structure 'imdb'"),
            (matfile!(imdb: matvar!({ gender: [1.0, 0.0] })), "no numbers 'face_score'"),
            (
                matfile!(imdb: matvar!({ gender: [1.0], face_score: [1.0], second_face_score: [1.0] })),
                "no cells 'full_path'",
            ),
            (
                matfile!(imdb: matvar!({
                    gender: [1.0, 0.0], face_score: [1.0, 2.0], second_face_score: [1.0, 2.0], full_path: ["a.jpg", "bc.jpg", "def.jpg"],
                })),
                "its columns differ in length",
            ),
        ];
        for (file, reason) in cases {
            let message = refusal(file);
            assert!(message.contains(reason), "{message}");
        }
    }
}
