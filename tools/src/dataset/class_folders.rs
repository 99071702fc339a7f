//! A folder for each class, the form in which most people keep labelled pictures.

use std::path::{Path, PathBuf};

use super::{Dataset, DatasetError, Picture, Sample};
use crate::source::{Entry, Folder, SourceError};
use face_attributes::attributes::Attribute;

/// The images in `DIR/<class>/`, with one folder for each class of `A`; a folder may be empty, but not all of them.
///
/// Everything else in these folders and beside them is left out. So are hidden files and folders.
///
/// # Errors
/// [`DatasetError`] names the folder that is missing, that is not a class, or that cannot be read.
pub fn class_folders<A: Attribute>(folder: &Path) -> Result<Dataset<A>, DatasetError> {
    let expected: Vec<_> = A::CLASSES.iter().map(|class| class.name()).collect();
    let is_class = |path: &PathBuf| expected.iter().any(|class| path.ends_with(class));
    let mut rest = Folder::read(folder)?;
    let found = rest.take(&[Entry::Folder]);
    if let Some(path) = found.iter().find(|path| !is_class(path)) {
        return Err(DatasetError::UnknownClass { path: path.clone(), expected });
    }
    let mut samples = Vec::new();
    for class in A::CLASSES {
        let Some(class_folder) = found.iter().find(|path| path.ends_with(class.name())) else {
            return Err(DatasetError::MissingClass { path: folder.to_owned(), class: class.name(), expected });
        };
        let mut of_class = Folder::read(class_folder)?;
        let sample = |path| Sample { picture: Picture::File(path), truth: *class, person: None };
        samples.extend(of_class.take(&[Entry::Image]).into_iter().map(sample));
        rest.append(of_class);
    }
    let left_out = rest.left_out(folder);
    if samples.is_empty() {
        return Err(SourceError::NoFiles { path: folder.to_owned(), wanted: "image", left_out }.into());
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let description = format!("class folders '{name}'");
    Ok(Dataset { description, samples, refused: Vec::new(), left_out })
}

#[cfg(test)]
mod tests {
    use super::super::test_folder::folder_with;
    use super::*;
    use face_attributes::attributes::Gender;

    #[test]
    fn class_folders_label_their_images() {
        let folder =
            folder_with(&["man/b.png", "man/a.JPG", "woman/c.png", "man/notes.txt", "readme.txt", ".cache/d.png"]);
        let dataset = class_folders(folder.path()).unwrap();
        let found: Vec<_> = dataset.samples.into_iter().map(|sample| (sample.picture, sample.truth)).collect();
        let expected = [("woman/c.png", Gender::Woman), ("man/a.JPG", Gender::Man), ("man/b.png", Gender::Man)];
        assert_eq!(found, expected.map(|(path, truth)| (Picture::File(folder.path().join(path)), truth)));
        assert!(dataset.refused.is_empty());
    }

    #[test]
    fn what_is_no_image_in_a_class_folder_is_left_out_and_named() {
        let folder =
            folder_with(&["man/a.png", "man/b.txt", "man/more/c.png", "woman/", "d.png", ".cache/e.png", "f.txt"]);
        let left_out = class_folders::<Gender>(folder.path()).unwrap().left_out;
        let expected = [
            "1 image: d.png",
            "2 files that are neither image nor video: f.txt, man/b.txt",
            "1 folder: man/more",
            "1 hidden file or folder: .cache",
        ];
        assert_eq!(left_out.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_class_folder_may_be_empty() {
        let folder = folder_with(&["man/a.png", "woman/"]);
        assert_eq!(class_folders::<Gender>(folder.path()).unwrap().samples.len(), 1);
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
}
