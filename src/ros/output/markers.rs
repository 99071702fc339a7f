//! `~/markers`: the faces in space, for RViz.

use face_attributes::attributes::{Attribute, FaceAttributes};
use face_attributes::parameters::Parameters;
use face_attributes::view::FaceView;
use r2r::geometry_msgs::msg::{Point, Pose, Quaternion, Vector3};
use r2r::std_msgs::msg::{ColorRGBA, Header};
use r2r::visualization_msgs::msg::{Marker, MarkerArray};
use r2r::{Node, Publisher, QosProfile};

use super::{Observation, Output, has_listeners};

/// Width and height of an adult's head, in metres.
const HEAD: (f64, f64) = (0.15, 0.23);
/// How far the arrow shows where a face looks, in metres.
const GAZE: f64 = 0.4;
const TEXT_HEIGHT: f64 = 0.08;
const SKIN: ColorRGBA = ColorRGBA { r: 0.3, g: 0.7, b: 1.0, a: 0.6 };
const WHITE: ColorRGBA = ColorRGBA { r: 1.0, g: 1.0, b: 1.0, a: 1.0 };

/// Publishes a head, an arrow and a caption for each face whose place is known.
pub struct MarkersOutput {
    publisher: Publisher<MarkerArray>,
}

impl MarkersOutput {
    /// Keeps the newest markers only.
    ///
    /// # Errors
    /// Where the topic cannot be created.
    pub fn create(node: &mut Node, prefix: &str) -> anyhow::Result<Self> {
        let qos = QosProfile::default().keep_last(1);
        Ok(Self { publisher: node.create_publisher(&format!("{prefix}/markers"), qos)? })
    }
}

impl Output for MarkersOutput {
    fn topic(&self) -> &'static str {
        "markers"
    }

    fn is_wanted(&self, _parameters: &Parameters) -> r2r::Result<bool> {
        has_listeners(&self.publisher)
    }

    fn publish(&mut self, observation: &Observation) -> anyhow::Result<()> {
        let header = &observation.received.image.header;
        // Each message replaces the one before, so that no face stays that went away.
        let mut markers = vec![delete_all(header)];
        for (number, (face, view)) in observation.scene.faces.iter().zip(&*observation.views).enumerate() {
            markers.extend(markers_of(header, number, face, view).into_iter().flatten());
        }
        Ok(self.publisher.publish(&MarkerArray { markers })?)
    }

    fn publish_nobody(&mut self, header: &Header) -> anyhow::Result<()> {
        Ok(self.publisher.publish(&MarkerArray { markers: vec![delete_all(header)] })?)
    }

    fn close(self: Box<Self>, node: &mut Node) {
        node.destroy_publisher(self.publisher);
    }
}

fn delete_all(header: &Header) -> Marker {
    Marker { header: header.clone(), action: Marker::DELETEALL as i32, ..Default::default() }
}

/// `None` where the place of the face is not known.
fn markers_of(header: &Header, number: usize, face: &FaceAttributes, view: &FaceView) -> Option<[Marker; 3]> {
    let ([x, y, z], frame) = (view.position()?, view.frame?);
    let [qx, qy, qz, qw] = frame.rotation();
    let turned = Quaternion { x: qx, y: qy, z: qz, w: qw };
    let upright = Quaternion { w: 1.0, ..Default::default() };
    let marker =
        |namespace: &str, kind: u32, orientation: Quaternion, scale: (f64, f64, f64), color: &ColorRGBA| Marker {
            header: header.clone(),
            ns: namespace.to_owned(),
            id: number as i32,
            type_: kind as i32,
            action: Marker::ADD as i32,
            pose: Pose { position: Point { x, y, z }, orientation },
            scale: Vector3 { x: scale.0, y: scale.1, z: scale.2 },
            color: color.clone(),
            ..Default::default()
        };
    let (width, height) = HEAD;
    let head = marker("head", Marker::SPHERE as u32, turned.clone(), (width, width, height), &SKIN);
    let gaze = marker("gaze", Marker::ARROW as u32, turned, (GAZE, 0.02, 0.02), &WHITE);
    let mut caption = marker("caption", Marker::TEXT_VIEW_FACING as u32, upright, (0.0, 0.0, TEXT_HEIGHT), &WHITE);
    // y of the optical frame points down.
    caption.pose.position.y -= height / 2.0 + TEXT_HEIGHT;
    caption.text = caption_of(face, view);
    Some([head, gaze, caption])
}

fn caption_of(face: &FaceAttributes, view: &FaceView) -> String {
    let emotion = face.emotion.as_ref().and_then(|estimate| estimate.label).map(|label| label.name());
    let gender = face.gender.as_ref().and_then(|estimate| estimate.label).map(|label| label.name());
    let distance = view.range.map(|range| format!("{:.1} m", range.meters));
    let parts = [Some(face.id.to_string()), gender.map(str::to_owned), emotion.map(str::to_owned), distance];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
