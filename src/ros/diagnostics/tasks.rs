//! The tasks of the diagnostics that are this node's own.

use std::time::Duration;

use face_attributes::runtime::{Counters, Recent};

use super::models::LoadedModel;
use super::status::{Level, Status};
use crate::camera::Processing;
use crate::input::InputView;
use crate::lifecycle::State;

/// What a camera that does not work reports.
pub fn inactive() -> Status {
    Status::new(Level::Ok, "inactive")
}

/// How images come in.
pub fn input(view: &InputView, counters: &Counters, last_fault: Option<&str>) -> Status {
    let (level, message) = judge_input(view);
    let mut status = Status::new(level, message);
    status.add("topic", view.topic());
    status.add("reliability", view.reliability());
    status.add("publishers", view.offers.len());
    for offer in &view.offers {
        let durability = if offer.is_transient_local { "transient_local" } else { "volatile" };
        status.add("publisher", format!("{} ({}, {durability})", offer.node, offer.reliability()));
    }
    for (offer, policy) in view.incompatible() {
        status.add("incompatible policy", format!("{policy} ({})", offer.node));
    }
    status.add("received", counters.received());
    status.add("lost on the way", counters.lost());
    status.add("dropped: replaced by newer", counters.dropped());
    status.add("dropped: rate limit", counters.rate_limited());
    status.add("dropped: failed", counters.failed_images());
    status.add("size and encoding", if view.description.is_empty() { "unknown" } else { &view.description });
    status.add_number("time since the last image (s)", view.silent_for.as_secs_f64());
    status.add("last fault", last_fault.unwrap_or("none"));
    status
}

fn judge_input(view: &InputView) -> (Level, String) {
    let topic = view.topic();
    if let Some((offer, policy)) = view.incompatible().next() {
        return (Level::Error, format!("not QoS compatible with {} on {topic}: {policy}", offer.node));
    }
    if let Some(offer) = view.of_another_type().next() {
        return (Level::Error, format!("{} publishes {} on {topic}", offer.node, offer.message_type));
    }
    if view.is_silent() {
        let what = if view.offers.is_empty() { "nobody publishes on" } else { "no image on" };
        return (Level::Error, format!("{what} {topic} for {:.1} s", view.silent_for.as_secs_f64()));
    }
    let recently = view.recently;
    let secs = recently.duration.as_secs();
    if recently.is_lossy() {
        let sent = recently.lost + recently.received;
        return (Level::Warn, format!("{} of {sent} images of the last {secs} s were lost on the way", recently.lost));
    }
    if recently.failed > 0 {
        return (
            Level::Warn,
            format!("{} images of the last {secs} s were skipped, see the last fault", recently.failed),
        );
    }
    (Level::Ok, format!("receiving from {topic}"))
}

/// What the images take and give.
pub fn processing(processing: &Processing, counters: &Counters) -> Status {
    let mut status =
        Status::new(Level::Ok, if processing.listened_to.is_empty() { "nobody listens" } else { "processing" });
    for (p50, p99, times) in [
        ("decode p50 (ms)", "decode p99 (ms)", &processing.decode),
        ("find p50 (ms)", "find p99 (ms)", &processing.find),
        ("classify p50 (ms)", "classify p99 (ms)", &processing.classify),
        ("publish p50 (ms)", "publish p99 (ms)", &processing.publish),
    ] {
        add_percentile(&mut status, p50, times, 0.5);
        add_percentile(&mut status, p99, times, 0.99);
    }
    status.add("faces", processing.faces);
    status.add("faces that are followed without being seen", processing.followed);
    status.add("faces that wait for their turn (max_faces_per_frame)", processing.waiting);
    status.add("failed answers", counters.failed_answers());
    status.add(
        "listeners",
        if processing.listened_to.is_empty() { "none".to_owned() } else { processing.listened_to.join(", ") },
    );
    status
}

fn add_percentile(status: &mut Status, key: &'static str, times: &Recent, share: f64) {
    match times.percentile(share).as_ref().map(Duration::as_secs_f64) {
        Some(secs) => status.values.push((key, format!("{:.3}", 1000.0 * secs))),
        None => status.add(key, "none"),
    }
}

/// The networks that a configured node has loaded.
pub fn models(models: &[LoadedModel]) -> Status {
    let mut status = Status::new(Level::Ok, if models.is_empty() { "not loaded" } else { "loaded" });
    for model in models {
        status.add(model.key, format!("{}, input {}, SHA-256 {}", model.origin, model.input, model.sha256));
    }
    status
}

/// The state of the managed node.
pub fn lifecycle(state: State) -> Status {
    let mut status = Status::new(Level::Ok, state.label());
    status.add("state", state.label());
    status.add("id", state.id());
    status
}
