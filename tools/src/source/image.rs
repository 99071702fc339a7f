//! Image files.

use std::fs;
use std::path::Path;

use face_attributes::frame::eight_bit_from_sixteen;
use opencv::core::{CV_8U, CV_16U, Mat};
use opencv::imgcodecs::{self, imdecode};
use opencv::imgproc::{COLOR_BGR2GRAY, cvt_color_def};
use opencv::prelude::*;

use super::completeness::is_complete;
use super::video::VideoFile;
use super::{Content, SourceError};

/// Reads an image file: height x width, 8-bit, blue, green, red, turned upright as its EXIF data say.
///
/// Of samples with 16 bits, those are kept that [`eight_bit_from_sixteen`] chooses.
///
/// # Errors
/// [`SourceError`] names the file that is missing, no image, or cut short.
pub fn read_bgr(path: &Path) -> Result<Mat, SourceError> {
    read_image(path, Colors::Bgr)
}

/// Reads an image file in grey: height x width, 8-bit, one channel, and as [`read_bgr`] in all else.
///
/// # Errors
/// [`SourceError`] names the file that is missing, no image, or cut short.
pub fn read_gray(path: &Path) -> Result<Mat, SourceError> {
    read_image(path, Colors::Gray)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Colors {
    Bgr,
    Gray,
}

impl Colors {
    fn flags(self) -> i32 {
        match self {
            Self::Bgr => imgcodecs::IMREAD_COLOR,
            Self::Gray => imgcodecs::IMREAD_GRAYSCALE,
        }
    }
}

fn read_image(path: &Path, colors: Colors) -> Result<Mat, SourceError> {
    let unreadable = |error| SourceError::Unreadable { path: path.to_owned(), error };
    if Content::of(path).map_err(unreadable)? == Content::Video {
        return Err(SourceError::VideoForImage { path: path.to_owned() });
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    if bytes.is_empty() {
        return Err(SourceError::NotAnImage { path: path.to_owned() });
    }
    if !is_complete(&bytes) {
        return Err(SourceError::ImageCutShort { path: path.to_owned() });
    }
    if bytes.starts_with(b"GIF8") {
        return read_gif(path, colors);
    }
    let picture = decode(&bytes, colors).map_err(|error| SourceError::OpenCv { path: path.to_owned(), error })?;
    if picture.empty() { Err(SourceError::NotAnImage { path: path.to_owned() }) } else { Ok(picture) }
}

/// Decodes an image; it is empty where OpenCV reads none in these bytes.
fn decode(bytes: &[u8], colors: Colors) -> opencv::Result<Mat> {
    let bytes = Mat::from_slice(bytes)?;
    let picture = imdecode(&bytes, colors.flags() | imgcodecs::IMREAD_ANYDEPTH)?;
    match picture.depth() {
        CV_8U => Ok(picture),
        CV_16U => eight_bit_from_sixteen(&picture),
        // Floating point numbers have no bits to choose from.
        _ => imdecode(&bytes, colors.flags()),
    }
}

/// Not every version of OpenCV has a decoder for GIF, so the one for videos reads it.
fn read_gif(path: &Path, colors: Colors) -> Result<Mat, SourceError> {
    let not_an_image = || SourceError::NotAnImage { path: path.to_owned() };
    let bgr = VideoFile::open(path)?.next_picture()?.ok_or_else(not_an_image)?.bgr;
    if colors == Colors::Bgr {
        return Ok(bgr);
    }
    let mut gray = Mat::default();
    cvt_color_def(&bgr, &mut gray, COLOR_BGR2GRAY)
        .map_err(|error| SourceError::OpenCv { path: path.to_owned(), error })?;
    Ok(gray)
}
