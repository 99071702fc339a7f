//! How a face looks, as far as that tells two tracks apart or shows that a place still has the face.

use opencv::core::{Mat, Size};
use opencv::imgproc::{self, resize};
use opencv::prelude::*;

use super::BoundingBox;

/// Side of a thumbnail, in pixels. Smaller than the errors of a detected box, so that these change it little.
const SIDE_PX: i32 = 16;

const PIXELS: usize = (SIDE_PX * SIDE_PX) as usize;

/// A small grey picture of a face, without its mean brightness and its contrast.
#[derive(Debug, Clone, PartialEq)]
pub struct Thumbnail([f32; PIXELS]);

impl Thumbnail {
    /// The thumbnail of `face` in `gray` (height x width, 8-bit, one channel), or `None` where the face lies outside the
    /// image or shows a single grey.
    ///
    /// # Errors
    /// Only those of OpenCV.
    pub fn of_face(gray: &Mat, face: BoundingBox) -> opencv::Result<Option<Self>> {
        let Some(inside) = face.intersection(&BoundingBox::of_image(gray.cols(), gray.rows())) else {
            return Ok(None);
        };
        let mut pixels = [0_u8; PIXELS];
        let visible = Mat::roi(gray, inside.into())?;
        let mut small = Mat::new_rows_cols_with_data_mut(SIDE_PX, SIDE_PX, &mut pixels)?;
        resize(&visible, &mut small, Size::new(SIDE_PX, SIDE_PX), 0.0, 0.0, imgproc::INTER_AREA)?;
        let pixels = pixels.map(f32::from);
        let mean = pixels.iter().sum::<f32>() / PIXELS as f32;
        let norm = pixels.iter().map(|pixel| (pixel - mean).powi(2)).sum::<f32>().sqrt();
        Ok((norm > 1.0).then(|| Self(pixels.map(|pixel| (pixel - mean) / norm))))
    }

    /// Normalised cross-correlation with `other`: 1 for the same picture, 0 for unrelated ones, -1 for the negative.
    pub fn similarity(&self, other: &Self) -> f64 {
        f64::from(self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum::<f32>())
    }
}

#[cfg(test)]
mod tests {
    use opencv::core::{CV_8UC1, add_weighted_def};

    use super::*;

    fn noise(width: i32, height: i32) -> Mat {
        let mut gray = Mat::new_rows_cols_with_default(height, width, CV_8UC1, 0.into()).unwrap();
        opencv::core::randu(&mut gray, &0.0, &255.0).unwrap();
        gray
    }

    #[test]
    fn a_darker_picture_of_less_contrast_is_the_same_and_another_place_is_not() {
        let gray = noise(90, 60);
        let mut darker = Mat::default();
        add_weighted_def(&gray, 0.5, &gray, 0.0, 20.0, &mut darker).unwrap();
        let of =
            |gray: &Mat, x| Thumbnail::of_face(gray, BoundingBox { x, y: 3, width: 40, height: 40 }).unwrap().unwrap();
        assert!(of(&gray, 5).similarity(&of(&darker, 5)) > 0.99);
        assert!(of(&gray, 5).similarity(&of(&gray, 50)).abs() < 0.4);
    }

    #[test]
    fn outside_the_image_and_on_one_grey_there_is_none() {
        let gray = noise(50, 30);
        let outside = BoundingBox { x: 60, y: 3, width: 10, height: 10 };
        assert_eq!(Thumbnail::of_face(&gray, outside).unwrap(), None);
        let flat = Mat::new_rows_cols_with_default(30, 50, CV_8UC1, 90.into()).unwrap();
        assert_eq!(Thumbnail::of_face(&flat, BoundingBox { x: 40, y: 3, width: 20, height: 20 }).unwrap(), None);
    }
}
