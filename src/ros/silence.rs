//! Says why no image arrives, which is what most first starts of a camera node stumble over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use r2r::Node;
use r2r::qos::ReliabilityPolicy;

use crate::managed::WorkingCamera;

/// Time without an image after which the log asks whether the topic is right.
const PATIENCE: Duration = Duration::from_secs(10);

const IMAGE_TYPE: &str = "sensor_msgs/msg/Image";

/// Watches for the time since the last image of any camera.
#[derive(Debug, Default)]
pub struct Silence {
    images_seen: u64,
    since: Option<Instant>,
}

impl Silence {
    /// Warns when no camera at work had an image for a while; at most once in that while.
    pub fn check(&mut self, cameras: &[WorkingCamera], node: &Node, now: Instant) {
        let images_seen = cameras.iter().map(|camera| camera.counters.received()).sum();
        let since = *self.since.get_or_insert(now);
        if images_seen != self.images_seen || cameras.is_empty() {
            *self = Self { images_seen, since: Some(now) };
        } else if now.duration_since(since) >= PATIENCE {
            self.since = Some(now);
            log::warn!(
                "no image for {} s on {}; images are published on: {}. Remap with -r image:=TOPIC; a reliable subscription \
                 (image.reliability) is not QoS compatible with a best_effort publisher",
                PATIENCE.as_secs(),
                cameras.iter().map(|camera| camera.image.as_str()).collect::<Vec<_>>().join(", "),
                image_topics(node).unwrap_or_else(|error| format!("unknown ({error})"))
            );
        }
    }
}

/// The topics on which somebody else publishes images, with the reliability on offer.
fn image_topics(node: &Node) -> r2r::Result<String> {
    let (own_name, own_namespace) = (node.name()?, node.namespace()?);
    let mut topics = BTreeMap::new();
    for (topic, types) in node.get_topic_names_and_types()? {
        if !types.iter().any(|name| name == IMAGE_TYPE) {
            continue;
        }
        for publisher in node.get_publishers_info_by_topic(&topic, false)? {
            if (&publisher.node_name, &publisher.node_namespace) != (&own_name, &own_namespace) {
                let is_reliable = matches!(publisher.qos_profile.reliability, ReliabilityPolicy::Reliable);
                topics.insert(topic.clone(), if is_reliable { "reliable" } else { "best_effort" });
            }
        }
    }
    if topics.is_empty() {
        return Ok("no topic".to_owned());
    }
    Ok(topics.iter().map(|(topic, offered)| format!("{topic} ({offered})")).collect::<Vec<_>>().join(", "))
}
