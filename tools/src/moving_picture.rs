//! A moving picture, in place of a camera.

use std::f64::consts::TAU;

use opencv::core::{self, Mat, Scalar, Size};
use opencv::imgproc::{self, warp_affine};
use opencv::prelude::*;

/// Number of frames after which the motion repeats.
pub const PERIOD_FRAMES: u32 = 240;

/// The largest zoom, relative to the view that fills the frame.
const MAX_ZOOM: f64 = 1.4;

/// A view that pans and zooms over a picture and never leaves it.
///
/// The view stays in the upper part of the picture, where portraits have their face. Frame `n` and frame
/// `n + PERIOD_FRAMES` are equal, so that a sequence can be measured again.
pub struct MovingPicture {
    picture: Mat,
    frame_size: Size,
    next_frame: u32,
}

impl MovingPicture {
    /// Moves `picture` (height x width, 8-bit, any channels, not empty). Frames have `frame_size` pixels.
    pub fn new(picture: Mat, frame_size: Size) -> Self {
        Self { picture, frame_size, next_frame: 0 }
    }

    fn render(&self, frame_number: u32) -> opencv::Result<Mat> {
        let phase = TAU * f64::from(frame_number % PERIOD_FRAMES) / f64::from(PERIOD_FRAMES);
        let [width, height] = [self.frame_size.width, self.frame_size.height].map(f64::from);
        let [columns, rows] = [self.picture.cols(), self.picture.rows()].map(f64::from);
        // Zoom, horizontal pan and vertical pan have different speeds, so that few frames are alike.
        let zoom = 1.0 + (MAX_ZOOM - 1.0) * (0.5 - 0.5 * phase.cos());
        let scale = zoom * (width / columns).max(height / rows);
        let left = (columns * scale - width) * (0.5 + 0.5 * (2.0 * phase).sin());
        let top = 0.3 * (rows * scale - height) * (0.5 - 0.5 * (3.0 * phase).cos());
        let view = Mat::from_slice_2d(&[[scale, 0.0, -left], [0.0, scale, -top]])?;
        let mut frame = Mat::default();
        warp_affine(
            &self.picture,
            &mut frame,
            &view,
            self.frame_size,
            imgproc::INTER_LINEAR,
            core::BORDER_REPLICATE,
            Scalar::default(),
        )?;
        Ok(frame)
    }
}

impl Iterator for MovingPicture {
    /// A frame with the channels of the picture.
    type Item = opencv::Result<Mat>;

    /// There is always a next frame.
    fn next(&mut self) -> Option<Self::Item> {
        let frame = self.render(self.next_frame);
        self.next_frame = (self.next_frame + 1) % PERIOD_FRAMES;
        Some(frame)
    }
}
