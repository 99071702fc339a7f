//! What a finder reports about a face in one frame.

use super::BoundingBox;

/// Intersection over union from which two boxes are the same face.
const SAME_FACE_IOU: f64 = 0.3;

/// Where a finder saw a face in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// The square that the attribute networks were trained for, in pixels, as OpenCV's frontal cascade marks a face. At the
    /// image's border it is clipped to the image.
    pub roi: BoundingBox,
    /// How sure the finder is, 0 to 1.
    pub confidence: f32,
    /// Points of the face, where the finder gives them.
    pub landmarks: Option<Landmarks>,
}

/// The landmarks of an upright frontal face, relative to the middle and the side of the square that OpenCV's frontal cascade
/// marks: the median of 1,309 faces of UTKFace, made symmetric.
const UPRIGHT: [(f32, f32); 5] = [(-0.198, -0.100), (0.198, -0.100), (0.0, 0.096), (-0.163, 0.271), (0.163, 0.271)];

/// Five points of a face, in pixels of the frame, x to the right and y down. Left and right are those of the image.
///
/// In order: left eye, right eye, tip of the nose, left corner of the mouth, right corner of the mouth. A point may lie outside
/// the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Landmarks(pub [(f32, f32); 5]);

impl Landmarks {
    /// How far the head is tilted to a shoulder, in radians, -pi to pi; positive where the right eye is lower than the left one.
    ///
    /// It is the rotation that fits an upright face to all five points best (Umeyama 1991). On faces that were tilted by 20 or
    /// 30 degrees it is more accurate than the line through the eyes, which are close together in a turned face.
    pub fn roll(&self) -> f32 {
        let (center, upright_center) = (mean(&self.0), mean(&UPRIGHT));
        let (mut cosine, mut sine) = (0.0, 0.0);
        for ((x, y), (upright_x, upright_y)) in self.0.iter().zip(UPRIGHT) {
            let (x, y) = (x - center.0, y - center.1);
            let (upright_x, upright_y) = (upright_x - upright_center.0, upright_y - upright_center.1);
            cosine += upright_x * x + upright_y * y;
            sine += upright_x * y - upright_y * x;
        }
        sine.atan2(cosine)
    }
}

fn mean(points: &[(f32, f32); 5]) -> (f32, f32) {
    let sum = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    (sum.0 / 5.0, sum.1 / 5.0)
}

/// Whether both are of one face.
pub(super) fn is_same_face(face: &Detection, other: &Detection) -> bool {
    other.roi.iou(&face.roi) > SAME_FACE_IOU
}

/// Whether one of `faces` is of the same face.
pub(super) fn is_among(face: &Detection, faces: &[Detection]) -> bool {
    faces.iter().any(|other| is_same_face(face, other))
}

/// Of the detections of each face, keeps the first one.
pub(super) fn keep_first_of_each(faces: &mut Vec<Detection>) {
    let mut kept = 0;
    for position in 0..faces.len() {
        if !is_among(&faces[position], &faces[..kept]) {
            faces.swap(kept, position);
            kept += 1;
        }
    }
    faces.truncate(kept);
}

/// The face that overlaps `roi` most.
pub(super) fn nearest(faces: Vec<Detection>, roi: &BoundingBox) -> Option<Detection> {
    faces.into_iter().max_by(|a, b| a.roi.iou(roi).total_cmp(&b.roi.iou(roi)))
}

/// At most so many of `faces`, the surest ones, in the same order.
pub(super) fn surest(mut faces: Vec<Detection>, count: usize) -> Vec<Detection> {
    if faces.len() > count {
        faces.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        faces.truncate(count);
        faces.sort_by_key(|face| (face.roi.x, face.roi.y));
    }
    faces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn roll_is_the_angle_by_which_a_face_was_turned(
            degrees in -179.0_f32..179.0, side in 20.0_f32..900.0, x in -100.0_f32..3000.0, y in -100.0_f32..3000.0,
        ) {
            let (sine, cosine) = degrees.to_radians().sin_cos();
            let turned = UPRIGHT.map(|(u, v)| (x + side * (cosine * u - sine * v), y + side * (sine * u + cosine * v)));
            // Rounding of coordinates up to 4000 shifts the points of a face of 20 pixels by 1e-5 of it.
            prop_assert!((Landmarks(turned).roll().to_degrees() - degrees).abs() < 0.05);
        }
    }

    #[test]
    fn a_lower_right_eye_is_a_positive_roll() {
        let face = Landmarks([(30.0, 40.0), (70.0, 50.0), (45.0, 70.0), (25.0, 90.0), (55.0, 97.0)]);
        assert!(face.roll() > 0.1, "{}", face.roll());
    }
}
