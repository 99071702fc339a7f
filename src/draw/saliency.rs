//! Makes saliency visible: by itself as in the paper, and over the face in the camera's picture.

use opencv::core::{self, DataType, Mat, Point, Point2f, Size, Vec3b};
use opencv::imgproc::{self, apply_color_map, gaussian_blur_def, resize};
use opencv::prelude::*;

use crate::faces::BoundingBox;
use crate::saliency::Saliency;

/// Neighbouring pixels of a gradient flicker; this blur, in pixels of the network's input, lets regions appear.
const BLUR_PX: i32 = 5;

/// The share of pixels that an overlay shows at its full strength.
const SATURATED_SHARE: f32 = 0.01;

/// How much of the picture the strongest saliency hides.
const MAX_OPACITY: f32 = 0.7;

/// Saliency as the paper's figures show it: mean grey where the pixel does not matter, brighter where the value grows with
/// it, darker where it falls. (Of Grad-CAM, which has a mean above 0, what does not matter is darker than that.) Height x width,
/// 8-bit, one channel.
///
/// # Errors
/// Only those of OpenCV.
pub fn display(saliency: &Saliency) -> opencv::Result<Mat> {
    let count = saliency.values.len() as f32;
    let mean = saliency.values.iter().sum::<f32>() / count;
    let deviation = (saliency.values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / count).sqrt();
    // The numbers are those of the authors' program; float to integer saturates, so this clips to 0 to 255.
    let gray = |value: &f32| (255.0 * ((value - mean) / (deviation + 1e-5) * 0.1 + 0.5)).round() as u8;
    let pixels: Vec<u8> = saliency.values.iter().map(gray).collect();
    picture_of(&pixels, saliency.size)
}

/// How strongly each pixel matters, whichever way: 0 to 1, smoothed. Height x width, 32-bit float, one channel.
///
/// # Errors
/// Only those of OpenCV.
fn strength(saliency: &Saliency) -> opencv::Result<Mat> {
    let magnitudes: Vec<f32> = saliency.values.iter().map(|value| value.abs()).collect();
    let mut smooth = Mat::default();
    let blur = Size::new(BLUR_PX, BLUR_PX);
    gaussian_blur_def(&picture_of(&magnitudes, saliency.size)?, &mut smooth, blur, 0.0)?;
    let mut sorted = smooth.data_typed::<f32>()?.to_vec();
    sorted.sort_by(f32::total_cmp);
    let brightest = sorted[((1.0 - SATURATED_SHARE) * (sorted.len() - 1) as f32) as usize];
    for value in smooth.data_typed_mut::<f32>()? {
        *value = if brightest > 0.0 { (*value / brightest).min(1.0) } else { 0.0 };
    }
    Ok(smooth)
}

/// Values, row by row, as colours from black (0 or less) to light yellow (the largest). Height x width, 8-bit, blue, green,
/// red.
///
/// # Errors
/// Those of OpenCV, which refuses values that are not as many as the pixels of `size`.
pub fn heat_map(values: &[f32], size: Size) -> opencv::Result<Mat> {
    let largest = values.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    // Float to integer saturates.
    let bytes: Vec<u8> = values.iter().map(|value| (255.0 * value / largest).round() as u8).collect();
    let mut colors = Mat::default();
    apply_color_map(&picture_of(&bytes, size)?, &mut colors, imgproc::COLORMAP_INFERNO)?;
    Ok(colors)
}

/// Values, row by row, as grey from black (the smallest) to white (the largest). Height x width, 8-bit, one channel.
///
/// # Errors
/// Those of OpenCV, which refuses values that are not as many as the pixels of `size`.
pub fn stretched(values: &[f32], size: Size) -> opencv::Result<Mat> {
    let [smallest, largest] = [f32::min, f32::max].map(|pick| values.iter().copied().reduce(pick).unwrap_or(0.0));
    let range = (largest - smallest).max(f32::MIN_POSITIVE);
    let pixels: Vec<u8> = values.iter().map(|value| (255.0 * (value - smallest) / range).round() as u8).collect();
    picture_of(&pixels, size)
}

/// Pixels, row by row, as a picture: height x width, one channel.
///
/// # Errors
/// Those of OpenCV, which refuses pixels that are not as many as `size` has.
pub fn picture_of<T: DataType>(pixels: &[T], size: Size) -> opencv::Result<Mat> {
    Mat::new_rows_cols_with_data(size.height, size.width, pixels)?.try_clone()
}

/// Colours `bgr` (height x width, 8-bit, blue, green, red) where the pixels in `square` matter: the square that was cropped
/// for the network, of which parts may lie outside the picture. The crop was turned about its middle against `roll`, in radians,
/// positive where the right side is lower.
///
/// # Errors
/// Only those of OpenCV.
pub fn draw_saliency(bgr: &mut Mat, square: BoundingBox, roll: f32, saliency: &Saliency) -> opencv::Result<()> {
    let mut wide = Mat::default();
    let size = Size::new(square.width, square.height);
    resize(&strength(saliency)?, &mut wide, size, 0.0, 0.0, imgproc::INTER_LINEAR)?;
    let (place, wide) = if roll == 0.0 { (square, wide) } else { turned(square, roll, &wide)? };
    let Some(inside) = place.intersection(&BoundingBox::of_image(bgr.cols(), bgr.rows())) else { return Ok(()) };
    let (mut bytes, mut colors) = (Mat::default(), Mat::default());
    wide.convert_to(&mut bytes, core::CV_8U, 255.0, 0.0)?;
    apply_color_map(&bytes, &mut colors, imgproc::COLORMAP_INFERNO)?;
    let offset = Point::new(inside.x - place.x, inside.y - place.y);
    for row in 0..inside.height {
        let strengths = wide.at_row::<f32>(row + offset.y)?[offset.x as usize..].iter();
        let colors = colors.at_row::<Vec3b>(row + offset.y)?[offset.x as usize..].iter();
        let start = inside.x as usize;
        let pixels = bgr.at_row_mut::<Vec3b>(row + inside.y)?[start..start + inside.width as usize].iter_mut();
        for ((pixel, color), strength) in pixels.zip(colors).zip(strengths) {
            let opacity = MAX_OPACITY * strength;
            for channel in 0..3 {
                let (below, above) = (f32::from(pixel[channel]), f32::from(color[channel]));
                pixel[channel] = (below + opacity * (above - below)).round() as u8;
            }
        }
    }
    Ok(())
}

/// `values` of `square`, turned by `roll` about the middle, and the larger square in which they lie. Its corners are 0.
fn turned(square: BoundingBox, roll: f32, values: &Mat) -> opencv::Result<(BoundingBox, Mat)> {
    let growth = roll.sin().abs() + roll.cos().abs();
    let place = square.square_with_margin(f64::from(growth - 1.0) / 2.0);
    let middle_of = |length: i32| (length - 1) as f32 / 2.0;
    let middle = Point2f::new(middle_of(square.width), middle_of(square.height));
    let mut to_place = imgproc::get_rotation_matrix_2d(middle, -f64::from(roll.to_degrees()), 1.0)?;
    *to_place.at_2d_mut::<f64>(0, 2)? += f64::from(middle_of(place.width) - middle.x);
    *to_place.at_2d_mut::<f64>(1, 2)? += f64::from(middle_of(place.height) - middle.y);
    let mut turned = Mat::default();
    let size = Size::new(place.width, place.height);
    imgproc::warp_affine(
        values,
        &mut turned,
        &to_place,
        size,
        imgproc::INTER_LINEAR,
        core::BORDER_CONSTANT,
        core::Scalar::default(),
    )?;
    Ok((place, turned))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 6 x 4 pixels of nothing, but for the one in row 1 and column 4.
    fn one_pixel(value: f32) -> Saliency {
        let mut values = vec![0.0; 24];
        values[6 + 4] = value;
        Saliency { size: Size::new(6, 4), values, probabilities: vec![] }
    }

    // Mean 1/24 and deviation sqrt(23)/24 of one 1 among 24: (1 - 1/24) / deviation = sqrt(23), (0 - 1/24) / deviation =
    // -1 / sqrt(23).
    #[test]
    fn the_display_is_the_authors_formula() {
        let shown = display(&one_pixel(1.0)).unwrap();
        assert_eq!((shown.cols(), shown.rows()), (6, 4));
        let root = 23.0_f32.sqrt();
        for (row, column, deviations) in [(1, 4, root), (0, 0, -1.0 / root), (3, 5, -1.0 / root)] {
            let expected = (255.0 * (0.1 * deviations + 0.5)).round();
            let got = f32::from(*shown.at_2d::<u8>(row, column).unwrap());
            assert!((got - expected).abs() <= 1.0, "{got}, expected {expected} at row {row}, column {column}");
        }
    }

    #[test]
    fn a_flat_gradient_is_shown_as_grey() {
        assert!(display(&one_pixel(0.0)).unwrap().data_bytes().unwrap().iter().all(|pixel| *pixel == 128));
        assert!(strength(&one_pixel(0.0)).unwrap().data_typed::<f32>().unwrap().iter().all(|value| *value == 0.0));
    }

    #[test]
    fn a_heat_map_is_brightest_at_the_largest_value() {
        let colors = heat_map(&[-3.0, 0.0, 1.0, 2.0, 4.0, 1.0], Size::new(3, 2)).unwrap();
        let brightness = |row: i32, column: i32| {
            let [blue, green, red] = colors.at_2d::<Vec3b>(row, column).unwrap().0.map(u16::from);
            blue + green + red
        };
        assert_eq!(brightness(0, 0), brightness(0, 1));
        assert!(brightness(0, 0) < brightness(0, 2) && brightness(0, 2) < brightness(1, 0));
        assert!(brightness(1, 1) > brightness(1, 0) && brightness(1, 2) == brightness(0, 2));
        assert!(heat_map(&[1.0; 5], Size::new(3, 2)).is_err());
    }

    #[test]
    fn a_stretched_picture_goes_from_black_to_white() {
        let shown = stretched(&[10.0, 20.0, 60.0, 35.0, 10.0, 60.0], Size::new(3, 2)).unwrap();
        assert_eq!((shown.cols(), shown.data_bytes().unwrap()), (3, &[0, 51, 255, 128, 0, 255][..]));
        assert_eq!(stretched(&[7.0; 6], Size::new(3, 2)).unwrap().data_bytes().unwrap(), [0; 6]);
    }

    #[test]
    fn an_overlay_lies_where_the_square_was_and_stays_inside_the_picture() {
        // The square of 12 x 12 leaves the picture of 20 x 9 on three sides: its left part lies outside.
        let square = BoundingBox { x: -5, y: -2, width: 12, height: 12 };
        let gray = Vec3b::from([90, 90, 90]);
        let mut bgr = Mat::new_rows_cols_with_default(9, 20, Vec3b::opencv_type(), core::Scalar::all(90.0)).unwrap();
        for value in [1.0, -1.0] {
            draw_saliency(&mut bgr, square, 0.0, &one_pixel(value)).unwrap();
        }
        // Row 1 of 4 and column 4 of 6 are rows 3 to 6 and columns 8 to 10 of the square: -2 and -5 in the picture.
        let brightest = *bgr.at_2d::<Vec3b>(2, 4).unwrap();
        assert!(brightest[2] > 150, "{brightest:?}");
        for row in 0..9 {
            for column in 7..20 {
                assert_eq!(*bgr.at_2d::<Vec3b>(row, column).unwrap(), gray, "row {row}, column {column}");
            }
        }
    }

    #[test]
    fn the_overlay_of_a_tilted_face_is_tilted() {
        let square = BoundingBox { x: 4, y: 3, width: 12, height: 12 };
        let overlay = |roll| {
            let mut bgr =
                Mat::new_rows_cols_with_default(19, 23, Vec3b::opencv_type(), core::Scalar::all(90.0)).unwrap();
            draw_saliency(&mut bgr, square, roll, &one_pixel(1.0)).unwrap();
            bgr
        };
        let [upright, tilted] = [0.0, std::f32::consts::FRAC_PI_2].map(overlay);
        let pixel = |picture: &Mat, row, column| *picture.at_2d::<Vec3b>(square.y + row, square.x + column).unwrap();
        // The pixel that matters is at the upper right, and at the lower right of a face whose right side is lower.
        assert!(pixel(&upright, 4, 9)[2] > 170 && pixel(&tilted, 9, 7)[2] > 170 && pixel(&tilted, 3, 7)[2] < 100);
        for (row, column) in (0..12).flat_map(|row| (0..12).map(move |column| (row, column))) {
            let (before, after) = (pixel(&upright, row, column), pixel(&tilted, column, 11 - row));
            let differ = before.0.iter().zip(after.0).any(|(before, after)| before.abs_diff(after) > 2);
            assert!(!differ, "row {row}, column {column}: {before:?} and {after:?}");
        }
    }

    #[test]
    fn an_overlay_outside_the_picture_changes_nothing() {
        let mut bgr = Mat::new_rows_cols_with_default(9, 20, Vec3b::opencv_type(), core::Scalar::all(90.0)).unwrap();
        draw_saliency(&mut bgr, BoundingBox { x: 30, y: 0, width: 5, height: 5 }, 0.0, &one_pixel(1.0)).unwrap();
        assert!(bgr.data_bytes().unwrap().iter().all(|byte| *byte == 90));
    }
}
