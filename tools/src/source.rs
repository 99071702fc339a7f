//! Pictures from where people keep them: image files, folders of them, video files and cameras.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use opencv::core::Mat;
use opencv::imgcodecs::{self, imread};
use opencv::prelude::*;
use opencv::videoio::{self, VideoCapture};

/// Endings of the image files that are read, in lower case.
const IMAGE_EXTENSIONS: [&str; 9] = ["bmp", "jpeg", "jpg", "pgm", "png", "ppm", "tif", "tiff", "webp"];

/// Why an input gives no picture.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum SourceError {
    #[error("{}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{}: holds no image file ({})", path.display(), IMAGE_EXTENSIONS.join(", "))]
    NoImages { path: PathBuf },
    #[error("{}: not an image that OpenCV reads", path.display())]
    NotAnImage { path: PathBuf },
    #[error("{}: neither an image nor a video or camera that OpenCV opens", path.display())]
    NotAVideo { path: PathBuf },
    #[error("{}: ended after {got} of {expected} pictures: the file is damaged", path.display())]
    Damaged { path: PathBuf, got: u64, expected: u64 },
    #[error("{}: {error}", path.display())]
    OpenCv { path: PathBuf, error: opencv::Error },
}

/// The image files in a folder, not in folders below it, in the order of their names.
///
/// # Errors
/// [`SourceError`] names the folder that cannot be read or holds no image.
pub fn images_in(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let unreadable = |error| SourceError::Unreadable { path: folder.to_owned(), error };
    let mut images = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if is_image(&path) && path.is_file() {
            images.push(path);
        }
    }
    if images.is_empty() {
        return Err(SourceError::NoImages { path: folder.to_owned() });
    }
    images.sort();
    Ok(images)
}

/// Whether the file's name ends like that of an image.
pub fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| IMAGE_EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()))
}

/// Reads an image file: height x width, 8-bit, blue, green, red, turned upright as its EXIF data say.
///
/// # Errors
/// [`SourceError`] names the file that is missing or no image.
pub fn read_bgr(path: &Path) -> Result<Mat, SourceError> {
    read_image(path, imgcodecs::IMREAD_COLOR)
}

/// Reads an image file in grey: height x width, 8-bit, one channel, turned upright as its EXIF data say.
///
/// # Errors
/// [`SourceError`] names the file that is missing or no image.
pub fn read_gray(path: &Path) -> Result<Mat, SourceError> {
    read_image(path, imgcodecs::IMREAD_GRAYSCALE)
}

fn read_image(path: &Path, flags: i32) -> Result<Mat, SourceError> {
    // OpenCV answers a missing file and a broken one alike, with an empty picture.
    fs::File::open(path).map_err(|error| SourceError::Unreadable { path: path.to_owned(), error })?;
    match imread(path, flags) {
        Ok(picture) if !picture.empty() => Ok(picture),
        Ok(_) => Err(SourceError::NotAnImage { path: path.to_owned() }),
        Err(error) => Err(SourceError::OpenCv { path: path.to_owned(), error }),
    }
}

/// A picture of a source.
#[derive(Debug)]
pub struct Picture {
    /// Height x width, 8-bit, blue, green, red.
    pub bgr: Mat,
    /// When it is shown, from the beginning of the video; 0 for an image file.
    pub time: Duration,
}

/// The pictures of one input, one after the other.
pub struct Source {
    path: PathBuf,
    pictures: Pictures,
    pictures_read: u64,
}

enum Pictures {
    Image,
    Video(Video),
    End,
}

impl Source {
    /// Opens an image file, a video file, or a camera by its device (`/dev/video0`).
    ///
    /// # Errors
    /// [`SourceError`] names the file or device that is missing or cannot be opened.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let pictures = if is_image(path) {
            Pictures::Image
        } else {
            Pictures::Video(Video { capture: open_video(path)?, last_time: None })
        };
        Ok(Self { path: path.to_owned(), pictures, pictures_read: 0 })
    }

    /// How many pictures there are, as far as the file tells; a camera does not.
    pub fn picture_count(&self) -> Option<u64> {
        match &self.pictures {
            Pictures::Image => Some(1),
            Pictures::Video(Video { capture, .. }) => {
                let count = capture.get(videoio::CAP_PROP_FRAME_COUNT).unwrap_or(0.0);
                (count >= 1.0).then_some(count as u64)
            }
            Pictures::End => Some(0),
        }
    }
}

/// A video file or a camera.
struct Video {
    capture: VideoCapture,
    /// The time of the picture before.
    last_time: Option<Duration>,
}

/// The rate of a video that does not tell its own, in pictures per second.
const USUAL_RATE_HZ: f64 = 30.0;

impl Video {
    /// The time of the picture that was read now.
    fn next_time(&mut self) -> Duration {
        let property = |id| self.capture.get(id).ok().filter(|value| value.is_finite() && *value > 0.0);
        let told = property(videoio::CAP_PROP_POS_MSEC).map_or(Duration::ZERO, |ms| Duration::from_secs_f64(ms / 1e3));
        let rate_hz = property(videoio::CAP_PROP_FPS).unwrap_or(USUAL_RATE_HZ);
        let time = time_after(self.last_time, told, Duration::from_secs_f64(1.0 / rate_hz));
        self.last_time = Some(time);
        time
    }
}

/// The time of a picture for which OpenCV tells `told`. For the last pictures of some videos, OpenCV tells 0: those follow
/// the picture before by `interval`.
fn time_after(last: Option<Duration>, told: Duration, interval: Duration) -> Duration {
    last.filter(|last| told <= *last).map_or(told, |last| last + interval)
}

/// Share of a video's pictures that have to be there. What files tell of their number is often a guess from the duration.
const MIN_PICTURES_SHARE: f64 = 0.9;

impl Iterator for Source {
    /// After an error there are no more.
    type Item = Result<Picture, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = match &mut self.pictures {
            Pictures::Image => Some(read_bgr(&self.path).map(|bgr| Picture { bgr, time: Duration::ZERO })),
            Pictures::Video(video) => {
                let mut bgr = Mat::default();
                match video.capture.read(&mut bgr) {
                    Ok(true) if !bgr.empty() => {
                        self.pictures_read += 1;
                        return Some(Ok(Picture { bgr, time: video.next_time() }));
                    }
                    Ok(_) => self.damage().map(Err),
                    Err(error) => Some(Err(SourceError::OpenCv { path: self.path.clone(), error })),
                }
            }
            Pictures::End => None,
        };
        self.pictures = Pictures::End;
        next
    }
}

impl Source {
    /// What is wrong with a video that ends here: OpenCV tells a damaged picture and the end apart no more than this.
    fn damage(&self) -> Option<SourceError> {
        let (got, expected) = (self.pictures_read, self.picture_count().unwrap_or(1));
        let too_few = got == 0 || (got as f64) < MIN_PICTURES_SHARE * expected as f64;
        too_few.then(|| SourceError::Damaged { path: self.path.clone(), got, expected })
    }
}

fn open_video(path: &Path) -> Result<VideoCapture, SourceError> {
    fs::File::open(path).map_err(|error| SourceError::Unreadable { path: path.to_owned(), error })?;
    let no_video = || SourceError::NotAVideo { path: path.to_owned() };
    let capture = VideoCapture::from_file(path.to_str().ok_or_else(no_video)?, videoio::CAP_ANY)
        .map_err(|error| SourceError::OpenCv { path: path.to_owned(), error })?;
    if capture.is_opened().unwrap_or(false) { Ok(capture) } else { Err(no_video()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_video_never_goes_back() {
        let ms = Duration::from_millis;
        let mut last = None;
        let times = [0, 33, 67, 100, 0, 0].map(|told| {
            let time = time_after(last, ms(told), ms(33));
            last = Some(time);
            time
        });
        assert_eq!(times, [0, 33, 67, 100, 133, 166].map(ms));
    }
}
