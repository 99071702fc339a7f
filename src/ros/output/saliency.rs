//! `~/image_saliency`: which pixels support each answer, and the same over the faces of the annotated image.
//!
//! A thread of its own, `saliency`, explains what was published already, at a bounded rate and a lower priority.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use face_attributes::attributes::{Classifiers, FaceAttributes};
use face_attributes::draw::{draw_saliency, draw_sheet, explanation_row};
use face_attributes::parameters::Parameters;
use face_attributes::runtime::{Mailbox, NamedThread, Pace, Throttle};
use face_attributes::saliency::{Explanation, FaceExplainer};
use r2r::sensor_msgs::msg::Image;
use r2r::{Node, Publisher, QosProfile};

use super::annotated::AnnotatedImages;
use super::image::bgr_image;
use super::{Observation, Output, has_listeners};
use crate::input::frame_of;
use crate::priority::yield_to_others;

/// Hands observations to the thread that explains them.
pub struct SaliencyOutput {
    publisher: Publisher<Image>,
    annotated: AnnotatedImages,
    classifiers: Arc<Classifiers>,
    pace: Pace,
    /// `None` while the output is stopped.
    thread: Option<Thread>,
}

/// The thread that explains.
struct Thread {
    /// Holds the newest observation; what the thread has not begun is older, and dropped.
    observations: Arc<Mailbox<Observation>>,
    /// `None` once it is waited for.
    handle: Option<NamedThread<()>>,
}

impl SaliencyOutput {
    /// Keeps the newest image only. Explains with the networks that classify.
    ///
    /// # Errors
    /// Where the topic cannot be created.
    pub fn create(
        node: &mut Node,
        prefix: &str,
        classifiers: &Arc<Classifiers>,
        annotated: AnnotatedImages,
    ) -> anyhow::Result<Self> {
        let qos = QosProfile::default().keep_last(1);
        let publisher = node.create_publisher(&format!("{prefix}/image_saliency"), qos)?;
        let classifiers = Arc::clone(classifiers);
        Ok(Self { publisher, annotated, classifiers, pace: Pace::default(), thread: None })
    }
}

impl Output for SaliencyOutput {
    fn topic(&self) -> &'static str {
        "image_saliency"
    }

    fn is_wanted(&self, parameters: &Parameters) -> r2r::Result<bool> {
        Ok(has_listeners(&self.publisher)? || (parameters.saliency.overlay && self.annotated.has_listeners()?))
    }

    fn publish(&mut self, observation: &Observation) -> anyhow::Result<()> {
        let thread =
            self.thread.as_ref().filter(|thread| thread.handle.as_ref().is_some_and(|handle| !handle.is_finished()));
        let thread = thread.context("the thread saliency has ended")?;
        if self.pace.is_due(observation.parameters.saliency.rate, Instant::now()) {
            thread.observations.put(observation.clone());
        }
        Ok(())
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let observations = Arc::new(Mailbox::new());
        let worker = Worker {
            observations: Arc::clone(&observations),
            explainer: FaceExplainer::new(&self.classifiers),
            publisher: self.publisher.clone(),
            annotated: self.annotated.clone(),
            failures: Throttle::default(),
        };
        self.thread =
            Some(Thread { observations, handle: Some(NamedThread::spawn("saliency", move || worker.run())?) });
        Ok(())
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        self.thread.take().map_or(Ok(()), Thread::join)
    }

    fn close(self: Box<Self>, node: &mut Node) {
        node.destroy_publisher(self.publisher.clone());
    }
}

impl Thread {
    /// Ends it and waits for its end.
    fn join(mut self) -> anyhow::Result<()> {
        self.observations.close();
        Ok(self.handle.take().map_or(Ok(()), NamedThread::join)?)
    }
}

impl Drop for Thread {
    /// Also where the camera's other thread has panicked, the thread ends.
    fn drop(&mut self) {
        self.observations.close();
    }
}

/// Everything that the thread works with.
struct Worker {
    observations: Arc<Mailbox<Observation>>,
    explainer: FaceExplainer,
    publisher: Publisher<Image>,
    annotated: AnnotatedImages,
    failures: Throttle,
}

impl Worker {
    /// Works until the mailbox is closed. What fails is logged and skipped.
    fn run(mut self) {
        yield_to_others("saliency");
        while let Some(observation) = self.observations.take() {
            if let Err(error) = self.process(&observation) {
                self.report(&format!("{error:#}"));
            }
        }
    }

    fn report(&mut self, reason: &str) {
        if let Some(count) = self.failures.count(reason, Instant::now()) {
            log::warn!("not explained ({count} so far): {reason}");
        }
    }

    fn process(&mut self, observation: &Observation) -> anyhow::Result<()> {
        let Observation { received, scene, parameters, .. } = observation;
        let frame = frame_of(&received.image)?;
        let gray = frame.to_gray()?;
        let mut explained: Vec<(&FaceAttributes, Vec<Explanation>)> = Vec::new();
        for face in &scene.faces {
            let results = self.explainer.explain(&gray, face, &parameters.pipeline.attributes, &parameters.saliency);
            let mut explanations = Vec::new();
            for result in results {
                match result {
                    Ok(explanation) => explanations.push(explanation),
                    Err(error) => self.report(&error.to_string()),
                }
            }
            explained.push((face, explanations));
        }
        if has_listeners(&self.publisher)? {
            let rows = explained.iter().map(|(face, explained)| explanation_row(face.id.to_string(), explained));
            let sheet = draw_sheet(&rows.collect::<opencv::Result<Vec<_>>>()?)?;
            let mut message = bgr_image(&received.image.header, &sheet)?;
            self.publisher.publish_native(&mut message).context("cannot publish the saliency")?;
        }
        if parameters.saliency.overlay && self.annotated.has_listeners()? {
            let mut bgr = frame.to_bgr()?;
            for (_, explanations) in &explained {
                if let Some(Explanation { square, roll, saliency, .. }) = overlaid(explanations, parameters) {
                    draw_saliency(&mut bgr, *square, *roll, saliency)?;
                }
            }
            self.annotated.publish(observation, bgr).context("cannot publish the annotated image")?;
        }
        Ok(())
    }
}

/// A face has room for one overlay: that of the network that knows the target, else the first.
fn overlaid<'a>(explanations: &'a [Explanation], parameters: &Parameters) -> Option<&'a Explanation> {
    let task = parameters.saliency.target.task();
    explanations.iter().find(|explanation| Some(explanation.task) == task).or(explanations.first())
}
