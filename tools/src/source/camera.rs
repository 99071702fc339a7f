//! Cameras, by their device.

use std::path::{Path, PathBuf, absolute};
use std::time::Instant;

use opencv::core::Mat;
use opencv::prelude::*;
use opencv::videoio::{self, VideoCapture};

use super::{Picture, SourceError};

/// A camera, or another source of pictures that has no beginning and no end.
pub struct Camera {
    path: PathBuf,
    capture: VideoCapture,
    opened: Instant,
    has_picture: bool,
}

impl Camera {
    /// Opens a camera by its device.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let name = absolute(path).map_err(|error| SourceError::Unreadable { path: path.to_owned(), error })?;
        let capture = VideoCapture::from_file(name, videoio::CAP_ANY)
            .map_err(|error| SourceError::OpenCv { path: path.to_owned(), error })?;
        if !capture.is_opened().unwrap_or(false) {
            return Err(SourceError::NotAVideo { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), capture, opened: Instant::now(), has_picture: false })
    }

    /// Waits for the next picture. Its time is that of its arrival, as drivers differ in what they say of it.
    pub fn next_picture(&mut self) -> Result<Option<Picture>, SourceError> {
        let path = &self.path;
        let mut bgr = Mat::default();
        let is_read = self.capture.read(&mut bgr).map_err(|error| SourceError::OpenCv { path: path.clone(), error })?;
        if is_read && !bgr.empty() {
            self.has_picture = true;
            return Ok(Some(Picture { bgr, time: self.opened.elapsed() }));
        }
        if self.has_picture { Ok(None) } else { Err(SourceError::NoPicture { path: path.clone() }) }
    }
}
