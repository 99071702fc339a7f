//! The square picture of one face that a network takes.

use opencv::core::{self, Mat, Point2f, Scalar, Size};
use opencv::imgproc::{self, resize};
use opencv::prelude::*;

use crate::faces::{BoundingBox, Landmarks};

/// A head is turned upright from this roll on, in degrees. Landmarks are not exact: turned by their error, upright faces would be
/// classified a little worse. The example `tilted_faces` measures both.
const MIN_ROLL_DEGREES: f32 = 10.0;

/// A face in an image, and how far its head is tilted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TiltedFace {
    /// Where the face is, in pixels.
    pub roi: BoundingBox,
    /// The roll of the head in radians, positive where the right eye is lower; 0 where it is not clearly tilted.
    pub roll: f32,
}

impl TiltedFace {
    /// The face at `roi` with these `landmarks`, if they are known.
    pub fn new(roi: BoundingBox, landmarks: Option<&Landmarks>) -> Self {
        let roll = landmarks.map(Landmarks::roll).filter(|roll| roll.to_degrees().abs() >= MIN_ROLL_DEGREES);
        Self { roi, roll: roll.unwrap_or(0.0) }
    }
}

impl From<BoundingBox> for TiltedFace {
    fn from(roi: BoundingBox) -> Self {
        Self { roi, roll: 0.0 }
    }
}

/// Cuts `face` with a `margin` (a fraction of its longer side, added on each side) and scales it to `size`. A tilted face is
/// turned about its middle until it is upright.
///
/// `gray` is height x width, 8-bit, one channel, and so is the result. Where the square with its margin leaves the
/// image, the image's border is continued outwards, so that no face is distorted. To shrink, the average over areas is
/// taken. To enlarge, pixels are interpolated linearly. Each of the two is the more accurate one in its case:
/// models/README.md has the figures.
///
/// # Errors
/// [`CropError::OutsideImage`] where the box and the image have no pixel in common.
pub fn crop_face(
    gray: &impl MatTraitConst,
    face: impl Into<TiltedFace>,
    margin: f64,
    size: Size,
) -> Result<Mat, CropError> {
    let (mut part, mut crop) = (Mat::default(), Mat::default());
    write_crop(gray, face.into(), margin, size, &mut part, &mut crop)?;
    Ok(crop)
}

/// Writes what [`crop_face`] gives into `crop`, by way of `part`. Their memory is used again where it has the same size.
pub(super) fn write_crop(
    gray: &impl MatTraitConst,
    face: TiltedFace,
    margin: f64,
    size: Size,
    part: &mut Mat,
    crop: &mut Mat,
) -> Result<(), CropError> {
    let TiltedFace { roi, roll } = face;
    let image = BoundingBox::of_image(gray.cols(), gray.rows());
    let outside = CropError::OutsideImage { face: roi };
    if roi.intersection(&image).is_none() {
        return Err(outside);
    }
    let square = roi.square_with_margin(margin);
    let Some(inside) = square.intersection(&image) else { return Err(outside) };
    let interpolation = if square.width > size.width { imgproc::INTER_AREA } else { imgproc::INTER_LINEAR };
    if roll != 0.0 {
        turn(gray, square, roll, part)?;
    } else if inside == square {
        resize(&Mat::roi(gray, inside.into())?, crop, size, 0.0, 0.0, interpolation)?;
        return Ok(());
    } else {
        core::copy_make_border_def(
            &Mat::roi(gray, inside.into())?,
            part,
            inside.y - square.y,
            square.bottom() - inside.bottom(),
            inside.x - square.x,
            square.right() - inside.right(),
            // Isolated, because `gray` may be a part of a larger picture, whose pixels must not appear.
            core::BORDER_REPLICATE | core::BORDER_ISOLATED,
        )?;
    }
    resize(part, crop, size, 0.0, 0.0, interpolation)?;
    Ok(())
}

/// Writes the `square` of `gray`, turned about its middle against `roll` (radians).
fn turn(gray: &impl MatTraitConst, square: BoundingBox, roll: f32, upright: &mut Mat) -> opencv::Result<()> {
    // OpenCV maps the middle of a pixel to its integer coordinates.
    let middle_of = |begin: i32, length: i32| begin as f32 + (length - 1) as f32 / 2.0;
    let middle = Point2f::new(middle_of(square.x, square.width), middle_of(square.y, square.height));
    let mut to_crop = imgproc::get_rotation_matrix_2d(middle, f64::from(roll.to_degrees()), 1.0)?;
    *to_crop.at_2d_mut::<f64>(0, 2)? -= f64::from(square.x);
    *to_crop.at_2d_mut::<f64>(1, 2)? -= f64::from(square.y);
    let image = BoundingBox::of_image(gray.cols(), gray.rows());
    imgproc::warp_affine(
        &Mat::roi(gray, image.into())?,
        upright,
        &to_crop,
        Size::new(square.width, square.height),
        imgproc::INTER_LINEAR,
        core::BORDER_REPLICATE,
        Scalar::default(),
    )
}

/// The picture with left and right exchanged.
///
/// # Errors
/// Only those of OpenCV.
pub fn mirror(picture: &Mat) -> opencv::Result<Mat> {
    let mut mirrored = Mat::default();
    write_mirrored(picture, &mut mirrored)?;
    Ok(mirrored)
}

/// Writes what [`mirror`] gives. The memory of `mirrored` is used again where it has the same size.
pub(super) fn write_mirrored(picture: &Mat, mirrored: &mut Mat) -> opencv::Result<()> {
    /// OpenCV's code for a flip that exchanges left and right.
    const ABOUT_THE_VERTICAL: i32 = 1;
    core::flip(picture, mirrored, ABOUT_THE_VERTICAL)
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

    /// The face at `roi`, tilted by `degrees`.
    fn tilted(roi: BoundingBox, degrees: f32) -> TiltedFace {
        TiltedFace { roi, roll: degrees.to_radians() }
    }

    #[test]
    fn only_a_clearly_tilted_head_has_a_roll() {
        let roi = BoundingBox { x: 10, y: 20, width: 100, height: 100 };
        for degrees in [-40.0_f32, -11.0, -9.0, 0.0, 8.0, 12.0, 85.0] {
            let (sine, cosine) = degrees.to_radians().sin_cos();
            let upright = [(-0.2, -0.1), (0.2, -0.1), (0.0, 0.1), (-0.16, 0.27), (0.16, 0.27)];
            let points =
                upright.map(|(u, v)| (60.0 + 100.0 * (cosine * u - sine * v), 70.0 + 100.0 * (sine * u + cosine * v)));
            let roll = TiltedFace::new(roi, Some(&Landmarks(points))).roll.to_degrees();
            let expected = if degrees.abs() > 10.0 { degrees } else { 0.0 };
            assert!((roll - expected).abs() < 0.5, "{degrees}: {roll}");
        }
        assert_eq!(TiltedFace::new(roi, None), roi.into());
    }

    #[test]
    fn the_crop_of_an_upright_face_is_that_of_its_box() {
        let gray = wide_rows();
        for face in [
            BoundingBox { x: 4, y: 1, width: 8, height: 8 },
            BoundingBox { x: -3, y: 5, width: 9, height: 9 },
            BoundingBox { x: 20, y: -2, width: 11, height: 11 },
        ] {
            for margin in [0.0, 0.3] {
                let upright = crop_face(&gray, tilted(face, 0.001), margin, Size::new(16, 12)).unwrap();
                let plain = crop_face(&gray, face, margin, Size::new(16, 12)).unwrap();
                let difference = core::norm2_def(&upright, &plain).unwrap() / f64::from(16 * 12);
                // OpenCV's warp rounds its weights to 1/32.
                assert!(difference < 0.5, "{face:?}, margin {margin}: {difference}");
            }
        }
    }

    #[test]
    fn a_tilted_face_stands_upright_in_its_crop() {
        // Turned by 90 degrees clockwise, the picture's columns become rows. The pixels stay the same.
        let gray = Mat::roi(&wide_rows(), Rect::new(0, 0, COLUMNS, ROWS)).unwrap().try_clone().unwrap();
        let mut turned = Mat::default();
        core::rotate(&gray, &mut turned, core::ROTATE_90_CLOCKWISE).unwrap();
        let face = BoundingBox { x: 6, y: 2, width: 8, height: 8 };
        let turned_face = BoundingBox { x: ROWS - face.bottom(), y: face.x, ..face };
        let crop = crop_face(&turned, tilted(turned_face, 90.0), 0.0, Size::new(8, 8)).unwrap();
        let expected = crop_face(&gray, face, 0.0, Size::new(8, 8)).unwrap();
        let difference = core::norm2_def(&crop, &expected).unwrap() / 64.0;
        assert!(difference < 0.5, "{difference}");
    }

    #[test]
    fn a_tilted_face_outside_the_image_has_no_crop() {
        let face = BoundingBox { x: COLUMNS + 5, y: 0, width: 8, height: 8 };
        let crop = crop_face(&wide_rows(), tilted(face, 20.0), 0.0, Size::new(8, 8));
        assert!(matches!(crop, Err(CropError::OutsideImage { .. })));
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
