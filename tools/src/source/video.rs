//! Video files.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use opencv::core::{
    Mat, ROTATE_90_CLOCKWISE, ROTATE_90_COUNTERCLOCKWISE, ROTATE_180, get_version_major, get_version_minor,
    get_version_revision, rotate,
};
use opencv::prelude::*;
use opencv::videoio::{self, VideoCapture, VideoCaptureAPIs};

use super::clock::Clock;
use super::container::Container;
use super::{Picture, SourceError};

/// Reads in a row that may fail before a video counts as ended: OpenCV stops at each picture that cannot be decoded as it stops
/// at the end.
const MAX_FAILED_READS: u32 = 100;

/// Share of the pictures that a container holds for sure, of which fewer are damage. Decoders may skip some at the beginning.
const MIN_PICTURES_SHARE: f64 = 0.9;

/// A video file, read from its beginning to its end.
pub struct VideoFile {
    path: PathBuf,
    capture: VideoCapture,
    container: Container,
    /// What turns its pictures upright, one of OpenCV's RotateFlags.
    rotation: Option<i32>,
    clock: Clock,
    pictures_read: u64,
    has_undecodable: bool,
}

impl VideoFile {
    /// Opens a video file.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let unreadable = |error| SourceError::Unreadable { path: path.to_owned(), error };
        let file = File::open(path).map_err(unreadable)?;
        let container = Container::read(&file).map_err(unreadable)?;
        let mut capture = open_capture(&file).map_err(|error| SourceError::OpenCv { path: path.to_owned(), error })?;
        if !capture.is_opened().unwrap_or(false) {
            let path = path.to_owned();
            let is_cut_short = container.is_cut_short;
            return Err(if is_cut_short {
                SourceError::VideoCutShort { path, got: 0 }
            } else {
                SourceError::NotAVideo { path }
            });
        }
        let rotation = take_over_rotation(&mut capture);
        let clock = Clock::new(property(&capture, videoio::CAP_PROP_FPS));
        Ok(Self {
            path: path.to_owned(),
            capture,
            container,
            rotation,
            clock,
            pictures_read: 0,
            has_undecodable: false,
        })
    }

    /// How many pictures there are in all: some containers know, of others this is a guess from the duration.
    pub fn picture_count(&self) -> Option<u64> {
        let guess = property(&self.capture, videoio::CAP_PROP_FRAME_COUNT);
        self.container.picture_count.or((guess >= 1.0).then_some(guess as u64))
    }

    /// The next picture, upright; `None` at the end.
    pub fn next_picture(&mut self) -> Result<Option<Picture>, SourceError> {
        for failed_reads in 0..=MAX_FAILED_READS {
            let Some(bgr) = self.read().map_err(|error| SourceError::OpenCv { path: self.path.clone(), error })? else {
                continue;
            };
            // A recording may begin between two pictures that can be decoded by themselves. That is no damage.
            self.has_undecodable |= failed_reads > 0 && self.pictures_read > 0;
            self.pictures_read += 1;
            let time = self.clock.time(property(&self.capture, videoio::CAP_PROP_POS_MSEC));
            return Ok(Some(Picture { bgr, time }));
        }
        self.damage().map_or(Ok(None), Err)
    }

    fn read(&mut self) -> opencv::Result<Option<Mat>> {
        let mut bgr = Mat::default();
        if !self.capture.read(&mut bgr)? || bgr.empty() {
            return Ok(None);
        }
        let Some(rotation) = self.rotation else { return Ok(Some(bgr)) };
        let mut upright = Mat::default();
        rotate(&bgr, &mut upright, rotation)?;
        Ok(Some(upright))
    }

    /// What is wrong with a video that ends here, as far as that is certain.
    fn damage(&self) -> Option<SourceError> {
        let (path, got) = (self.path.clone(), self.pictures_read);
        let expected = self.container.picture_count.unwrap_or(0);
        if self.container.is_cut_short {
            Some(SourceError::VideoCutShort { path, got })
        } else if got == 0 {
            Some(SourceError::NoPicture { path })
        } else if (got as f64) < MIN_PICTURES_SHARE * expected as f64 {
            Some(SourceError::EndedEarly { path, got, expected })
        } else {
            self.has_undecodable.then_some(SourceError::Undecodable { path, got })
        }
    }
}

/// Opens a file by its descriptor. FFmpeg takes a name with a colon for a protocol, one with `%` or `*` for many files, and some
/// endings for a format; a descriptor's name says nothing.
fn open_capture(file: &File) -> opencv::Result<VideoCapture> {
    // OpenCV's other readers of files know fewer formats, and write to stderr what they do not know.
    let is_ffmpeg_there = videoio::has_backend(VideoCaptureAPIs::CAP_FFMPEG)?;
    let reader = if is_ffmpeg_there { videoio::CAP_FFMPEG } else { videoio::CAP_ANY };
    VideoCapture::from_file(format!("/dev/fd/{}", file.as_raw_fd()), reader)
}

/// A number that OpenCV tells of a video, 0 where it does not.
fn property(capture: &VideoCapture, property: i32) -> f64 {
    capture.get(property).unwrap_or(0.0)
}

/// Switches off that OpenCV turns the pictures, as version 4.6.0 turns them the wrong way; returns what turns them upright.
fn take_over_rotation(capture: &mut VideoCapture) -> Option<i32> {
    let is_taken_over = capture.set(videoio::CAP_PROP_ORIENTATION_AUTO, 0.0).unwrap_or(false);
    let degrees = property(capture, videoio::CAP_PROP_ORIENTATION_META);
    is_taken_over.then(|| rotation(degrees, opencv_version())).flatten()
}

fn opencv_version() -> [i32; 3] {
    [get_version_major(), get_version_minor(), get_version_revision()]
}

/// What turns pictures upright whose file has this angle, as that version of OpenCV tells it.
fn rotation(degrees: f64, opencv_version: [i32; 3]) -> Option<i32> {
    // Version 4.6.0 tells the angle counterclockwise: https://github.com/opencv/opencv/issues/22088
    let clockwise = if opencv_version == [4, 6, 0] { -degrees } else { degrees };
    match clockwise.rem_euclid(360.0).round() as i32 {
        90 => Some(ROTATE_90_CLOCKWISE),
        180 => Some(ROTATE_180),
        270 => Some(ROTATE_90_COUNTERCLOCKWISE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_angle_is_read_as_each_version_tells_it() {
        let newer = [[4, 5, 5], [4, 7, 0], [4, 12, 0], [5, 0, 0]];
        for version in newer {
            assert_eq!(rotation(90.0, version), Some(ROTATE_90_CLOCKWISE), "{version:?}");
            assert_eq!(rotation(270.0, version), Some(ROTATE_90_COUNTERCLOCKWISE), "{version:?}");
        }
        assert_eq!(rotation(270.0, [4, 6, 0]), Some(ROTATE_90_CLOCKWISE));
        assert_eq!(rotation(90.0, [4, 6, 0]), Some(ROTATE_90_COUNTERCLOCKWISE));
        for version in [[4, 6, 0], [4, 7, 0]] {
            assert_eq!(rotation(180.0, version), Some(ROTATE_180));
            assert_eq!((rotation(0.0, version), rotation(45.0, version)), (None, None));
        }
    }
}
