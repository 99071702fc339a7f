//! What is known of a camera's input, for the log and the diagnostics.

use std::time::Duration;

use r2r::QosProfile;

use super::offers::{Offer, reliability_name};
use super::subscription::{Kind, requested_qos};

/// Images of the last seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recently {
    /// Over how long a time.
    pub duration: Duration,
    pub received: u64,
    /// Lost on the way, as the stamps show.
    pub lost: u64,
    /// In how many gaps between images.
    pub lossy_gaps: u64,
    /// Skipped because of a fault.
    pub failed: u64,
}

impl Recently {
    /// Whether so many images are lost that it is worth saying: one of twenty, and not in one or two gaps only, which may as well be
    /// pauses of the camera.
    pub fn is_lossy(&self) -> bool {
        self.lossy_gaps >= 3 && 20 * self.lost >= self.received + self.lost
    }
}

/// The input of a camera that works.
#[derive(Debug, Clone)]
pub struct InputView {
    /// What is subscribed to; `None` where that failed.
    pub subscribed: Option<Kind>,
    /// The publishers of the topic.
    pub offers: Vec<Offer>,
    /// Time since the last image, or since the camera was started.
    pub silent_for: Duration,
    /// The camera's own period, once it is known.
    pub period: Option<Duration>,
    /// Size and encoding of the last image; empty before the first one.
    pub description: String,
    pub recently: Recently,
}

impl InputView {
    /// Full name of the topic.
    pub fn topic(&self) -> &str {
        self.subscribed.as_ref().map_or("", |kind| &kind.topic)
    }

    /// Name of the reliability that is asked for.
    pub fn reliability(&self) -> &'static str {
        reliability_name(self.subscribed.as_ref().is_some_and(|kind| kind.is_reliable))
    }

    /// The publishers of another type, which the subscription does not hear.
    pub fn of_another_type(&self) -> impl Iterator<Item = &Offer> {
        let expected = self.subscribed.as_ref().map_or("", Kind::message_type);
        self.offers.iter().filter(move |offer| offer.message_type != expected)
    }

    /// The publishers that are not QoS compatible, and the policy of each that asks for more than is offered.
    pub fn incompatible(&self) -> impl Iterator<Item = (&Offer, &'static str)> {
        let requested: Option<QosProfile> = self.subscribed.as_ref().map(|kind| requested_qos(kind.is_reliable));
        self.offers.iter().filter_map(move |offer| {
            requested.as_ref().and_then(|requested| offer.incompatible_policy(requested)).map(|policy| (offer, policy))
        })
    }

    /// Whether images should have come by now: at least for a second, and for three of the camera's periods.
    pub fn is_silent(&self) -> bool {
        self.silent_for > Duration::from_secs(1).max(3 * self.period.unwrap_or_default())
    }
}
