//! Labelled pictures of faces in the forms in which research publishes them, for training and for measuring.
//!
//! Each form has a loader that finds the pictures and their labels. Picture files are read only when they are requested. A
//! broken item is refused by its name, and the other items are loaded.

mod class_folders;
mod fer2013;
mod held_out;
mod imdb_wiki;
mod spec;
#[cfg(test)]
mod test_folder;
mod utkface;

pub use class_folders::class_folders;
pub use fer2013::{Usage, fer2013};
pub use held_out::HeldOut;
pub use imdb_wiki::imdb_wiki;
pub use spec::{ADULT_YEARS, DatasetSpec, Format, Labelled};
pub use utkface::utkface;

use std::path::{Path, PathBuf};
use std::{fmt, io};

use opencv::core::{Mat, Size};
use opencv::prelude::*;

pub use crate::source::LeftOut;
use crate::source::{SourceError, read_gray};
use face_attributes::attributes::Gender;

/// Labelled pictures, and the pictures that were left out.
#[derive(Debug)]
pub struct Dataset<A> {
    /// The name of the data, their publisher and their terms, as a phrase.
    pub description: String,
    /// The pictures, in the order of the files or rows.
    pub samples: Vec<Sample<A>>,
    /// Files or rows whose labels cannot be read; empty where there are none.
    pub refused: Vec<DatasetError>,
    /// Pictures that are left out on purpose.
    pub left_out: Vec<LeftOut>,
}

/// A picture of one face, and the class that it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample<A> {
    /// A crop of the face.
    pub picture: Picture,
    /// The class that the picture shows.
    pub truth: A,
    /// The known properties of the person, for figures per group.
    pub person: Option<Person>,
}

/// A picture in a file of its own, or in the row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picture {
    /// An image file.
    File(PathBuf),
    /// Pixels in memory.
    Pixels {
        /// File and line of the pixels.
        name: String,
        /// Width and height in pixels.
        size: Size,
        /// Grey, 0 to 255, row by row without padding.
        pixels: Vec<u8>,
    },
}

impl Picture {
    /// The picture in grey: height x width, 8-bit, one channel.
    ///
    /// # Errors
    /// [`SourceError`] names the file that is missing or no image.
    pub fn read_gray(&self) -> Result<Mat, SourceError> {
        match self {
            Self::File(path) => read_gray(path),
            Self::Pixels { name, size, pixels } => Mat::new_rows_cols_with_data(size.height, size.width, pixels)
                .and_then(|view| view.try_clone())
                .map_err(|error| SourceError::OpenCv { path: name.into(), error }),
        }
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Pixels { name, .. } => f.write_str(name),
        }
    }
}

/// The labels of a person. The data sets differ in how these were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// Age in years.
    pub age_years: u32,
    /// As it appears.
    pub gender: Gender,
    /// As it appears.
    pub race: Race,
}

/// The races that UTKFace's labels distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants say what they are")]
pub enum Race {
    White,
    Black,
    Asian,
    Indian,
    Other,
}

impl Race {
    /// All races, in UTKFace's order.
    pub const ALL: [Self; 5] = [Self::White, Self::Black, Self::Asian, Self::Indian, Self::Other];

    /// The name as the data spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::White => "White",
            Self::Black => "Black",
            Self::Asian => "Asian",
            Self::Indian => "Indian",
            Self::Other => "other",
        }
    }
}

/// Why a folder or a file is not the expected data, or an item of it is broken.
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
    #[error("{}: not {expected} ({reason})", path.display())]
    Damaged { path: PathBuf, expected: &'static str, reason: String },
    #[error("{}: {problem}", place(path, "line", *line))]
    Line { path: PathBuf, line: u64, problem: String },
    #[error("{}: {problem}", place(path, "row", *row))]
    Row { path: PathBuf, row: u64, problem: String },
    #[error("{}: expected wiki.mat or imdb.mat in it, beside the folders of faces", path.display())]
    NoMetadata { path: PathBuf },
    #[error("{}: no {what}", path.display())]
    NothingLeft { path: PathBuf, what: String },
    #[error("a share is 0 to 1, or from one to another as 0.25..0.5; got {text}")]
    NoShare { text: String },
    #[error("{format} data do not say the {task}")]
    Unlabelled { format: Format, task: &'static str },
    #[error("{format} data do not say the {what}, and so cannot be chosen by it")]
    NoChoice { format: Format, what: &'static str },
}

fn place(path: &Path, unit: &str, number: u64) -> String {
    format!("{}, {unit} {number}", path.display())
}
