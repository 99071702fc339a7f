//! `~/faces`: the attributes of each face.

use std::time::Duration;

use face_attributes::attributes::{Attribute, Emotion, Estimate, FaceAttributes, Gender};
use face_attributes::faces::{BoundingBox, Landmarks};
use face_attributes::parameters::Parameters;
use face_attributes::pipeline::Scene;
use face_attributes::view::{FaceView, PositionMethod};
use r2r::face_attributes::msg;
use r2r::geometry_msgs::msg::{Point, Vector3};
use r2r::sensor_msgs::msg::RegionOfInterest;
use r2r::std_msgs::msg::Header;
use r2r::{Node, Publisher, QosProfile};

use super::{Observation, Output, has_listeners};

/// Publishes one message per processed image, also when there is no face in it.
pub struct FacesOutput {
    publisher: Publisher<msg::FaceAttributesArray>,
}

impl FacesOutput {
    /// Reliable, which is QoS compatible with every subscription, also a best-effort one.
    ///
    /// # Errors
    /// Where the topic cannot be created.
    pub fn create(node: &mut Node, prefix: &str) -> anyhow::Result<Self> {
        Ok(Self { publisher: node.create_publisher(&format!("{prefix}/faces"), QosProfile::default())? })
    }
}

impl Output for FacesOutput {
    fn topic(&self) -> &'static str {
        "faces"
    }

    fn is_wanted(&self, _parameters: &Parameters) -> r2r::Result<bool> {
        has_listeners(&self.publisher)
    }

    fn publish(&mut self, observation: &Observation) -> anyhow::Result<()> {
        let header = observation.received.image.header.clone();
        Ok(self.publisher.publish(&faces_message(header, &observation.scene, &observation.views))?)
    }

    fn publish_nobody(&mut self, header: &Header) -> anyhow::Result<()> {
        Ok(self.publisher.publish(&msg::FaceAttributesArray { header: header.clone(), faces: Vec::new() })?)
    }

    fn close(self: Box<Self>, node: &mut Node) {
        node.destroy_publisher(self.publisher);
    }
}

/// The message for the faces of one image.
pub fn faces_message(header: Header, scene: &Scene, views: &[FaceView]) -> msg::FaceAttributesArray {
    let faces = scene.faces.iter().zip(views).map(|(face, view)| face_message(face, view, scene.time)).collect();
    msg::FaceAttributesArray { header, faces }
}

fn face_message(face: &FaceAttributes, view: &FaceView, time: Duration) -> msg::FaceAttributes {
    let landmarks = face.landmarks.map(|Landmarks(points)| points.to_vec()).unwrap_or_default();
    let (landmarks_x, landmarks_y) = landmarks.into_iter().unzip();
    let [x, y, z] = view.direction.unwrap_or([f64::NAN; 3]);
    let position = view.position().unwrap_or([f64::NAN; 3]);
    msg::FaceAttributes {
        id: face.id.to_string(),
        roi: roi_message(face.roi),
        seen: face.seen,
        followed_secs: time.saturating_sub(face.followed_since).as_secs_f32(),
        confidence: face.confidence,
        landmarks_x,
        landmarks_y,
        frontal: view.frontal.map_or(f32::NAN, |frontal| frontal as f32),
        direction: Vector3 { x, y, z },
        position_method: position_method(view),
        position: Point { x: position[0], y: position[1], z: position[2] },
        position_error: view.position().and(view.range).map_or(f32::NAN, |range| range.error as f32),
        answer_age_secs: face.answered.map_or(f32::NAN, |answered| time.saturating_sub(answered).as_secs_f32()),
        emotion: face.emotion.as_ref().map_or_else(no_emotion, emotion_message),
        gender: face.gender.as_ref().map_or_else(no_gender, gender_message),
        raw_emotion: face.raw.emotion.as_ref().map_or_else(no_emotion, emotion_message),
        raw_gender: face.raw.gender.as_ref().map_or_else(no_gender, gender_message),
    }
}

fn position_method(view: &FaceView) -> u8 {
    use msg::FaceAttributes as M;
    match view.position().and(view.range).map(|range| range.method) {
        Some(PositionMethod::Landmarks) => M::LANDMARKS as u8,
        Some(PositionMethod::Box) => M::BOX as u8,
        None => M::NONE as u8,
    }
}

fn roi_message(roi: BoundingBox) -> RegionOfInterest {
    // Detected boxes lie inside the image, so that no side is negative.
    let [x_offset, y_offset, width, height] = [roi.x, roi.y, roi.width, roi.height].map(i32::unsigned_abs);
    RegionOfInterest { x_offset, y_offset, width, height, do_rectify: false }
}

fn emotion_message(estimate: &Estimate<Emotion>) -> msg::Emotion {
    use msg::Emotion as M;
    let label = match estimate.label {
        Some(Emotion::Angry) => M::ANGRY as u8,
        Some(Emotion::Disgust) => M::DISGUST as u8,
        Some(Emotion::Fear) => M::FEAR as u8,
        Some(Emotion::Happy) => M::HAPPY as u8,
        Some(Emotion::Sad) => M::SAD as u8,
        Some(Emotion::Surprise) => M::SURPRISE as u8,
        Some(Emotion::Neutral) => M::NEUTRAL as u8,
        None => M::UNKNOWN as u8,
    };
    M { label, confidence: estimate.confidence, probabilities: estimate.probabilities.clone() }
}

fn gender_message(estimate: &Estimate<Gender>) -> msg::Gender {
    use msg::Gender as M;
    let label = match estimate.label {
        Some(Gender::Woman) => M::WOMAN as u8,
        Some(Gender::Man) => M::MAN as u8,
        None => M::UNKNOWN as u8,
    };
    M { label, confidence: estimate.confidence, probabilities: estimate.probabilities.clone() }
}

fn no_emotion() -> msg::Emotion {
    msg::Emotion {
        label: msg::Emotion::UNKNOWN as u8,
        confidence: 0.0,
        probabilities: vec![0.0; Emotion::CLASSES.len()],
    }
}

fn no_gender() -> msg::Gender {
    msg::Gender { label: msg::Gender::UNKNOWN as u8, confidence: 0.0, probabilities: vec![0.0; Gender::CLASSES.len()] }
}
