//! `/humans/faces/tracked`: the ids of the faces that all cameras of the node see.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use r2r::hri_msgs::msg::IdsList;
use r2r::std_msgs::msg::Header;
use r2r::{Node, Publisher, QosProfile};

use crate::output::has_listeners;

/// Shortest time after which a camera without images is taken for one that sees nobody.
const SILENCE: Duration = Duration::from_secs(2);

/// The topic. libhri takes each message for all faces of the node, so that the cameras share one list.
pub struct Tracked(Mutex<Inner>);

struct Inner {
    publisher: Publisher<IdsList>,
    /// By the name of the camera: its faces, and when it saw them.
    ids: BTreeMap<String, (Vec<String>, Instant)>,
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

    /// Publishes the list with the ids that `camera` sees now. No list is followed by an older one. A face of another camera is not
    /// in it where that camera gave no image for `max_age`, the time for which a face may be missed.
    pub fn publish(&self, camera: &str, header: &Header, ids: Vec<String>, max_age: Duration) -> r2r::Result<()> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        inner.ids.insert(camera.to_owned(), (ids, now));
        inner.ids.retain(|_, (_, seen)| now.duration_since(*seen) <= max_age.max(SILENCE));
        let ids = inner.ids.values().flat_map(|(ids, _)| ids).cloned().collect();
        inner.publisher.publish(&IdsList { header: header.clone(), ids })
    }

    /// Ends the topic.
    pub fn destroy(self, node: &mut Node) {
        let Inner { publisher, .. } = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        node.destroy_publisher(publisher);
    }
}
