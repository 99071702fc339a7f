//! How much the crop of a face is worth: what its answer counts beside those of other frames.

use std::f64::consts::PI;

use opencv::core::{CV_32F, Mat, NORM_L1, Scalar, Size, mean_std_dev_def, no_array, norm};
use opencv::imgproc::{self, filter_2d_def, laplacian_def, resize};
use opencv::prelude::*;

use super::Workspace;
use crate::faces::{BoundingBox, FoundFace, Landmarks};

/// From this side on, in pixels, a face is as good as a larger one. Those of FER-2013 have 48.
const FULL_SIDE_PX: f64 = 48.0;
/// The side in pixels at which the sharpness is measured.
const SHARPNESS_SIDE_PX: i32 = 48;
/// From this ratio of the deviations of the second derivative and of the picture on, a face is sharp.
const FULL_SHARPNESS: f64 = 0.3;
/// By how much the second derivative (kernel 0 1 0, 1 -4 1, 0 1 0) raises the variance of noise.
const LAPLACIAN_NOISE_GAIN: f64 = 20.0;
/// No answer counts less than this: a face that is always small is still classified.
const MIN_WORTH: f64 = 0.05;

/// The worth of `face` in `gray` (height x width, 8-bit, one channel), 0.05 to 1: by its size, its sharpness, how sure the
/// finder is, and how frontal it is, as far as the finder tells.
///
/// # Errors
/// Only those of OpenCV.
pub fn crop_worth(gray: &Mat, face: &FoundFace, workspace: &mut Workspace) -> opencv::Result<f64> {
    let size = (face.roi.longer_side() / FULL_SIDE_PX).min(1.0);
    let sharpness = (sharpness(gray, face.roi, workspace)? / FULL_SHARPNESS).min(1.0);
    let frontality = face.landmarks.as_ref().map_or(1.0, frontality);
    let worth = size * sharpness * frontality * f64::from(face.confidence).clamp(0.0, 1.0);
    Ok(if worth.is_finite() { worth.clamp(MIN_WORTH, 1.0) } else { MIN_WORTH })
}

/// Deviation of the second derivative by that of the picture, without what the noise adds to it. At the same size for all faces.
fn sharpness(gray: &Mat, face: BoundingBox, workspace: &mut Workspace) -> opencv::Result<f64> {
    let Some(inside) = face.intersection(&BoundingBox::of_image(gray.cols(), gray.rows())) else { return Ok(0.0) };
    let visible = Mat::roi(gray, inside.into())?;
    let interpolation = if inside.width > SHARPNESS_SIDE_PX { imgproc::INTER_AREA } else { imgproc::INTER_LINEAR };
    let side = Size::new(SHARPNESS_SIDE_PX, SHARPNESS_SIDE_PX);
    let Workspace { small, filtered, .. } = workspace;
    resize(&visible, small, side, 0.0, 0.0, interpolation)?;
    laplacian_def(small, filtered, CV_32F)?;
    let of_derivative = deviation(filtered)?.powi(2);
    let of_noise = LAPLACIAN_NOISE_GAIN * noise_deviation(small, filtered)?.powi(2);
    Ok((of_derivative - of_noise).max(0.0).sqrt() / deviation(small)?.max(1.0))
}

/// Deviation of the noise in grey levels, after Immerkær, "Fast Noise Variance Estimation" (1996): by a filter that gives 0 on
/// edges and slopes. After a resize, pixels share noise, and the estimate is too small.
fn noise_deviation(picture: &Mat, filtered: &mut Mat) -> opencv::Result<f64> {
    const FILTER: [f32; 9] = [1.0, -2.0, 1.0, -2.0, 4.0, -2.0, 1.0, -2.0, 1.0];
    /// The root of the sum of the filter's squares.
    const GAIN: f64 = 6.0;
    filter_2d_def(picture, filtered, CV_32F, &Mat::new_rows_cols_with_data(3, 3, &FILTER)?)?;
    let mean_absolute = norm(filtered, NORM_L1, &no_array())? / picture.total().max(1) as f64;
    Ok((PI / 2.0).sqrt() * mean_absolute / GAIN)
}

fn deviation(picture: &Mat) -> opencv::Result<f64> {
    let (mut mean, mut deviation) = (Scalar::default(), Scalar::default());
    mean_std_dev_def(picture, &mut mean, &mut deviation)?;
    Ok(deviation[0])
}

/// 1 for a nose midway between the eyes, 0 for one below an eye.
fn frontality(Landmarks([left, right, nose, ..]): &Landmarks) -> f64 {
    let (across, down) = (f64::from(right.0 - left.0), f64::from(right.1 - left.1));
    let along = f64::from(nose.0 - left.0) * across + f64::from(nose.1 - left.1) * down;
    let share = along / (across.powi(2) + down.powi(2)).max(1e-6);
    (1.0 - 2.0 * (share - 0.5).abs()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use opencv::core::{BORDER_DEFAULT, CV_8U, RNG, RNG_NORMAL, add};
    use opencv::imgcodecs::{IMREAD_GRAYSCALE, imread};

    use super::*;
    use crate::faces::FaceIds;

    const FACE: BoundingBox = BoundingBox { x: 176, y: 66, width: 95, height: 95 };

    fn face(landmarks: Option<Landmarks>) -> FoundFace {
        FoundFace {
            id: FaceIds::of_camera(0).next_id(),
            roi: FACE,
            seen: true,
            followed_since: Duration::ZERO,
            confidence: 1.0,
            landmarks,
        }
    }

    fn worth_of(gray: &Mat, face: &FoundFace) -> opencv::Result<f64> {
        crop_worth(gray, face, &mut Workspace::default())
    }

    fn portrait() -> Mat {
        imread(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astronaut.jpg"), IMREAD_GRAYSCALE).unwrap()
    }

    #[test]
    fn a_sharp_large_frontal_face_is_worth_most() {
        let gray = portrait();
        let sharp = worth_of(&gray, &face(None)).unwrap();
        assert!(sharp > 0.9, "{sharp}");
        let mut blurred = Mat::default();
        let kernel = Size::new(0, 0);
        imgproc::gaussian_blur(&gray, &mut blurred, kernel, 6.0, 6.0, BORDER_DEFAULT).unwrap();
        let blurred = worth_of(&blurred, &face(None)).unwrap();
        assert!(blurred < 0.5 * sharp, "{blurred}");
        let small = FoundFace { roi: BoundingBox { width: 24, height: 24, ..FACE }, ..face(None) };
        assert!(worth_of(&gray, &small).unwrap() < 0.6);
        let doubtful = FoundFace { confidence: 0.3, ..face(None) };
        assert!(worth_of(&gray, &doubtful).unwrap() < 0.4);
        let outside = FoundFace { roi: BoundingBox { x: 9000, ..FACE }, ..face(None) };
        assert_eq!(worth_of(&gray, &outside).unwrap(), MIN_WORTH);
    }

    #[test]
    fn noise_does_not_make_a_blurred_face_sharp() {
        let gray = portrait();
        let mut blurred = Mat::default();
        let kernel = Size::new(0, 0);
        imgproc::gaussian_blur(&gray, &mut blurred, kernel, 6.0, 6.0, BORDER_DEFAULT).unwrap();
        let without_noise = worth_of(&blurred, &face(None)).unwrap();
        for deviation in [4.0, 8.0] {
            let mut noise = Mat::new_size_with_default(gray.size().unwrap(), CV_32F, Scalar::default()).unwrap();
            let mut random = RNG::new(1).unwrap();
            random.fill_def(&mut noise, RNG_NORMAL, &Scalar::default(), &Scalar::all(deviation)).unwrap();
            let mut noisy = Mat::default();
            add(&blurred, &noise, &mut noisy, &no_array(), CV_8U).unwrap();
            let with_noise = worth_of(&noisy, &face(None)).unwrap();
            assert!(with_noise < without_noise + 0.2, "{deviation}: {with_noise}, without noise {without_noise}");
        }
    }

    #[test]
    fn a_turned_face_is_worth_less_and_a_tilted_one_is_not() {
        let gray = portrait();
        let worth = |points| worth_of(&gray, &face(Some(Landmarks(points)))).unwrap();
        let mouth = [(200.0, 140.0), (240.0, 140.0)];
        let frontal = worth([(200.0, 100.0), (240.0, 100.0), (220.0, 120.0), mouth[0], mouth[1]]);
        let turned = worth([(200.0, 100.0), (240.0, 100.0), (236.0, 120.0), mouth[0], mouth[1]]);
        let tilted = worth([(200.0, 90.0), (230.0, 120.0), (201.0, 119.0), mouth[0], mouth[1]]);
        assert!(turned < 0.3 * frontal && tilted > 0.9 * frontal, "{frontal} {turned} {tilted}");
    }
}
