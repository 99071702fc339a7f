//! The `saliency` thread: explains what the inference thread has already published.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use r2r::Publisher;
use r2r::sensor_msgs::msg::Image;

use crate::draw::draw_faces;
use crate::parameters::Parameters;
use crate::pipeline::FaceAttributes;
use crate::ros::mailbox::Mailbox;
use crate::ros::message::frame_of;
use crate::ros::publish::{has_listeners, publish_bgr};
use crate::ros::throttle::Throttle;
use crate::saliency::face::{Explanation, FaceExplainer, sheet_row};
use crate::draw::saliency::draw_saliency;
use crate::draw::sheet::draw_sheet;

/// Added to the niceness of the thread: a tenth of the weight of inference when both want the same core.
const NICENESS: i32 = 10;

/// An image whose faces are published, and what they were found with.
pub struct Answered {
    pub image: Image,
    pub faces: Vec<FaceAttributes>,
    pub parameters: Parameters,
}

/// Says when the next image is to be explained.
#[derive(Debug, Default)]
pub struct Pace {
    last: Option<Instant>,
}

impl Pace {
    /// Whether an image at the time `now` is due, at most `rate` times per second; if so, the next one is due a period later.
    pub fn is_due(&mut self, rate: f64, now: Instant) -> bool {
        let is_due = self.last.is_none_or(|last| now.duration_since(last) >= Duration::from_secs_f64(1.0 / rate));
        if is_due {
            self.last = Some(now);
        }
        is_due
    }
}

/// Everything that the thread works with.
pub struct SaliencyWorker {
    pub answered: Arc<Mailbox<Answered>>,
    pub explainer: FaceExplainer,
    pub saliency: Publisher<Image>,
    pub annotated: Publisher<Image>,
    pub failures: Throttle,
}

impl SaliencyWorker {
    /// Works until the mailbox is closed. An answer or an image that fails is reported and costs only itself.
    pub fn run(mut self) {
        yield_to_others();
        while let Some(answered) = self.answered.take() {
            if let Err(error) = self.process(&answered) {
                self.report(&format!("{error:#}"));
            }
        }
    }

    fn report(&mut self, reason: &str) {
        if let Some(count) = self.failures.count(reason, Instant::now()) {
            log::warn!("not explained ({count} so far): {reason}");
        }
    }

    fn process(&mut self, answered: &Answered) -> anyhow::Result<()> {
        let Answered { image, faces, parameters } = answered;
        let frame = frame_of(image)?;
        let gray = frame.to_gray()?;
        let mut explained = Vec::new();
        for face in faces {
            let mut of_the_face = Vec::new();
            for result in self.explainer.explain(&gray, face, parameters) {
                match result {
                    Ok(explanation) => of_the_face.push(explanation),
                    Err(error) => self.report(&error.to_string()),
                }
            }
            explained.push((face, of_the_face));
        }
        if has_listeners(&self.saliency)? {
            let rows = explained.iter().map(|(face, explained)| sheet_row(face.id.to_string(), explained));
            let sheet = draw_sheet(&rows.collect::<opencv::Result<Vec<_>>>()?)?;
            publish_bgr(&self.saliency, &image.header, &sheet).context("cannot publish the saliency")?;
        }
        if parameters.saliency.overlay && has_listeners(&self.annotated)? {
            let mut bgr = frame.to_bgr()?;
            for (_, explained) in &explained {
                if let Some(Explanation { square, saliency, .. }) = the_one_to_lay_over(explained, parameters) {
                    draw_saliency(&mut bgr, *square, saliency)?;
                }
            }
            draw_faces(&mut bgr, faces)?;
            publish_bgr(&self.annotated, &image.header, &bgr).context("cannot publish the annotated image")?;
        }
        Ok(())
    }
}

/// Where cores are short, the faces of the next image come first.
fn yield_to_others() {
    // On Linux, niceness is a thread's, not the process's: nice(2).
    if let Err(error) = rustix::process::nice(NICENESS) {
        log::debug!("saliency runs at the priority of inference: {error}");
    }
}

/// A face has room for one: that of the network that knows the target, else the first.
fn the_one_to_lay_over<'a>(explained: &'a [Explanation], parameters: &Parameters) -> Option<&'a Explanation> {
    let task = parameters.saliency.target.task();
    explained.iter().find(|explanation| Some(explanation.task) == task).or(explained.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_due_at_the_rate() {
        let mut pace = Pace::default();
        let start = Instant::now();
        let due: Vec<_> = (0..30).filter(|n| pace.is_due(10.0, start + Duration::from_millis(33 * n))).collect();
        assert_eq!(due, [0, 4, 8, 12, 16, 20, 24, 28]);
    }
}
