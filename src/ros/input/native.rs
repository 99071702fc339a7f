//! Image messages as the middleware delivers them, without copying their pixels.

#![allow(unsafe_code, reason = "the messages are C structures; each block says why it is sound")]

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use r2r::sensor_msgs::msg::Image;
use r2r::std_msgs::msg::Header;
use r2r::{NativeMsg, Node, QosProfile, WrappedTypesupport};

/// An image message in the memory that the middleware has filled.
pub struct NativeImage(NativeMsg<Image>);

// SAFETY: the message is a C structure on the heap, which nothing else points to: messages that the middleware lends are copied
// in `NativeImages`. It can be read and freed in any thread.
unsafe impl Send for NativeImage {}
// SAFETY: it is only read, and reading changes nothing.
unsafe impl Sync for NativeImage {}

impl NativeImage {
    /// The header.
    pub fn header(&self) -> Header {
        Header::from_native(&self.0.header)
    }

    /// Width, height and step.
    pub fn sizes(&self) -> [u32; 3] {
        [self.0.width, self.0.height, self.0.step]
    }

    /// The encoding.
    pub fn encoding(&self) -> &str {
        self.0.encoding.to_str()
    }

    /// Whether samples of several bytes begin with the high one.
    pub fn is_big_endian(&self) -> bool {
        self.0.is_bigendian != 0
    }

    /// The pixels.
    pub fn data(&self) -> &[u8] {
        let data = &self.0.data;
        if data.data.is_null() {
            return &[];
        }
        // SAFETY: a sequence of ROS has `size` elements from `data` on, and this one is not changed while it is borrowed.
        unsafe { std::slice::from_raw_parts(data.data, data.size) }
    }
}

/// The images of a subscription.
pub struct NativeImages(Box<dyn Stream<Item = NativeMsg<Image>> + Unpin>);

// SAFETY: the stream is the receiver of a channel, and what it holds is as `NativeImage`.
unsafe impl Send for NativeImages {}

impl NativeImages {
    /// Subscribes to a topic.
    ///
    /// # Errors
    /// Where the topic cannot be subscribed to.
    pub fn subscribe(node: &mut Node, topic: &str, qos: QosProfile) -> r2r::Result<Self> {
        Ok(Self(Box::new(node.subscribe_native::<Image>(topic, qos)?)))
    }
}

impl Stream for NativeImages {
    type Item = NativeImage;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<NativeImage>> {
        Pin::new(&mut self.0).poll_next(context).map(|message| message.map(owned))
    }
}

/// The message in memory of its own. Middlewares do not lend messages with sequences, such as images; should one do so, the message
/// goes back to it here.
fn owned(message: NativeMsg<Image>) -> NativeImage {
    if message.is_loaned { NativeImage(NativeMsg::from(&Image::from_native(&message))) } else { NativeImage(message) }
}
