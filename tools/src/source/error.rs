//! Why an input gives no picture.

use std::io;
use std::path::PathBuf;

use super::LeftOut;

/// Why an input gives no picture, or not all of them.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum SourceError {
    #[error("{}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{}: holds no {wanted} file{}", path.display(), in_brackets(left_out))]
    NoFiles { path: PathBuf, wanted: &'static str, left_out: Vec<LeftOut> },
    #[error("{}: not an image that OpenCV reads", path.display())]
    NotAnImage { path: PathBuf },
    #[error("{}: a video, and an image is needed", path.display())]
    VideoForImage { path: PathBuf },
    #[error("{}: the image is cut short, its end is missing", path.display())]
    ImageCutShort { path: PathBuf },
    #[error("{}: neither an image nor a video or camera that OpenCV opens", path.display())]
    NotAVideo { path: PathBuf },
    #[error("{}: the video is cut short, its end is missing; {got} pictures were read", path.display())]
    VideoCutShort { path: PathBuf, got: u64 },
    #[error("{}: ended after {got} of {expected} pictures: the file is damaged", path.display())]
    EndedEarly { path: PathBuf, got: u64, expected: u64 },
    #[error("{}: pictures between the {got} that were read cannot be decoded: the file is damaged", path.display())]
    Undecodable { path: PathBuf, got: u64 },
    #[error("{}: no picture of it can be decoded", path.display())]
    NoPicture { path: PathBuf },
    #[error("{}: {error}", path.display())]
    OpenCv { path: PathBuf, error: opencv::Error },
}

fn in_brackets(left_out: &[LeftOut]) -> String {
    if left_out.is_empty() {
        return String::new();
    }
    let kinds: Vec<_> = left_out.iter().map(ToString::to_string).collect();
    format!(" (left out: {})", kinds.join("; "))
}
