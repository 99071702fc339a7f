//! Boxes that are off, and heads that are tilted and turned.

use opencv::core::{BORDER_REPLICATE, Mat, Point2f, Scalar, Vec2f};
use opencv::imgproc::{INTER_LINEAR, get_rotation_matrix_2d, remap, warp_affine};
use opencv::prelude::*;
use rand::Rng;

use face_attributes::faces::BoundingBox;

/// Radius of the head as a fraction of the box's width.
const HEAD_RADIUS: f64 = 0.5;

/// The amount to one of both sides.
pub fn to_a_side(amount: f64, numbers: &mut impl Rng) -> f64 {
    if numbers.random() { amount } else { -amount }
}

/// A box that is off by this fraction of its longer side along both axes, to a random corner.
pub fn shifted_box(picture: &Mat, fraction: f64, numbers: &mut impl Rng) -> BoundingBox {
    let face = BoundingBox::of_image(picture.cols(), picture.rows());
    let mut shift = || (to_a_side(fraction, numbers) * face.longer_side()).round() as i32;
    BoundingBox { x: shift(), y: shift(), ..face }
}

/// A box about the same middle whose sides have this factor.
pub fn sized_box(picture: &Mat, factor: f64) -> BoundingBox {
    let [width, height] = [picture.cols(), picture.rows()].map(|side| (f64::from(side) * factor).round() as i32);
    BoundingBox { x: (picture.cols() - width) / 2, y: (picture.rows() - height) / 2, width, height }
}

/// The picture, rotated about its middle; positive is clockwise.
pub fn tilted(picture: &Mat, degrees: f64) -> opencv::Result<Mat> {
    let middle = [picture.cols(), picture.rows()].map(|side| (side - 1) as f32 / 2.0);
    let map = get_rotation_matrix_2d(Point2f::new(middle[0], middle[1]), -degrees, 1.0)?;
    let mut rotated = Mat::default();
    warp_affine(picture, &mut rotated, &map, picture.size()?, INTER_LINEAR, BORDER_REPLICATE, Scalar::default())?;
    Ok(rotated)
}

/// The picture as if it were on an upright cylinder that turns; positive moves its front to the right. The box of a detector
/// stays about the middle of the head.
pub fn turned(picture: &Mat, degrees: f64) -> opencv::Result<Mat> {
    let (width, height) = (picture.cols(), picture.rows());
    let radius = HEAD_RADIUS * f64::from(width);
    let middle = f64::from(width - 1) / 2.0;
    let source = |x: i32| {
        let angle = ((f64::from(x) - middle) / radius).clamp(-1.0, 1.0).asin() - degrees.to_radians();
        // Beyond a quarter turn lies the back of the head, of which the picture shows nothing.
        let quarter = std::f64::consts::FRAC_PI_2;
        (middle + radius * angle.clamp(-quarter, quarter).sin()) as f32
    };
    let columns: Vec<f32> = (0..width).map(source).collect();
    let rows: Vec<Vec<Vec2f>> =
        (0..height).map(|y| columns.iter().map(|x| Vec2f::from([*x, y as f32])).collect()).collect();
    let mut turned = Mat::default();
    let map = Mat::from_slice_2d(&rows)?;
    remap(picture, &mut turned, &map, &Mat::default(), INTER_LINEAR, BORDER_REPLICATE, Scalar::default())?;
    Ok(turned)
}

#[cfg(test)]
mod tests {
    use opencv::core::CV_8UC1;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// A white point in 61 x 41 black pixels.
    fn point(x: i32, y: i32) -> Mat {
        let mut point = Mat::zeros(41, 61, CV_8UC1).unwrap().to_mat().unwrap();
        *point.at_2d_mut::<u8>(y, x).unwrap() = 255;
        point
    }

    fn brightest(picture: &Mat) -> (i32, i32) {
        let pixels = (0..picture.rows()).flat_map(|y| (0..picture.cols()).map(move |x| (x, y)));
        pixels.max_by_key(|(x, y)| *picture.at_2d::<u8>(*y, *x).unwrap()).unwrap()
    }

    #[test]
    fn boxes_are_off_to_each_corner_by_what_is_asked_for() {
        let picture = point(0, 0);
        let boxes: Vec<_> =
            (0..40).map(|seed| shifted_box(&picture, 0.2, &mut ChaCha8Rng::seed_from_u64(seed))).collect();
        for corner in [(-12, -12), (-12, 12), (12, -12), (12, 12)] {
            assert!(boxes.iter().any(|face| (face.x, face.y) == corner), "{corner:?}");
        }
        assert!(boxes.iter().all(|face| (face.width, face.height) == (61, 41)));
        assert_eq!(sized_box(&picture, 0.8), BoundingBox { x: 6, y: 4, width: 49, height: 33 });
        assert_eq!(sized_box(&picture, 1.2), BoundingBox { x: -6, y: -4, width: 73, height: 49 });
    }

    #[test]
    fn a_tilt_turns_about_the_middle() {
        // 15 to the right of the middle, at 30,20: clockwise by 30 degrees it gets 13 to the right and 7.5 down.
        let (x, y) = brightest(&tilted(&point(45, 20), 30.0).unwrap());
        assert!((x - 43).abs() <= 1 && (27..=28).contains(&y), "{x},{y}");
    }

    #[test]
    fn a_turn_moves_the_front_and_keeps_the_rows() {
        // The radius is 30.5: the front moves by 30.5 sin 30.
        assert_eq!(brightest(&turned(&point(30, 11), 30.0).unwrap()), (45, 11));
        assert_eq!(brightest(&turned(&point(30, 11), -30.0).unwrap()), (15, 11));
        // What was half a radius to the right, at 30 degrees, is at 60.
        let (x, _) = brightest(&turned(&point(45, 30), 30.0).unwrap());
        assert!((55..=57).contains(&x), "{x}");
    }
}
