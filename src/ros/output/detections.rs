//! `~/detections`: the faces as general object detections.

use face_attributes::attributes::{Attribute, Estimate, FaceAttributes};
use face_attributes::parameters::Parameters;
use face_attributes::view::FaceView;
use r2r::geometry_msgs::msg::{Point, Pose, PoseWithCovariance, Quaternion};
use r2r::std_msgs::msg::Header;
use r2r::vision_msgs::msg::{
    BoundingBox2D, Detection2D, Detection2DArray, ObjectHypothesis, ObjectHypothesisWithPose, Point2D, Pose2D,
};
use r2r::{Node, Publisher, QosProfile};

use super::{Observation, Output, has_listeners};

/// Publishes one message per processed image, also when there is no face in it.
pub struct DetectionsOutput {
    publisher: Publisher<Detection2DArray>,
}

impl DetectionsOutput {
    /// Reliable, which is QoS compatible with every subscription.
    ///
    /// # Errors
    /// Where the topic cannot be created.
    pub fn create(node: &mut Node, prefix: &str) -> anyhow::Result<Self> {
        Ok(Self { publisher: node.create_publisher(&format!("{prefix}/detections"), QosProfile::default())? })
    }
}

impl Output for DetectionsOutput {
    fn topic(&self) -> &'static str {
        "detections"
    }

    fn is_wanted(&self, _parameters: &Parameters) -> r2r::Result<bool> {
        has_listeners(&self.publisher)
    }

    fn publish(&mut self, observation: &Observation) -> anyhow::Result<()> {
        let header = observation.received.image.header.clone();
        let faces = observation.scene.faces.iter().zip(&*observation.views);
        let detections = faces.map(|(face, view)| detection(&header, face, view)).collect();
        Ok(self.publisher.publish(&Detection2DArray { header, detections })?)
    }

    fn publish_nobody(&mut self, header: &Header) -> anyhow::Result<()> {
        Ok(self.publisher.publish(&Detection2DArray { header: header.clone(), detections: Vec::new() })?)
    }

    fn close(self: Box<Self>, node: &mut Node) {
        node.destroy_publisher(self.publisher);
    }
}

/// The first hypothesis is that it is a face; what holds of its attributes follows.
fn detection(header: &Header, face: &FaceAttributes, view: &FaceView) -> Detection2D {
    let (x, y) = face.roi.center();
    let pose = pose(view);
    let hypothesis = |(class_id, score)| ObjectHypothesisWithPose {
        hypothesis: ObjectHypothesis { class_id, score },
        pose: pose.clone(),
    };
    let found = [("face".to_owned(), f64::from(face.confidence))];
    let attributes =
        probabilities("emotion", face.emotion.as_ref()).chain(probabilities("gender", face.gender.as_ref()));
    Detection2D {
        header: header.clone(),
        results: found.into_iter().chain(attributes).map(hypothesis).collect(),
        bbox: BoundingBox2D {
            center: Pose2D { position: Point2D { x, y }, theta: 0.0 },
            size_x: f64::from(face.roi.width),
            size_y: f64::from(face.roi.height),
        },
        id: face.id.to_string(),
    }
}

/// The probability of each class, for example of `emotion:happy`; none where the attribute is not known.
fn probabilities<A: Attribute>(
    attribute: &'static str,
    estimate: Option<&Estimate<A>>,
) -> impl Iterator<Item = (String, f64)> {
    let known = estimate.filter(|estimate| estimate.label.is_some()).into_iter();
    known.flat_map(move |estimate| {
        let classes = A::CLASSES.iter().zip(&estimate.probabilities);
        classes.map(move |(class, probability)| (format!("{attribute}:{}", class.name()), f64::from(*probability)))
    })
}

/// In the camera's optical frame, where the place of the face is known. Its covariance is that along the direction in all axes, and
/// large where nothing is known.
fn pose(view: &FaceView) -> PoseWithCovariance {
    /// Of what is not known, in square metres and square radians.
    const UNKNOWN: f64 = 1e6;
    let upright = Quaternion { w: 1.0, ..Default::default() };
    let (position, orientation, variance) = match (view.position(), view.range, view.frame) {
        (Some([x, y, z]), Some(range), Some(frame)) => {
            let [qx, qy, qz, qw] = frame.rotation();
            (Point { x, y, z }, Quaternion { x: qx, y: qy, z: qz, w: qw }, range.error.powi(2))
        }
        _ => (Point::default(), upright, UNKNOWN),
    };
    let mut covariance = vec![0.0; 36];
    for axis in 0..6 {
        covariance[axis * 7] = if axis < 3 { variance } else { UNKNOWN };
    }
    PoseWithCovariance { pose: Pose { position, orientation }, covariance }
}
