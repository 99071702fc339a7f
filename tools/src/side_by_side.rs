//! A moving picture and a video side by side, in place of a camera that has two people in view.

use std::path::{Path, PathBuf};

use opencv::core::{Mat, Rect, Size, hconcat2};
use opencv::imgproc::{INTER_AREA, resize};
use opencv::prelude::*;

use crate::moving_picture::MovingPicture;
use crate::source::{Source, SourceError};

/// Why there is no next frame.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant is the error of a part")]
pub enum FrameError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("cannot draw a frame: {0}")]
    OpenCv(#[from] opencv::Error),
}

/// Frames whose left half is a moving picture, and whose right half is a video that is repeated. Both keep their aspect: what
/// does not fit is cut off at both ends.
pub struct SideBySide {
    left: MovingPicture,
    right: RepeatedVideo,
    right_size: Size,
}

impl SideBySide {
    /// Shows `picture` (height x width, 8-bit, blue, green, red, not empty) and the video of a file in frames of `frame_size`
    /// pixels, at least 2 x 1. Each frame has the next picture of the video, whatever their rates are.
    ///
    /// # Errors
    /// [`FrameError`] names the file that is missing or not a video.
    pub fn new(picture: &Mat, video: &Path, frame_size: Size) -> Result<Self, FrameError> {
        let left_size = Size::new(frame_size.width / 2, frame_size.height);
        let right_size = Size::new(frame_size.width - left_size.width, frame_size.height);
        // Cut first, so that the view does not pan over the whole picture and off the face in its middle.
        let left = MovingPicture::new(cut_to_aspect(picture, left_size)?, left_size);
        Ok(Self { left, right: RepeatedVideo::open(video)?, right_size })
    }

    fn frame(&mut self) -> Result<Option<Mat>, FrameError> {
        let Some(left) = self.left.next().transpose()? else { return Ok(None) };
        let cut = cut_to_aspect(&self.right.next_picture()?, self.right_size)?;
        let mut right = Mat::default();
        resize(&cut, &mut right, self.right_size, 0.0, 0.0, INTER_AREA)?;
        let mut frame = Mat::default();
        hconcat2(&left, &right, &mut frame)?;
        Ok(Some(frame))
    }
}

impl Iterator for SideBySide {
    /// A frame, 8-bit, blue, green, red.
    type Item = Result<Mat, FrameError>;

    /// There is always a next frame, or the reason why not.
    fn next(&mut self) -> Option<Self::Item> {
        self.frame().transpose()
    }
}

/// The largest part in the middle of `picture` that has the aspect of `size`, to the nearest pixel.
fn cut_to_aspect(picture: &Mat, size: Size) -> opencv::Result<Mat> {
    let [columns, rows] = [picture.cols(), picture.rows()].map(f64::from);
    let scale = (columns / f64::from(size.width)).min(rows / f64::from(size.height));
    let side = |wanted: i32, most: i32| ((scale * f64::from(wanted)).round() as i32).clamp(1, most);
    let (width, height) = (side(size.width, picture.cols()), side(size.height, picture.rows()));
    let part = Rect::new((picture.cols() - width) / 2, (picture.rows() - height) / 2, width, height);
    Mat::roi(picture, part)?.try_clone()
}

/// The pictures of a video, again from the beginning after the last one.
struct RepeatedVideo {
    path: PathBuf,
    source: Source,
}

impl RepeatedVideo {
    fn open(path: &Path) -> Result<Self, SourceError> {
        Ok(Self { path: path.to_owned(), source: Source::open(path)? })
    }

    fn next_picture(&mut self) -> Result<Mat, SourceError> {
        let mut next = self.source.next();
        if next.is_none() {
            self.source = Source::open(&self.path)?;
            next = self.source.next();
        }
        next.unwrap_or_else(|| Err(SourceError::NoPicture { path: self.path.clone() })).map(|picture| picture.bgr)
    }
}

#[cfg(test)]
mod tests {
    use opencv::core::{CV_8UC3, Point, Scalar, Vec3b};
    use opencv::imgproc::{FILLED, LINE_8, circle};
    use opencv::videoio::VideoWriter;
    use tempfile::TempDir;

    use super::*;

    /// A video of three pictures, each with a green disc in the middle that is larger than the one before.
    fn video(folder: &TempDir, size: Size) -> PathBuf {
        let path = folder.path().join("clip.avi");
        let codec = VideoWriter::fourcc('M', 'J', 'P', 'G').unwrap();
        let mut writer = VideoWriter::new(&path, codec, 10.0, size, true).unwrap();
        for radius in [10, 15, 20] {
            let mut picture = Mat::new_size_with_default(size, CV_8UC3, Scalar::all(0.0)).unwrap();
            let center = Point::new(size.width / 2, size.height / 2);
            circle(&mut picture, center, radius, Scalar::new(0.0, 255.0, 0.0, 0.0), FILLED, LINE_8, 0).unwrap();
            writer.write(&picture).unwrap();
        }
        writer.release().unwrap();
        path
    }

    /// A red picture with a blue margin of a pixel at its left and right end.
    fn picture(width: i32, height: i32) -> Mat {
        let mut picture =
            Mat::new_rows_cols_with_default(height, width, CV_8UC3, Scalar::new(0.0, 0.0, 255.0, 0.0)).unwrap();
        for column in [0, width - 1] {
            for row in 0..height {
                *picture.at_2d_mut::<Vec3b>(row, column).unwrap() = Vec3b::from([255, 0, 0]);
            }
        }
        picture
    }

    /// The columns and rows where a channel is bright: first, last and number of each.
    fn extent(frame: &Mat, channel: usize) -> ([i32; 2], [i32; 2]) {
        let (mut columns, mut rows) = ([i32::MAX, -1], [i32::MAX, -1]);
        for (row, column) in (0..frame.rows()).flat_map(|row| (0..frame.cols()).map(move |column| (row, column))) {
            if frame.at_2d::<Vec3b>(row, column).unwrap()[channel] > 128 {
                columns = [columns[0].min(column), columns[1].max(column)];
                rows = [rows[0].min(row), rows[1].max(row)];
            }
        }
        (columns, rows)
    }

    #[test]
    fn the_picture_is_left_and_the_video_right_and_both_keep_their_aspect() {
        let folder = tempfile::tempdir().unwrap();
        // Wider than its half, as high as its half, and higher.
        for size in [Size::new(160, 80), Size::new(64, 96), Size::new(96, 160)] {
            let path = video(&folder, size);
            let mut frames = SideBySide::new(&picture(150, 90), &path, Size::new(151, 120)).unwrap();
            for radius in [10, 15, 20, 10] {
                let frame = frames.next().unwrap().unwrap();
                assert_eq!((frame.cols(), frame.rows(), frame.typ()), (151, 120, CV_8UC3));
                let (columns, rows) = extent(&frame, 2);
                assert_eq!((columns, rows), ([0, 74], [0, 119]), "the picture fills its half");
                // The blue margins were cut off with what does not fit.
                assert_eq!(extent(&frame, 0).0, [i32::MAX, -1]);
                let (columns, rows) = extent(&frame, 1);
                assert!((columns[0] + columns[1] - 2 * 113).abs() <= 2 && (rows[0] + rows[1] - 120).abs() <= 2);
                let scale = (76.0 / f64::from(size.width)).max(120.0 / f64::from(size.height));
                for [first, last] in [columns, rows] {
                    let diameter = f64::from(last - first + 1);
                    let expected = (scale * f64::from(2 * radius + 1)).min(if first == 75 { 76.0 } else { 120.0 });
                    assert!((diameter - expected).abs() <= 3.0, "{diameter} of {expected} pixels, {size:?}");
                }
            }
        }
    }

    #[test]
    fn a_video_that_is_missing_is_named() {
        let error = SideBySide::new(&picture(8, 9), Path::new("no/clip.mkv"), Size::new(64, 48)).err().unwrap();
        assert!(error.to_string().contains("no/clip.mkv"), "{error}");
    }

    #[test]
    fn a_video_that_is_gone_when_it_is_repeated_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = video(&folder, Size::new(96, 64));
        let mut frames = SideBySide::new(&picture(8, 9), &path, Size::new(64, 48)).unwrap();
        assert!(frames.by_ref().take(3).all(|frame| frame.is_ok()));
        std::fs::remove_file(&path).unwrap();
        let error = frames.next().unwrap().unwrap_err();
        assert!(error.to_string().contains("clip.avi"), "{error}");
    }
}
