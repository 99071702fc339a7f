//! A subscription to a camera.

use face_attributes::parameters::Transport;
use futures::{FutureExt, Stream, StreamExt};
use r2r::sensor_msgs::msg::CompressedImage;
use r2r::{Node, QosProfile};

use super::camera_image::CameraImage;
use super::native::NativeImages;

/// What a subscription is to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// Full name of the topic.
    pub topic: String,
    /// What is sent there.
    pub transport: Transport,
    /// Whether it asks for reliable publishers; else it asks for best effort, which is QoS compatible with all.
    pub is_reliable: bool,
}

impl Kind {
    /// The type of the messages, as the graph of ROS names it.
    pub fn message_type(&self) -> &'static str {
        match self.transport {
            Transport::Raw => "sensor_msgs/msg/Image",
            Transport::Compressed => "sensor_msgs/msg/CompressedImage",
        }
    }
}

/// The QoS that a subscription asks for.
pub fn requested_qos(is_reliable: bool) -> QosProfile {
    let sensor_data = QosProfile::sensor_data();
    if is_reliable { sensor_data.reliable() } else { sensor_data }
}

/// A subscription. r2r ends it with the first image after it was dropped.
pub enum Subscription {
    Raw(NativeImages),
    Compressed(Box<dyn Stream<Item = CompressedImage> + Unpin + Send>),
}

impl Subscription {
    /// Subscribes.
    ///
    /// # Errors
    /// Where the topic cannot be subscribed to.
    pub fn create(node: &mut Node, kind: &Kind) -> r2r::Result<Self> {
        let qos = requested_qos(kind.is_reliable);
        Ok(match kind.transport {
            Transport::Raw => Self::Raw(NativeImages::subscribe(node, &kind.topic, qos)?),
            Transport::Compressed => Self::Compressed(Box::new(node.subscribe(&kind.topic, qos)?)),
        })
    }

    /// The next image, if one is there.
    pub fn next(&mut self) -> Option<CameraImage> {
        match self {
            Self::Raw(images) => images.next().now_or_never().flatten().map(CameraImage::from),
            Self::Compressed(images) => images.next().now_or_never().flatten().map(CameraImage::from),
        }
    }
}
