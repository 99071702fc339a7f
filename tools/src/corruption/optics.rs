//! Blur, resolution and compression.

use opencv::core::{BORDER_REPLICATE, CV_32FC1, Mat, Scalar, Size, Vector, add_weighted_def};
use opencv::imgcodecs::{IMREAD_GRAYSCALE, IMWRITE_JPEG_QUALITY, imdecode, imencode};
use opencv::imgproc::{INTER_AREA, INTER_LINEAR, gaussian_blur_def, resize, warp_affine};
use opencv::prelude::*;
use rand::Rng;

/// Moments of an exposure for each pixel of its way.
const MOMENTS_PER_PX: f64 = 2.0;

fn longer_side(picture: &Mat) -> i32 {
    picture.cols().max(picture.rows())
}

/// Blurred by a Gaussian whose standard deviation is this fraction of the longer side.
pub fn gaussian_blur(picture: &Mat, sigma: f64) -> opencv::Result<Mat> {
    let mut blurred = Mat::default();
    gaussian_blur_def(picture, &mut blurred, Size::default(), sigma * f64::from(longer_side(picture)))?;
    Ok(blurred)
}

/// The mean of the picture over its way along a line in a random direction. The length is a fraction of the longer side.
pub fn motion_blur(picture: &Mat, length: f64, numbers: &mut impl Rng) -> opencv::Result<Mat> {
    let length_px = length * f64::from(longer_side(picture));
    let (sin, cos) = (std::f64::consts::PI * numbers.random::<f64>()).sin_cos();
    let moments = (MOMENTS_PER_PX * length_px).ceil() as i32 + 1;
    let mut image = Mat::default();
    picture.convert_to_def(&mut image, CV_32FC1)?;
    let mut mean = Mat::zeros(image.rows(), image.cols(), CV_32FC1)?.to_mat()?;
    for moment in 0..moments {
        let away = length_px * (f64::from(moment) / f64::from((moments - 1).max(1)) - 0.5);
        let map = Mat::from_slice_2d(&[[1.0, 0.0, cos * away], [0.0, 1.0, sin * away]])?;
        let (mut moved, mut sum) = (Mat::default(), Mat::default());
        let size = image.size()?;
        warp_affine(&image, &mut moved, &map, size, INTER_LINEAR, BORDER_REPLICATE, Scalar::default())?;
        add_weighted_def(&mean, 1.0, &moved, 1.0 / f64::from(moments), 0.0, &mut sum)?;
        mean = sum;
    }
    let mut blurred = Mat::default();
    mean.convert_to_def(&mut blurred, opencv::core::CV_8UC1)?;
    Ok(blurred)
}

/// The picture, scaled down so that its longer side has at most this many pixels.
pub fn at_most(picture: &Mat, side_px: i32) -> opencv::Result<Mat> {
    if longer_side(picture) <= side_px {
        return picture.try_clone();
    }
    let factor = f64::from(side_px) / f64::from(longer_side(picture));
    let [width, height] =
        [picture.cols(), picture.rows()].map(|side| (f64::from(side) * factor).round().max(1.0) as i32);
    let mut small = Mat::default();
    resize(picture, &mut small, Size::new(width, height), 0.0, 0.0, INTER_AREA)?;
    Ok(small)
}

/// Encoded as JPEG of this quality and decoded.
pub fn jpeg(picture: &Mat, quality: i32) -> opencv::Result<Mat> {
    let mut bytes = Vector::new();
    imencode(".jpg", picture, &mut bytes, &Vector::from_slice(&[IMWRITE_JPEG_QUALITY, quality]))?;
    imdecode(&bytes, IMREAD_GRAYSCALE)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::tests::{mean, picture};
    use super::*;

    fn at(picture: &Mat, x: i32, y: i32) -> f64 {
        f64::from(*picture.at_2d::<u8>(y, x).unwrap())
    }

    /// A white point in the middle of 41 x 31 black pixels.
    fn point() -> Mat {
        let mut point = Mat::zeros(31, 41, opencv::core::CV_8UC1).unwrap().to_mat().unwrap();
        *point.at_2d_mut::<u8>(15, 20).unwrap() = 255;
        point
    }

    #[test]
    fn a_gaussian_has_the_width_that_is_asked_for() {
        // 0.05 of 41 are 2.05 pixels: at that distance the blurred point has exp(-1/2) of its peak.
        let blurred = gaussian_blur(&point(), 0.05).unwrap();
        let ratio = at(&blurred, 22, 15) / at(&blurred, 20, 15);
        assert!((ratio - (-0.5 * (2.0_f64 / 2.05).powi(2)).exp()).abs() < 0.1, "{ratio}");
    }

    #[test]
    fn a_motion_spreads_a_point_along_a_line_of_its_length() {
        // 0.2 of 41 are 8.2 pixels.
        for seed in 0..8 {
            let blurred = motion_blur(&point(), 0.2, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
            let lit = (0..31).flat_map(|y| (0..41).map(move |x| (x, y))).filter(|(x, y)| at(&blurred, *x, *y) > 2.0);
            let lit: Vec<_> = lit.map(|(x, y)| (f64::from(x - 20), f64::from(y - 15))).collect();
            let longest = lit.iter().map(|(x, y)| x.hypot(*y)).fold(0.0, f64::max);
            assert!((3.0..=5.6).contains(&longest), "{longest}");
            // A line: few pixels, of a disc of that radius.
            assert!(lit.len() < 34, "{}", lit.len());
        }
        let (before, after) = (picture(), motion_blur(&picture(), 0.1, &mut ChaCha8Rng::seed_from_u64(1)).unwrap());
        assert!((mean(&before) - mean(&after)).abs() < 6.0);
    }

    #[test]
    fn a_picture_is_scaled_down_and_never_up() {
        let small = at_most(&picture(), 30).unwrap();
        assert_eq!((small.cols(), small.rows()), (30, 20));
        let same = at_most(&picture(), 96).unwrap();
        assert_eq!(same.data_bytes().unwrap(), picture().data_bytes().unwrap());
    }

    #[test]
    fn a_lower_quality_is_farther_from_the_picture() {
        let distance = |quality| {
            let (coded, before) = (jpeg(&picture(), quality).unwrap(), picture());
            let pairs = coded.data_bytes().unwrap().iter().zip(before.data_bytes().unwrap());
            pairs.map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum::<f64>()
        };
        assert!(distance(10) > 1.5 * distance(50) && distance(50) > distance(98));
    }
}
