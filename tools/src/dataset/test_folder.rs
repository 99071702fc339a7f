//! Folders for tests of the loaders.

use std::fs;

/// A folder with empty files and, for names that end so, empty folders.
pub fn folder_with(entries: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in entries {
        let path = folder.path().join(entry);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if entry.ends_with('/') { fs::create_dir_all(path).unwrap() } else { fs::write(path, "").unwrap() }
    }
    folder
}
