//! `/tf`: where faces are, as REP-155 names and turns their frames.

use face_attributes::parameters::Parameters;
use face_attributes::view::FaceFrame;
use r2r::geometry_msgs::msg::{Quaternion, Transform, TransformStamped, Vector3};
use r2r::std_msgs::msg::Header;
use r2r::tf2_msgs::msg::TFMessage;
use r2r::{Node, Publisher, QosProfile};

use super::{Observation, Output, SharedOutputs, has_listeners};

/// The depth of tf2's broadcasters.
const DEPTH: usize = 100;

/// Publishes `face_<id>` and `gaze_<id>` for each face whose place is known, where that is asked for.
pub struct TransformsOutput {
    publisher: Publisher<TFMessage>,
    id_prefix: String,
}

impl TransformsOutput {
    /// Each camera has a publisher of its own.
    ///
    /// # Errors
    /// Where the topic cannot be created.
    pub fn create(node: &mut Node, shared: &SharedOutputs) -> anyhow::Result<Self> {
        let publisher = node.create_publisher("/tf", QosProfile::default().keep_last(DEPTH))?;
        Ok(Self { publisher, id_prefix: shared.id_prefix.clone() })
    }
}

impl Output for TransformsOutput {
    fn topic(&self) -> &'static str {
        "/tf"
    }

    fn is_wanted(&self, parameters: &Parameters) -> r2r::Result<bool> {
        Ok(parameters.outputs.tf && has_listeners(&self.publisher)?)
    }

    fn publish(&mut self, observation: &Observation) -> anyhow::Result<()> {
        let header = &observation.received.image.header;
        let faces = observation.scene.faces.iter().zip(&*observation.views);
        let placed = faces.filter_map(|(face, view)| Some((format!("{}{}", self.id_prefix, face.id), view.frame?)));
        let transforms: Vec<_> = placed.flat_map(|(id, frame)| transforms(header, &id, &frame)).collect();
        if !transforms.is_empty() {
            self.publisher.publish(&TFMessage { transforms })?;
        }
        Ok(())
    }

    fn close(self: Box<Self>, node: &mut Node) {
        node.destroy_publisher(self.publisher);
    }
}

/// The frame of the face, and the optical one that looks where the face looks.
fn transforms(header: &Header, id: &str, frame: &FaceFrame) -> [TransformStamped; 2] {
    let [x, y, z] = frame.origin;
    [("face", frame.rotation()), ("gaze", frame.gaze_rotation())].map(|(kind, [qx, qy, qz, qw])| TransformStamped {
        header: header.clone(),
        child_frame_id: format!("{kind}_{id}"),
        transform: Transform { translation: Vector3 { x, y, z }, rotation: Quaternion { x: qx, y: qy, z: qz, w: qw } },
    })
}
