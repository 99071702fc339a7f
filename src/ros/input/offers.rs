//! What the publishers of a topic offer, and whether a subscription is compatible with it.

use std::time::Duration;

use face_attributes::parameters::Reliability;
use r2r::qos::{DurabilityPolicy, LivelinessPolicy, ReliabilityPolicy};
use r2r::{Node, QosProfile};

/// A publisher of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Full name of its node.
    pub node: String,
    /// The type of its messages, for example `sensor_msgs/msg/Image`.
    pub message_type: String,
    /// Whether it sends again what was lost.
    pub is_reliable: bool,
    /// Whether it sends to those who come late what it sent before.
    pub is_transient_local: bool,
    /// Longest time between two of its messages that it promises; `None` for no promise.
    pub deadline: Option<Duration>,
    /// Whether it says itself that it lives.
    pub is_liveliness_manual: bool,
}

impl Offer {
    /// The offer of a publisher.
    fn new(namespace: &str, node: &str, message_type: String, qos: &QosProfile) -> Self {
        Self {
            node: format!("{}/{node}", namespace.trim_end_matches('/')),
            message_type,
            is_reliable: qos.reliability == ReliabilityPolicy::Reliable,
            is_transient_local: qos.durability == DurabilityPolicy::TransientLocal,
            deadline: limited(qos.deadline),
            is_liveliness_manual: qos.liveliness == LivelinessPolicy::ManualByTopic,
        }
    }

    /// Name of the reliability.
    pub fn reliability(&self) -> &'static str {
        reliability_name(self.is_reliable)
    }

    /// The first policy that asks for more than is offered, as `ros2 topic info` names it.
    pub fn incompatible_policy(&self, requested: &QosProfile) -> Option<&'static str> {
        let is_late = |requested: Duration| self.deadline.is_none_or(|offered| offered > requested);
        if requested.reliability == ReliabilityPolicy::Reliable && !self.is_reliable {
            Some("reliability")
        } else if requested.durability == DurabilityPolicy::TransientLocal && !self.is_transient_local {
            Some("durability")
        } else if limited(requested.deadline).is_some_and(is_late) {
            Some("deadline")
        } else if requested.liveliness == LivelinessPolicy::ManualByTopic && !self.is_liveliness_manual {
            Some("liveliness")
        } else {
            None
        }
    }
}

/// What the publishers of a topic offer, in the order of their nodes' names.
///
/// # Errors
/// Where the topic's full name is not valid.
pub fn offers(node: &Node, topic: &str) -> r2r::Result<Vec<Offer>> {
    let publishers = node.get_publishers_info_by_topic(topic, false)?;
    let mut offers: Vec<_> = publishers
        .into_iter()
        .map(|publisher| {
            let qos = publisher.qos_profile;
            Offer::new(&publisher.node_namespace, &publisher.node_name, publisher.topic_type, &qos)
        })
        .collect();
    offers.sort_by(|one, other| one.node.cmp(&other.node));
    Ok(offers)
}

/// A duration; `None` where it is unlimited, which is 0 in a request and some 68 or 292 years in an answer.
fn limited(duration: Duration) -> Option<Duration> {
    (!duration.is_zero() && duration < Duration::from_secs(1_000_000_000)).then_some(duration)
}

/// Name of a reliability.
pub fn reliability_name(is_reliable: bool) -> &'static str {
    if is_reliable { "reliable" } else { "best_effort" }
}

/// Whether the subscription asks for reliable publishers. Without any publisher it does not: then it is compatible with whichever
/// comes first.
pub fn is_reliable(setting: Reliability, offers: &[Offer]) -> bool {
    match setting {
        Reliability::Auto => !offers.is_empty() && offers.iter().all(|offer| offer.is_reliable),
        Reliability::BestEffort => false,
        Reliability::Reliable => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(is_reliable: bool) -> Offer {
        Offer {
            node: "/camera".to_owned(),
            message_type: "sensor_msgs/msg/Image".to_owned(),
            is_reliable,
            is_transient_local: false,
            deadline: None,
            is_liveliness_manual: false,
        }
    }

    #[test]
    fn auto_is_reliable_where_every_publisher_is() {
        let [yes, no] = [true, false].map(offer);
        assert!(!is_reliable(Reliability::Auto, &[]));
        assert!(is_reliable(Reliability::Auto, std::slice::from_ref(&yes)));
        assert!(!is_reliable(Reliability::Auto, &[yes.clone(), no.clone()]));
        assert!(is_reliable(Reliability::Reliable, &[no]));
        assert!(!is_reliable(Reliability::BestEffort, &[yes]));
    }

    #[test]
    fn the_policy_that_asks_for_too_much_is_named() {
        let best_effort = QosProfile::sensor_data();
        let reliable = QosProfile::sensor_data().reliable();
        assert_eq!(offer(false).incompatible_policy(&best_effort), None);
        assert_eq!(offer(true).incompatible_policy(&best_effort), None);
        assert_eq!(offer(true).incompatible_policy(&reliable), None);
        assert_eq!(offer(false).incompatible_policy(&reliable), Some("reliability"));
        let late_comers = QosProfile::sensor_data().transient_local();
        assert_eq!(offer(true).incompatible_policy(&late_comers), Some("durability"));
        let prompt = QosProfile { deadline: Duration::from_millis(50), ..QosProfile::sensor_data() };
        assert_eq!(offer(true).incompatible_policy(&prompt), Some("deadline"));
        let in_time = Offer { deadline: Some(Duration::from_millis(40)), ..offer(true) };
        assert_eq!(in_time.incompatible_policy(&prompt), None);
        let alive = QosProfile { liveliness: LivelinessPolicy::ManualByTopic, ..QosProfile::sensor_data() };
        assert_eq!(offer(true).incompatible_policy(&alive), Some("liveliness"));
    }
}
