//! The `inference` thread: takes the newest image, runs the pipeline, publishes, and hands on what is to be explained.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use r2r::Publisher;
use r2r::face_attributes::msg::FaceAttributesArray;
use r2r::sensor_msgs::msg::Image;

use crate::draw::draw_faces;
use crate::pipeline::{FaceAttributes, Pipeline};
use crate::ros::mailbox::Mailbox;
use crate::ros::message::{faces_message, frame_of};
use crate::ros::parameters::SharedParameters;
use crate::ros::publish::{has_listeners, publish_bgr};
use crate::ros::saliency::{Answered, Pace};
use crate::ros::throttle::Throttle;

/// Everything that the thread works with.
pub struct Worker {
    pub images: Arc<Mailbox<Image>>,
    pub parameters: SharedParameters,
    pub pipeline: Pipeline,
    pub faces: Publisher<FaceAttributesArray>,
    pub annotated: Publisher<Image>,
    pub saliency: Publisher<Image>,
    pub answered: Arc<Mailbox<Answered>>,
    pub pace: Pace,
}

impl Worker {
    /// Works until the mailbox is closed. A frame that fails is reported and costs only itself.
    pub fn run(mut self) {
        let mut failures = Throttle::default();
        while let Some(image) = self.images.take() {
            if let Err(error) = self.process(image) {
                let reason = format!("{error:#}");
                if let Some(count) = failures.count(&reason, Instant::now()) {
                    log::warn!("frame skipped ({count} so far): {reason}");
                }
            }
        }
    }

    fn process(&mut self, image: Image) -> anyhow::Result<()> {
        let frame = frame_of(&image)?;
        let parameters = self.parameters.get();
        let annotate = has_listeners(&self.annotated)?;
        let overlay = annotate && parameters.saliency.overlay;
        let explain = has_listeners(&self.saliency)? || overlay;
        // What nobody listens to is not worth the CPU time of a robot.
        if !annotate && !explain && !has_listeners(&self.faces)? {
            return Ok(());
        }
        if parameters != *self.pipeline.parameters() {
            self.pipeline.set_parameters(parameters.clone())?;
        }
        let faces = self.pipeline.process(&frame)?;
        self.faces.publish(&faces_message(image.header.clone(), &faces)).context("cannot publish the faces")?;
        if annotate && !overlay {
            self.publish_annotated(&image, &faces).context("cannot publish the annotated image")?;
        }
        if explain && self.pace.is_due(parameters.saliency.rate, Instant::now()) {
            // Whatever the other thread has not begun is older, and dropped.
            self.answered.put(Answered { image, faces, parameters });
        }
        Ok(())
    }

    fn publish_annotated(&self, image: &Image, faces: &[FaceAttributes]) -> anyhow::Result<()> {
        let mut bgr = frame_of(image)?.to_bgr()?;
        draw_faces(&mut bgr, faces)?;
        publish_bgr(&self.annotated, &image.header, &bgr)
    }
}
