//! Says in the log why images do not come, or not all of them, and what helps.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use face_attributes::runtime::Backoff;
use r2r::Node;

use super::offers::offers;
use super::view::InputView;

/// Time without an image after which the log asks whether the topic is right.
const PATIENCE: Duration = Duration::from_secs(4);

/// The types of messages that carry images.
const IMAGE_TYPES: [&str; 2] = ["sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"];

/// What was said about one camera. Each thing is said once and then ever more rarely while it lasts.
#[derive(Debug, Default)]
pub struct Advice {
    silence: Backoff,
    incompatible: Backoff,
    other_type: Backoff,
    loss: Backoff,
}

impl Advice {
    /// What is to be said now. `image_topics` lists the topics that carry images, see [`image_topics`].
    pub fn warnings(&mut self, view: &InputView, image_topics: impl FnOnce() -> String, now: Instant) -> Vec<String> {
        let mut warnings = Vec::new();
        let topic = view.topic();
        let incompatible: Vec<_> = view.incompatible().map(|(offer, policy)| (offer.node.as_str(), policy)).collect();
        if let Some((node, policy)) = says(&mut self.incompatible, incompatible.first().copied(), now) {
            warnings.push(format!(
                "the subscription to {topic} is not QoS compatible with its publisher {node}: {policy}; image.reliability asks \
                 for {}, and auto or best_effort suit every camera",
                view.reliability()
            ));
        }
        if let Some(offer) = says(&mut self.other_type, view.of_another_type().next(), now) {
            warnings.push(format!(
                "{} publishes {} on {topic}, which is not what image_transport expects there",
                offer.node, offer.message_type
            ));
        }
        let silent = (view.silent_for >= PATIENCE && incompatible.is_empty()).then_some(view.silent_for);
        if let Some(silent) = says(&mut self.silence, silent, now) {
            let publishers = match view.offers.len() {
                0 => "nobody publishes there".to_owned(),
                _ => format!("{} publishes there, but sends nothing", names(view)),
            };
            warnings.push(format!(
                "no image for {} s on {topic} ({}): {publishers}. Images are published on: {}. Remap with -r image:=TOPIC",
                silent.as_secs(),
                view.reliability(),
                image_topics()
            ));
        }
        if let Some(recently) = says(&mut self.loss, view.recently.is_lossy().then_some(view.recently), now) {
            let (lost, sent) = (recently.lost, recently.lost + recently.received);
            warnings.push(format!(
                "{lost} of {sent} images on {topic} were lost on the way in the last {} s. {} offers {}. A reliable publisher sends \
                 lost images again; a Fast DDS profile, as those in this package's config folder, makes room for large ones",
                recently.duration.as_secs(),
                names(view),
                view.offers.first().map_or("nothing", |offer| offer.reliability())
            ));
        }
        warnings
    }
}

/// What lasts, if it is to be said now.
fn says<T>(backoff: &mut Backoff, what: Option<T>, now: Instant) -> Option<T> {
    if what.is_none() {
        backoff.reset();
    }
    what.filter(|_| backoff.is_due(now))
}

fn names(view: &InputView) -> String {
    let names: BTreeSet<_> = view.offers.iter().map(|offer| offer.node.as_str()).collect();
    if names.is_empty() { "its publisher".to_owned() } else { names.into_iter().collect::<Vec<_>>().join(", ") }
}

/// The topics on which others publish images now, each with what they offer.
pub fn image_topics(node: &Node) -> String {
    list_image_topics(node).unwrap_or_else(|error| format!("unknown ({error})"))
}

fn list_image_topics(node: &Node) -> r2r::Result<String> {
    let own = node.fully_qualified_name()?;
    let mut listed = Vec::new();
    for (topic, types) in node.get_topic_names_and_types()? {
        if !types.iter().any(|name| IMAGE_TYPES.contains(&name.as_str())) {
            continue;
        }
        if let Some(offer) = offers(node, &topic)?.iter().find(|offer| offer.node != own) {
            let compressed = if offer.message_type == IMAGE_TYPES[1] { ", compressed" } else { "" };
            listed.push(format!("{topic} ({}{compressed})", offer.reliability()));
        }
    }
    listed.sort();
    Ok(if listed.is_empty() { "no topic".to_owned() } else { listed.join(", ") })
}

#[cfg(test)]
mod tests {
    use face_attributes::parameters::Transport;

    use super::super::offers::Offer;
    use super::super::subscription::Kind;
    use super::super::view::Recently;
    use super::*;

    fn view(is_reliable: bool, offers: Vec<Offer>) -> InputView {
        InputView {
            subscribed: Some(Kind { topic: "/cam/image".to_owned(), transport: Transport::Raw, is_reliable }),
            offers,
            silent_for: Duration::ZERO,
            period: None,
            description: String::new(),
            recently: Recently::default(),
        }
    }

    fn offer(is_reliable: bool, message_type: &str) -> Offer {
        let node = "/camera".to_owned();
        let message_type = message_type.to_owned();
        let deadline = None;
        Offer { node, message_type, is_reliable, is_transient_local: false, deadline, is_liveliness_manual: false }
    }

    fn warnings(advice: &mut Advice, view: &InputView, now: Instant) -> Vec<String> {
        advice.warnings(view, || "/other (reliable)".to_owned(), now)
    }

    #[test]
    fn silence_is_said_once_it_lasts_and_then_rarely() {
        let mut advice = Advice::default();
        let start = Instant::now();
        let mut said = Vec::new();
        for secs in 0..60 {
            let view = InputView { silent_for: Duration::from_secs(secs), ..view(false, Vec::new()) };
            let warnings = warnings(&mut advice, &view, start + Duration::from_secs(secs));
            said.extend(warnings.into_iter().map(|text| (secs, text)));
        }
        let at: Vec<_> = said.iter().map(|(secs, _)| *secs).collect();
        assert_eq!(at, [4, 14, 34]);
        let expected = "no image for 4 s on /cam/image (best_effort): nobody publishes there. Images are published on: \
                        /other (reliable). Remap with -r image:=TOPIC";
        assert_eq!(said[0].1, expected);
    }

    #[test]
    fn the_policy_that_does_not_fit_is_said_at_once_and_instead_of_the_silence() {
        let mut advice = Advice::default();
        let offers = vec![offer(false, IMAGE_TYPES[0])];
        let view = InputView { silent_for: PATIENCE, ..view(true, offers) };
        let said = warnings(&mut advice, &view, Instant::now());
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("not QoS compatible with its publisher /camera: reliability"), "{}", said[0]);
    }

    #[test]
    fn another_type_and_lost_images_are_said() {
        let mut advice = Advice::default();
        let recently = Recently { duration: Duration::from_secs(5), received: 90, lost: 60, lossy_gaps: 50, failed: 0 };
        let view = InputView { recently, ..view(false, vec![offer(false, IMAGE_TYPES[1])]) };
        let said = warnings(&mut advice, &view, Instant::now());
        assert!(said[0].contains("/camera publishes sensor_msgs/msg/CompressedImage on /cam/image"), "{}", said[0]);
        assert!(
            said[1].starts_with("60 of 150 images on /cam/image were lost on the way in the last 5 s"),
            "{}",
            said[1]
        );
        assert!(said[1].contains("/camera offers best_effort"), "{}", said[1]);
        assert_eq!(said.len(), 2);
    }

    #[test]
    fn an_input_that_is_well_needs_no_words() {
        let mut advice = Advice::default();
        let few = Recently { duration: Duration::from_secs(5), received: 148, lost: 14, lossy_gaps: 1, failed: 0 };
        let view = InputView { recently: few, ..view(true, vec![offer(true, IMAGE_TYPES[0])]) };
        assert_eq!(warnings(&mut advice, &view, Instant::now()), [""; 0]);
    }
}
