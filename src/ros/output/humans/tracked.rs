//! `/humans/faces/tracked`: the ids of the faces that all cameras of the node see.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use r2r::hri_msgs::msg::IdsList;
use r2r::std_msgs::msg::Header;
use r2r::{Node, Publisher, QosProfile};

use crate::output::has_listeners;

/// The topic. libhri takes each message for all faces of the node, so that the cameras share one list.
pub struct Tracked(Mutex<Inner>);

struct Inner {
    publisher: Publisher<IdsList>,
    /// By the name of the camera.
    ids: BTreeMap<String, Vec<String>>,
}

impl Tracked {
    /// With the default QoS, as libhri subscribes.
    ///
    /// # Errors
    /// Where the topic cannot be created.
    pub fn create(node: &mut Node) -> r2r::Result<Self> {
        let publisher = node.create_publisher("/humans/faces/tracked", QosProfile::default())?;
        Ok(Self(Mutex::new(Inner { publisher, ids: BTreeMap::new() })))
    }

    /// Whether anybody listens to the topic.
    pub fn has_listeners(&self) -> r2r::Result<bool> {
        has_listeners(&self.0.lock().unwrap_or_else(PoisonError::into_inner).publisher)
    }

    /// Publishes the list with the ids that `camera` sees now. No list is followed by an older one.
    pub fn publish(&self, camera: &str, header: &Header, ids: Vec<String>) -> r2r::Result<()> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.ids.insert(camera.to_owned(), ids);
        let ids = inner.ids.values().flatten().cloned().collect();
        inner.publisher.publish(&IdsList { header: header.clone(), ids })
    }

    /// Ends the topic.
    pub fn destroy(self, node: &mut Node) {
        let Inner { publisher, .. } = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        node.destroy_publisher(publisher);
    }
}
