//! How far away a face is, by its size. People differ in size, so each answer has a standard error.

use super::CameraModel;
use super::pose::{EYES, Shape};
use crate::faces::{BoundingBox, Landmarks};

/// Distance of an adult's pupils, in metres: 63 mm with a standard deviation of 3.6 mm (Dodgson 2004).
const EYE_DISTANCE: f64 = 0.063;
/// Distance from the middle of the eyes to the middle of the mouth's corners, in metres, by its ratio to the distance of the eyes.
const MOUTH_DISTANCE: f64 = EYE_DISTANCE / EYES;
/// Side of the box around a face, in metres. In faces from the front, the eyes are 0.37 (search network, 142 in photographs) to 0.40
/// (cascades, 1,309 of UTKFace) of it apart.
const BOX_SIDE: f64 = EYE_DISTANCE / 0.39;

/// By how much people differ, as a share of the distance: the size of their faces and what the finder takes for eyes and mouth.
const SPREAD: f64 = 0.08;
/// The same for the box, which depends on how the head is turned as well.
const BOX_SPREAD: f64 = 0.11;
/// Standard deviation of a landmark in the image, in pixels and in sides of the box: that of the finder on faces from frame to frame.
const LANDMARK_PX: f64 = 0.6;
const LANDMARK_SHARE: f64 = 0.01;
/// The same for the side of the box.
const BOX_PX: f64 = 1.0;
const BOX_SHARE: f64 = 0.04;
/// Standard deviation of the sine of the angle to the side, by the shift of the nose.
const SINE_ERROR: f64 = 0.15;
/// Heads are so seldom turned more that the eyes tell nothing of the size there.
const LARGEST_SINE: f64 = 0.8;
/// The difference between the sizes by the eyes and by the mouth, as a logarithm, at which the larger one has 73 % of the weight.
/// Between people from the front, the standard deviation of the difference is 0.07.
const DIFFERENCE: f64 = 0.07;

/// What the size was measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PositionMethod {
    /// The distances between eyes and mouth.
    Landmarks,
    /// The box around the face.
    Box,
}

/// The distance of a face by one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Logarithm of the distance in metres.
    pub log_distance: f64,
    /// The part of the standard error that differs from image to image, as a share of the distance.
    pub noise: f64,
    /// The part that stays, as a share of the distance.
    pub spread: f64,
    /// By what it was measured.
    pub method: PositionMethod,
}

/// The distance of a face, by its landmarks, else by its box. `None` where the lens shows nothing there.
pub fn measure(camera: &CameraModel, roi: &BoundingBox, landmarks: Option<&Landmarks>) -> Option<Measured> {
    landmarks.and_then(|landmarks| by_landmarks(camera, roi, landmarks)).or_else(|| by_box(camera, roi))
}

/// A head that is turned to a side shows its eyes closer to each other, and one that nods shows its mouth closer to the eyes: so the
/// larger one of both sizes counts more, after the turn that the nose tells is taken out.
fn by_landmarks(camera: &CameraModel, roi: &BoundingBox, landmarks: &Landmarks) -> Option<Measured> {
    let shape = Shape::new(landmarks)?;
    let [left_eye, right_eye, _, left_mouth, right_mouth] = landmarks.0.map(|(x, y)| (f64::from(x), f64::from(y)));
    let ray = |pixel| camera.ray(pixel);
    let (left_eye, right_eye) = (ray(left_eye)?, ray(right_eye)?);
    let eyes = chord(left_eye, right_eye);
    let mouth = chord(middle(left_eye, right_eye), middle(ray(left_mouth)?, ray(right_mouth)?));
    if eyes <= 0.0 || mouth <= 0.0 {
        return None;
    }
    let sine = shape.sine.abs().min(LARGEST_SINE);
    let cosine = (1.0 - sine * sine).sqrt();
    // The logarithms of how many metres away the face is, by each of both.
    let by_eyes = (EYE_DISTANCE * cosine / eyes).ln();
    let by_mouth = (MOUTH_DISTANCE / mouth).ln();
    let weight = 1.0 / (1.0 + ((by_eyes - by_mouth) / DIFFERENCE).exp());
    let log_distance = weight * by_eyes + (1.0 - weight) * by_mouth;

    let side = roi.longer_side();
    // Of two points, in sides of the box; the distances between points are 0.37 to 0.4 of it.
    let of_points = (LANDMARK_PX / side).hypot(LANDMARK_SHARE) * std::f64::consts::SQRT_2;
    let noise_of_eyes = weight * of_points / (cosine * EYE_DISTANCE / BOX_SIDE);
    // The middle of two points is better than each.
    let noise_of_mouth = (1.0 - weight) * of_points / std::f64::consts::SQRT_2 / (MOUTH_DISTANCE / BOX_SIDE);
    let of_turn = weight * SINE_ERROR * sine / cosine;
    let noise = noise_of_eyes.hypot(noise_of_mouth).hypot(of_turn);
    Some(Measured { log_distance, noise, spread: SPREAD, method: PositionMethod::Landmarks })
}

/// By the longer side of the box: at the border of the image, a box is cut.
fn by_box(camera: &CameraModel, roi: &BoundingBox) -> Option<Measured> {
    let (x, y) = roi.center();
    let half = roi.longer_side() / 2.0;
    let (from, to) =
        if roi.width >= roi.height { ((x - half, y), (x + half, y)) } else { ((x, y - half), (x, y + half)) };
    let chord = chord(camera.ray(from)?, camera.ray(to)?);
    let noise = (BOX_PX / roi.longer_side()).hypot(BOX_SHARE);
    let log_distance = (BOX_SIDE / chord).ln();
    (chord > 0.0).then_some(Measured { log_distance, noise, spread: BOX_SPREAD, method: PositionMethod::Box })
}

/// How far two points at distance 1 in these directions are apart. Other than pixels by the focal length, it holds beside the
/// middle of the image and through every lens.
fn chord([a, b, c]: [f64; 3], [x, y, z]: [f64; 3]) -> f64 {
    ((a - x).powi(2) + (b - y).powi(2) + (c - z).powi(2)).sqrt()
}

fn middle([a, b, c]: [f64; 3], [x, y, z]: [f64; 3]) -> [f64; 3] {
    let sum = [a + x, b + y, c + z];
    let length = sum.iter().map(|part| part * part).sum::<f64>().sqrt();
    sum.map(|part| part / length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Calibration;

    fn camera() -> CameraModel {
        let k = [565.0, 0.0, 331.5, 0.0, 570.0, 228.5, 0.0, 0.0, 1.0];
        let d = vec![-0.31, 0.12, 0.0013, -0.0021, -0.018];
        let distortion_model = "plumb_bob".to_owned();
        CameraModel::new(&Calibration { width: 640, height: 480, k, d, distortion_model, ..Default::default() })
            .unwrap()
    }

    /// An average head whose eyes are at `place` in metres, turned to a side by `yaw` degrees and nodding by `pitch`.
    fn landmarks(place: [f64; 3], yaw: f64, pitch: f64) -> Landmarks {
        let ((sine, cosine), (pitch_sine, pitch_cosine)) = (yaw.to_radians().sin_cos(), pitch.to_radians().sin_cos());
        let mouth = MOUTH_DISTANCE;
        let half = EYE_DISTANCE / 2.0;
        let points = [
            [-half, 0.0, 0.0],
            [half, 0.0, 0.0],
            [0.0, 0.55 * mouth, -0.4 * mouth],
            [-0.026, mouth, 0.0],
            [0.026, mouth, 0.0],
        ];
        Landmarks(points.map(|[x, y, z]| {
            let (y, z) = (y * pitch_cosine - z * pitch_sine, y * pitch_sine + z * pitch_cosine);
            let (x, z) = (x * cosine + z * sine, z * cosine - x * sine);
            let (u, v) = camera().project([place[0] + x, place[1] + y, place[2] + z]).unwrap();
            (u as f32, v as f32)
        }))
    }

    fn box_around(Landmarks(points): Landmarks) -> BoundingBox {
        let (x, y) = ((points[0].0 + points[1].0) / 2.0, points[2].1);
        let side = (points[3].1 - points[0].1) / 0.37;
        BoundingBox { x: (x - side / 2.0) as i32, y: (y - side / 2.0) as i32, width: side as i32, height: side as i32 }
    }

    #[test]
    fn an_average_head_is_where_it_is_however_it_is_turned() {
        for place in [[0.0, 0.0, 0.5], [-0.45, 0.2, 1.0], [0.7, -0.5, 2.0], [1.4, 0.8, 3.0]] {
            let range = place.iter().map(|part| part * part).sum::<f64>().sqrt();
            for (yaw, pitch) in
                [(0.0, 0.0), (25.0, 0.0), (-45.0, 0.0), (60.0, 0.0), (0.0, 20.0), (0.0, -25.0), (30.0, 15.0)]
            {
                let landmarks = landmarks(place, yaw, pitch);
                let measured = measure(&camera(), &box_around(landmarks), Some(&landmarks)).unwrap();
                assert_eq!(measured.method, PositionMethod::Landmarks);
                let off = measured.log_distance.exp() / range - 1.0;
                let error = measured.noise.hypot(measured.spread);
                assert!(off.abs() < 0.09 && off.abs() < error, "{place:?} {yaw} {pitch}: {off:.3}, error {error:.3}");
            }
        }
    }

    // The box is cut by the border of the image: its longer side counts.
    #[test]
    fn without_landmarks_the_box_tells_the_distance() {
        let of = |x: i32, y: i32, width: i32, height: i32| {
            measure(&camera(), &BoundingBox { x, y, width, height }, None).unwrap()
        };
        for (x, y, width, height) in [(280, 180, 100, 100), (0, 180, 60, 100), (280, 0, 100, 55)] {
            let measured = of(x, y, width, height);
            assert_eq!(measured.method, PositionMethod::Box);
            let expected = BOX_SIDE * 567.0 / 100.0;
            assert!((measured.log_distance.exp() / expected - 1.0).abs() < 0.12, "{measured:?}");
        }
        assert!(of(280, 180, 20, 20).noise > of(280, 180, 100, 100).noise);
    }
}
