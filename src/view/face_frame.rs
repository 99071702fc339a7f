//! The coordinate frame of a face: its origin between the eyes, x out of the face, y to its left, z up, as REP-155 has it.

use super::CameraModel;
use super::pose::Shape;
use crate::faces::{BoundingBox, Landmarks};

/// How far the eyes are above the middle of the box, in sides of the box: in faces from the front (1,309 of UTKFace).
const EYES_ABOVE_MIDDLE: f64 = 0.10;

/// A face in the camera's optical frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceFrame {
    /// The point between the eyes, in metres.
    pub origin: [f64; 3],
    /// Unit vectors: x out of the face, y to its left, z up.
    pub axes: [[f64; 3]; 3],
}

impl FaceFrame {
    /// The frame of a face at `meters` from the camera. Without landmarks, the face looks at the camera. Nodding is not known.
    /// `None` where the lens shows nothing there.
    pub fn new(camera: &CameraModel, roi: &BoundingBox, landmarks: Option<&Landmarks>, meters: f64) -> Option<Self> {
        let between_the_eyes = match landmarks {
            Some(Landmarks([left, right, ..])) => {
                (f64::from(left.0 + right.0) / 2.0, f64::from(left.1 + right.1) / 2.0)
            }
            None => {
                let (x, y) = roi.center();
                (x, y - EYES_ABOVE_MIDDLE * f64::from(roi.height))
            }
        };
        let ray = camera.ray(between_the_eyes)?;
        let (sine, cosine) = landmarks.map_or(0.0, |landmarks| f64::from(landmarks.roll())).sin_cos();
        // Of a face that looks at the camera: towards the camera, and up along the tilted face.
        let forward = ray.map(|part| -part);
        let tilted = [sine, -cosine, 0.0];
        let along = dot(tilted, forward);
        let up = unit([0, 1, 2].map(|n| tilted[n] - along * forward[n]))?;
        let left = cross(up, forward);
        let (sine, cosine) = landmarks.and_then(Shape::new).map_or(0.0, |shape| shape.yaw()).sin_cos();
        let turned = [0, 1, 2].map(|n| cosine * forward[n] + sine * left[n]);
        Some(Self { origin: ray.map(|part| part * meters), axes: [turned, cross(up, turned), up] })
    }

    /// The rotation from the face's frame to the camera's optical one, as a unit quaternion x, y, z, w.
    pub fn rotation(&self) -> [f64; 4] {
        quaternion(self.axes)
    }

    /// The rotation of the optical frame that looks where the face looks: z out of the face, x to its right, y down.
    pub fn gaze_rotation(&self) -> [f64; 4] {
        let [out, left, up] = self.axes;
        quaternion([left.map(|part| -part), up.map(|part| -part), out])
    }
}

/// The unit quaternion x, y, z, w of the rotation whose axes are these (Shepperd 1978).
fn quaternion([x, y, z]: [[f64; 3]; 3]) -> [f64; 4] {
    let candidates = [
        [1.0 + x[0] - y[1] - z[2], x[1] + y[0], z[0] + x[2], y[2] - z[1]],
        [x[1] + y[0], 1.0 - x[0] + y[1] - z[2], y[2] + z[1], z[0] - x[2]],
        [z[0] + x[2], y[2] + z[1], 1.0 - x[0] - y[1] + z[2], x[1] - y[0]],
        [y[2] - z[1], z[0] - x[2], x[1] - y[0], 1.0 + x[0] + y[1] + z[2]],
    ];
    // Each is a multiple of the quaternion; the longest one is the most exact.
    let squared = |q: &[f64; 4]| q.iter().map(|part| part * part).sum::<f64>();
    let longest = candidates.iter().max_by(|a, b| squared(a).total_cmp(&squared(b)));
    longest.map_or([0.0, 0.0, 0.0, 1.0], |q| q.map(|part| part / squared(q).sqrt()))
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn cross([a, b, c]: [f64; 3], [x, y, z]: [f64; 3]) -> [f64; 3] {
    [b * z - c * y, c * x - a * z, a * y - b * x]
}

fn unit(vector: [f64; 3]) -> Option<[f64; 3]> {
    let length = dot(vector, vector).sqrt();
    (length > 1e-9).then(|| vector.map(|part| part / length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Calibration;

    fn camera() -> CameraModel {
        let k = [600.0, 0.0, 310.0, 0.0, 590.0, 250.0, 0.0, 0.0, 1.0];
        let distortion_model = "plumb_bob".to_owned();
        CameraModel::new(&Calibration { width: 640, height: 480, k, distortion_model, ..Default::default() }).unwrap()
    }

    /// A vector in the frame of the rotation, in the frame outside.
    fn rotate([x, y, z, w]: [f64; 4], v: [f64; 3]) -> [f64; 3] {
        let t = cross([x, y, z], v).map(|part| 2.0 * part);
        let u = cross([x, y, z], t);
        [0, 1, 2].map(|n| v[n] + w * t[n] + u[n])
    }

    fn check(what: &str, got: [f64; 3], expected: [f64; 3], tolerance: f64) {
        let near = got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < tolerance);
        assert!(near, "{what}: {got:?}, expected {expected:?}");
    }

    const ROI: BoundingBox = BoundingBox { x: 250, y: 200, width: 120, height: 120 };

    #[test]
    fn a_face_without_landmarks_looks_at_the_camera() {
        let frame = FaceFrame::new(&camera(), &ROI, None, 1.5).unwrap();
        // Between the eyes: the middle of the box is 310, 260.
        check("origin", frame.origin, [0.0, (248.0 - 250.0) / 590.0 * 1.5, 1.5], 1e-3);
        check("x", rotate(frame.rotation(), [1.0, 0.0, 0.0]), [0.0, 0.0, -1.0], 0.01);
        check("y", rotate(frame.rotation(), [0.0, 1.0, 0.0]), [1.0, 0.0, 0.0], 0.01);
        check("z", rotate(frame.rotation(), [0.0, 0.0, 1.0]), [0.0, -1.0, 0.0], 0.01);
        check("gaze", rotate(frame.gaze_rotation(), [0.0, 0.0, 1.0]), [0.0, 0.0, -1.0], 0.01);
        check("right of the gaze", rotate(frame.gaze_rotation(), [1.0, 0.0, 0.0]), [-1.0, 0.0, 0.0], 0.01);
        check("below the gaze", rotate(frame.gaze_rotation(), [0.0, 1.0, 0.0]), [0.0, 1.0, 0.0], 0.01);
    }

    // The tip of the nose is shifted to the right of the image, and the eyes are closer to each other.
    #[test]
    fn a_face_that_is_turned_to_the_right_of_the_image_looks_there() {
        let landmarks = Landmarks([(296.0, 240.0), (332.0, 240.0), (326.0, 262.0), (300.0, 284.0), (330.0, 284.0)]);
        let frame = FaceFrame::new(&camera(), &ROI, Some(&landmarks), 2.0).unwrap();
        let [out, ..] = frame.axes;
        assert!(out[0] > 0.4 && out[2] < -0.6, "{out:?}");
        let mirrored = Landmarks(landmarks.0.map(|(x, y)| (620.0 - x, y)));
        let [out, ..] = FaceFrame::new(&camera(), &ROI, Some(&mirrored), 2.0).unwrap().axes;
        assert!(out[0] < -0.4 && out[2] < -0.6, "{out:?}");
    }

    // By 30 degrees, so that the right eye in the image is the lower one. From the side, the camera sees it as from the front.
    #[test]
    fn a_tilted_face_is_tilted_in_space_and_its_axes_are_a_rotation() {
        let (sine, cosine) = 30_f32.to_radians().sin_cos();
        let upright = [(-22.0, -12.0), (22.0, -12.0), (0.0, 10.0), (-18.0, 30.0), (18.0, 30.0)];
        for (x, y) in [(310.0, 250.0), (560.0, 90.0)] {
            let points = upright.map(|(u, v): (f32, f32)| (x + cosine * u - sine * v, y + sine * u + cosine * v));
            let frame = FaceFrame::new(&camera(), &ROI, Some(&Landmarks(points)), 1.0).unwrap();
            let [out, left, up] = frame.axes;
            if x < 400.0 {
                check("up", up, [f64::from(sine), -f64::from(cosine), 0.0], 0.03);
            }
            check("left", cross(up, out), left, 1e-9);
            for (a, b) in [(out, left), (left, up), (up, out)] {
                assert!(dot(a, b).abs() < 1e-9 && (dot(a, a) - 1.0).abs() < 1e-9, "{a:?} {b:?}");
            }
            for (axis, expected) in [([1.0, 0.0, 0.0], out), ([0.0, 1.0, 0.0], left), ([0.0, 0.0, 1.0], up)] {
                check("axis", rotate(frame.rotation(), axis), expected, 1e-9);
            }
        }
    }
}
