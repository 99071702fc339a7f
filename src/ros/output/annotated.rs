//! `~/image_annotated`: the image with boxes and labels, and with saliency where that is switched on.

use std::sync::Arc;

use face_attributes::draw::draw_faces;
use face_attributes::parameters::Parameters;
use face_attributes::runtime::InOrder;
use opencv::core::Mat;
use r2r::sensor_msgs::msg::Image;
use r2r::{Node, Publisher, QosProfile};

use super::image::bgr_image;
use super::{Observation, Output, has_listeners};
use crate::input::frame_of;

/// The topic. Two threads publish on it, each through its clone: the one that explains where saliency is drawn over the faces,
/// else the one of the pipeline. None publishes an image older than the last one.
#[derive(Clone)]
pub struct AnnotatedImages {
    publisher: Publisher<Image>,
    in_order: Arc<InOrder>,
}

impl AnnotatedImages {
    /// Keeps the newest image only.
    ///
    /// # Errors
    /// Where the topic cannot be created.
    pub fn create(node: &mut Node, prefix: &str) -> anyhow::Result<Self> {
        let qos = QosProfile::default().keep_last(1);
        let publisher = node.create_publisher(&format!("{prefix}/image_annotated"), qos)?;
        Ok(Self { publisher, in_order: Arc::default() })
    }

    /// Whether anybody listens to the topic.
    ///
    /// # Errors
    /// Once the topic is closed.
    pub fn has_listeners(&self) -> r2r::Result<bool> {
        has_listeners(&self.publisher)
    }

    /// Draws the faces over `bgr`, the observed image (8-bit, blue, green, red), and publishes it, unless a newer image was
    /// published already.
    ///
    /// # Errors
    /// Those of OpenCV and of DDS.
    pub fn publish(&self, observation: &Observation, mut bgr: Mat) -> anyhow::Result<()> {
        let Observation { received, scene, .. } = observation;
        draw_faces(&mut bgr, &scene.faces, scene.time)?;
        let mut message = bgr_image(&received.image.header, &bgr)?;
        self.in_order.pass(received.sequence, || self.publisher.publish_native(&mut message)).unwrap_or(Ok(()))?;
        Ok(())
    }
}

/// Publishes annotated images at the camera's rate, where no saliency is drawn over the faces.
pub struct AnnotatedOutput {
    images: AnnotatedImages,
}

impl AnnotatedOutput {
    /// Publishes on the topic of `images`.
    pub fn new(images: AnnotatedImages) -> Self {
        Self { images }
    }
}

impl Output for AnnotatedOutput {
    fn topic(&self) -> &'static str {
        "image_annotated"
    }

    fn is_wanted(&self, parameters: &Parameters) -> r2r::Result<bool> {
        Ok(!parameters.saliency.overlay && self.images.has_listeners()?)
    }

    fn publish(&mut self, observation: &Observation) -> anyhow::Result<()> {
        let bgr = frame_of(&observation.received.image)?.to_bgr()?;
        self.images.publish(observation, bgr)
    }

    fn close(self: Box<Self>, node: &mut Node) {
        node.destroy_publisher(self.images.publisher);
    }
}
