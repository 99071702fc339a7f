//! Folders of image files.

use std::fs;
use std::path::{Path, PathBuf};

use super::DatasetError;
use crate::source::{SourceError, images_in};

/// The folders in a folder that are not hidden, in the order of their names.
pub fn folders_in(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
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

/// The image files in a folder, which may have none.
pub fn images_if_any(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    match images_in(folder) {
        Err(SourceError::NoImages { .. }) => Ok(Vec::new()),
        images => images,
    }
}

pub fn no_images(folder: &Path) -> DatasetError {
    SourceError::NoImages { path: folder.to_owned() }.into()
}

/// A folder with empty files and, for names that end so, empty folders.
#[cfg(test)]
pub fn folder_with(entries: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in entries {
        let path = folder.path().join(entry);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if entry.ends_with('/') { fs::create_dir_all(path).unwrap() } else { fs::write(path, "").unwrap() }
    }
    folder
}
