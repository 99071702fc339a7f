//! Pictures from where people keep them: image files, folders of them, video files and cameras.
//!
//! The content of a file decides what it is, not its name: [`Content`] has the rule. It is the same for files that are named,
//! for folders and for data sets.

mod camera;
mod clock;
mod completeness;
mod container;
mod content;
mod error;
mod folder;
mod image;
mod mp4;
mod video;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use opencv::core::Mat;

use camera::Camera;
pub use content::Content;
pub use error::SourceError;
pub use folder::{Entry, Folder, LeftOut};
pub use image::{read_bgr, read_gray};
use video::VideoFile;

/// A picture of a source.
#[derive(Debug)]
pub struct Picture {
    /// Height x width, 8-bit, blue, green, red.
    pub bgr: Mat,
    /// When it is shown, from the first picture of the video or the opening of the camera on; 0 for an image file. It never
    /// decreases.
    pub time: Duration,
}

/// The pictures of one input, one after the other.
pub struct Source {
    path: PathBuf,
    pictures: Pictures,
}

enum Pictures {
    Image,
    Video(VideoFile),
    Camera(Camera),
    End,
}

impl Source {
    /// Opens an image file, a video file, or a camera by its device (`/dev/video0`).
    ///
    /// A file whose content is not known is tried as a video. A path that is no file and no folder, as a pipe, is opened like a
    /// camera.
    ///
    /// # Errors
    /// [`SourceError`] names the file or device that is missing or cannot be opened.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let unreadable = |error| SourceError::Unreadable { path: path.to_owned(), error };
        let pictures = if !fs::metadata(path).map_err(unreadable)?.is_file() {
            Pictures::Camera(Camera::open(path)?)
        } else if Content::of(path).map_err(unreadable)? == Content::Image {
            Pictures::Image
        } else {
            Pictures::Video(VideoFile::open(path)?)
        };
        Ok(Self { path: path.to_owned(), pictures })
    }

    /// Whether this is an image file, which has one picture.
    pub fn is_image(&self) -> bool {
        matches!(self.pictures, Pictures::Image)
    }

    /// How many pictures there are in all, as far as the file tells: of a video, this may be a guess. A camera does not tell.
    pub fn picture_count(&self) -> Option<u64> {
        match &self.pictures {
            Pictures::Image => Some(1),
            Pictures::Video(video) => video.picture_count(),
            Pictures::Camera(_) => None,
            Pictures::End => Some(0),
        }
    }
}

impl Iterator for Source {
    /// After an error there are no more. A damaged video gives the pictures that can be read, and then the error.
    type Item = Result<Picture, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = match &mut self.pictures {
            Pictures::Image => {
                let picture = read_bgr(&self.path).map(|bgr| Picture { bgr, time: Duration::ZERO });
                self.pictures = Pictures::End;
                return Some(picture);
            }
            Pictures::Video(video) => video.next_picture(),
            Pictures::Camera(camera) => camera.next_picture(),
            Pictures::End => Ok(None),
        };
        if !matches!(next, Ok(Some(_))) {
            self.pictures = Pictures::End;
        }
        next.transpose()
    }
}
