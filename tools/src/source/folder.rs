//! What is in a folder.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Content, SourceError};

/// What is in a folder, not in folders below it, by kind.
#[derive(Debug, Default)]
pub struct Folder {
    entries: BTreeMap<Entry, Vec<PathBuf>>,
}

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// An image file, whole or not.
    Image,
    /// A video file, whole or not.
    Video,
    /// Another file.
    OtherFile,
    /// A file that cannot be read.
    UnreadableFile,
    /// A link to nothing.
    BrokenLink,
    /// A folder.
    Folder,
    /// A device, a pipe or a socket.
    Special,
    /// A file or folder whose name begins with a dot, as those that other systems put beside images.
    Hidden,
}

impl Entry {
    fn of(path: &Path) -> Self {
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_hidden {
            return Self::Hidden;
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Self::Folder,
            Ok(metadata) if !metadata.is_file() => Self::Special,
            Ok(_) => match Content::of(path) {
                Ok(Content::Image) => Self::Image,
                Ok(Content::Video) => Self::Video,
                Ok(Content::Unknown) => Self::OtherFile,
                Err(_) if Content::is_named_like_image(path) => Self::Image,
                Err(_) => Self::UnreadableFile,
            },
            // Whoever wants images has to hear of one that is missing.
            Err(_) if Content::is_named_like_image(path) => Self::Image,
            Err(_) => Self::BrokenLink,
        }
    }

    /// What so many of them are called.
    fn name(self, count: usize) -> &'static str {
        match (self, count) {
            (Self::Image, 1) => "image",
            (Self::Image, _) => "images",
            (Self::Video, 1) => "video",
            (Self::Video, _) => "videos",
            (Self::OtherFile, 1) => "file that is neither image nor video",
            (Self::OtherFile, _) => "files that are neither image nor video",
            (Self::UnreadableFile, 1) => "file that cannot be read",
            (Self::UnreadableFile, _) => "files that cannot be read",
            (Self::BrokenLink, 1) => "link to nothing",
            (Self::BrokenLink, _) => "links to nothing",
            (Self::Folder, 1) => "folder",
            (Self::Folder, _) => "folders",
            (Self::Special, 1) => "device, pipe or socket",
            (Self::Special, _) => "devices, pipes or sockets",
            (Self::Hidden, 1) => "hidden file or folder",
            (Self::Hidden, _) => "hidden files or folders",
        }
    }
}

impl Folder {
    /// Looks at each file in a folder.
    ///
    /// # Errors
    /// [`SourceError::Unreadable`] names a folder that cannot be read.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        let unreadable = |error| SourceError::Unreadable { path: path.to_owned(), error };
        let paths: Result<Vec<_>, _> = fs::read_dir(path).map_err(unreadable)?.map(|entry| Ok(entry?.path())).collect();
        let mut folder = Self::default();
        for path in paths.map_err(unreadable)? {
            folder.entries.entry(Entry::of(&path)).or_default().push(path);
        }
        Ok(folder)
    }

    /// Takes out the entries of some kinds, in the order of their names.
    pub fn take(&mut self, kinds: &[Entry]) -> Vec<PathBuf> {
        let mut taken: Vec<_> = kinds.iter().filter_map(|kind| self.entries.remove(kind)).flatten().collect();
        taken.sort();
        taken
    }

    /// Adds the entries of another folder.
    pub fn append(&mut self, other: Self) {
        for (kind, paths) in other.entries {
            self.entries.entry(kind).or_default().extend(paths);
        }
    }

    /// Says what has not been taken out, with names relative to `root`.
    pub fn left_out(mut self, root: &Path) -> Vec<LeftOut> {
        self.entries.values_mut().for_each(|paths| paths.sort());
        let name = |path: &PathBuf| path.strip_prefix(root).unwrap_or(path).display().to_string();
        let of_kind = |(kind, paths): (&Entry, &Vec<PathBuf>)| LeftOut {
            what: kind.name(paths.len()).to_owned(),
            count: paths.len() as u64,
            names: paths.iter().take(LeftOut::MAX_NAMES).map(name).collect(),
        };
        self.entries.iter().map(of_kind).collect()
    }

    /// The files of some kinds in a folder, in the order of their names, and what else there is.
    ///
    /// # Errors
    /// [`SourceError`] names a folder that cannot be read, or that holds no file of these kinds.
    pub fn files(path: &Path, kinds: &[Entry]) -> Result<(Vec<PathBuf>, Vec<LeftOut>), SourceError> {
        let mut folder = Self::read(path)?;
        let files = folder.take(kinds);
        let left_out = folder.left_out(path);
        if files.is_empty() {
            let wanted = if kinds.contains(&Entry::Video) { "image or video" } else { "image" };
            return Err(SourceError::NoFiles { path: path.to_owned(), wanted, left_out });
        }
        Ok((files, left_out))
    }
}

/// What is there and is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// What it is.
    pub what: String,
    /// How many there are.
    pub count: u64,
    /// The names of the first ones; none where a file of labels tells of them and not a folder.
    pub names: Vec<String>,
}

impl LeftOut {
    /// How many names are given.
    pub const MAX_NAMES: usize = 20;
}

/// For example: 2 videos: a.mp4, b.gif.
impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, count, names } = self;
        write!(f, "{count} {what}")?;
        if !names.is_empty() {
            write!(f, ": {}", names.join(", "))?;
            let others = count.saturating_sub(names.len() as u64);
            if others > 0 {
                write!(f, " and {others} more")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
    const MATROSKA: &[u8] = b"\x1a\x45\xdf\xa3";

    #[test]
    fn everything_in_a_folder_is_taken_or_left_out_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, bytes) in [
            ("c", PNG),
            ("b.txt", PNG),
            ("a.png", b"damaged"),
            ("d.png", MATROSKA),
            ("f.txt", b"text"),
            ("._a.png", PNG),
        ] {
            fs::write(at(name), bytes).unwrap();
        }
        fs::create_dir(at("below")).unwrap();
        symlink("c", at("e")).unwrap();
        symlink("nowhere", at("link")).unwrap();
        symlink("nowhere", at("link.jpg")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();

        let mut entries = Folder::read(folder.path()).unwrap();
        let images = entries.take(&[Entry::Image]);
        assert_eq!(images, ["a.png", "b.txt", "c", "e", "link.jpg"].map(at));
        let left_out: Vec<_> = entries.left_out(folder.path()).iter().map(ToString::to_string).collect();
        let expected = [
            "1 video: d.png",
            "1 file that is neither image nor video: f.txt",
            "1 link to nothing: link",
            "1 folder: below",
            "1 device, pipe or socket: socket",
            "1 hidden file or folder: ._a.png",
        ];
        assert_eq!(left_out, expected);
    }

    #[test]
    fn of_many_files_the_first_are_named_and_all_counted() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..23 {
            fs::write(folder.path().join(format!("{number:02}.txt")), "").unwrap();
        }
        let error = Folder::files(folder.path(), &[Entry::Image, Entry::Video]).unwrap_err().to_string();
        assert!(
            error.contains(": holds no image or video file (left out: 23 files that are neither image nor video: 00"),
            "{error}"
        );
        assert!(error.ends_with("18.txt, 19.txt and 3 more)"), "{error}");
    }
}
