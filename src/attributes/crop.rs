//! The square picture of one face that a network takes.

use opencv::core::{self, Mat, Size};
use opencv::imgproc::{self, resize};
use opencv::prelude::*;

use crate::faces::BoundingBox;

/// Cuts `face` with a `margin` (a fraction of its longer side, added on each side) and scales it to `size`.
///
/// `gray` is height x width, 8-bit, one channel, and so is the result. Where the square with its margin leaves the
/// image, the image's border is continued outwards, so that no face is distorted. To shrink, the average over areas is
/// taken. To enlarge, pixels are interpolated linearly. Each of the two is the more accurate one in its case:
/// models/README.md has the figures.
///
/// # Errors
/// [`CropError::OutsideImage`] where the box and the image have no pixel in common.
pub fn crop_face(gray: &impl MatTraitConst, face: BoundingBox, margin: f64, size: Size) -> Result<Mat, CropError> {
    let image = BoundingBox::of_image(gray.cols(), gray.rows());
    face.intersection(&image).ok_or(CropError::OutsideImage { face })?;
    let square = face.square_with_margin(margin);
    let inside = square.intersection(&image).ok_or(CropError::OutsideImage { face })?;
    let visible = Mat::roi(gray, inside.into())?;
    let interpolation = if square.width > size.width { imgproc::INTER_AREA } else { imgproc::INTER_LINEAR };
    let mut crop = Mat::default();
    if inside == square {
        resize(&visible, &mut crop, size, 0.0, 0.0, interpolation)?;
    } else {
        let mut continued = Mat::default();
        core::copy_make_border_def(
            &visible,
            &mut continued,
            inside.y - square.y,
            square.bottom() - inside.bottom(),
            inside.x - square.x,
            square.right() - inside.right(),
            // Isolated, because `gray` may be a part of a larger picture, whose pixels must not appear.
            core::BORDER_REPLICATE | core::BORDER_ISOLATED,
        )?;
        resize(&continued, &mut crop, size, 0.0, 0.0, interpolation)?;
    }
    Ok(crop)
}

/// The picture with left and right exchanged.
///
/// # Errors
/// Only those of OpenCV.
pub fn mirror(picture: &Mat) -> opencv::Result<Mat> {
    /// OpenCV's code for a flip that exchanges left and right.
    const ABOUT_THE_VERTICAL: i32 = 1;
    let mut mirrored = Mat::default();
    core::flip(picture, &mut mirrored, ABOUT_THE_VERTICAL)?;
    Ok(mirrored)
}

/// Why a face has no crop.
#[derive(Debug, thiserror::Error)]
pub enum CropError {
    /// The box lies outside the image.
    #[error("{face:?} lies outside the image")]
    OutsideImage {
        /// The box asked for.
        face: BoundingBox,
    },
    /// OpenCV failed, for example for want of memory.
    #[error(transparent)]
    OpenCv(#[from] opencv::Error),
}

#[cfg(test)]
mod tests {
    use opencv::core::Rect;
    use proptest::prelude::*;

    use super::*;

    const COLUMNS: i32 = 23;
    const ROWS: i32 = 11;

    /// A picture without symmetry whose rows lie further apart than they are long.
    fn wide_rows() -> Mat {
        let rows: Vec<Vec<u8>> =
            (0..ROWS).map(|y| (0..COLUMNS + 5).map(|x| ((7 * x + 31 * y + x * y) % 251) as u8).collect()).collect();
        Mat::from_slice_2d(&rows).unwrap()
    }

    proptest! {
        /// Scaled by 1, a crop is the picture itself, or its nearest pixel where the square leaves it.
        #[test]
        fn a_crop_shows_the_picture_and_continues_its_border(
            x in -10..COLUMNS, y in -10..ROWS, width in 1..40, height in 1..40, margin in 0.0..1.0,
        ) {
            let wide = wide_rows();
            let gray = Mat::roi(&wide, Rect::new(0, 0, COLUMNS, ROWS)).unwrap();
            let face = BoundingBox { x, y, width, height };
            let square = face.square_with_margin(margin);
            let crop = crop_face(&gray, face, margin, Size::new(square.width, square.height));
            if face.intersection(&BoundingBox::of_image(COLUMNS, ROWS)).is_none() {
                let refused = matches!(crop, Err(CropError::OutsideImage { .. }));
                prop_assert!(refused);
                return Ok(());
            }
            let crop = crop.unwrap();
            for row in 0..crop.rows() {
                for column in 0..crop.cols() {
                    let nearest_y = (square.y + row).clamp(0, ROWS - 1);
                    let nearest_x = (square.x + column).clamp(0, COLUMNS - 1);
                    prop_assert_eq!(
                        crop.at_2d::<u8>(row, column).unwrap(),
                        gray.at_2d::<u8>(nearest_y, nearest_x).unwrap()
                    );
                }
            }
        }
    }

    #[test]
    fn a_crop_has_the_size_asked_for_whatever_the_size_of_the_face() {
        let gray = wide_rows();
        for (width, height) in [(1, 1), (3, 9), (COLUMNS, ROWS)] {
            let crop = crop_face(&gray, BoundingBox { x: 0, y: 0, width, height }, 0.4, Size::new(64, 48)).unwrap();
            assert_eq!((crop.cols(), crop.rows()), (64, 48));
        }
    }
}
