//! The `inference` thread: takes the newest image, runs the pipeline, publishes.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use opencv::prelude::*;
use r2r::Publisher;
use r2r::face_attributes::msg::FaceAttributesArray;
use r2r::sensor_msgs::msg::Image;

use crate::annotate::draw_faces;
use crate::pipeline::{FaceAttributes, Pipeline};
use crate::ros::mailbox::Mailbox;
use crate::ros::message::{bgr_image, faces_message, frame_of};
use crate::ros::parameters::SharedParameters;
use crate::ros::throttle::Throttle;

/// Everything that the thread works with.
pub struct Worker {
    pub images: Arc<Mailbox<Image>>,
    pub parameters: SharedParameters,
    pub pipeline: Pipeline,
    pub faces: Publisher<FaceAttributesArray>,
    pub annotated: Publisher<Image>,
}

impl Worker {
    /// Works until the mailbox is closed. A frame that fails is reported and costs only itself.
    pub fn run(mut self) {
        let mut failures = Throttle::default();
        while let Some(image) = self.images.take() {
            if let Err(error) = self.process(&image) {
                let reason = format!("{error:#}");
                if let Some(count) = failures.count(&reason, Instant::now()) {
                    log::warn!("frame skipped ({count} so far): {reason}");
                }
            }
        }
    }

    fn process(&mut self, image: &Image) -> anyhow::Result<()> {
        let frame = frame_of(image)?;
        let annotate = has_listeners(&self.annotated)?;
        // What nobody listens to is not worth the CPU time of a robot.
        if !annotate && !has_listeners(&self.faces)? {
            return Ok(());
        }
        let parameters = self.parameters.get();
        if parameters != *self.pipeline.parameters() {
            self.pipeline.set_parameters(parameters)?;
        }
        let faces = self.pipeline.process(&frame)?;
        self.faces.publish(&faces_message(image.header.clone(), &faces)).context("cannot publish the faces")?;
        if annotate {
            self.publish_annotated(image, &faces).context("cannot publish the annotated image")?;
        }
        Ok(())
    }

    fn publish_annotated(&self, image: &Image, faces: &[FaceAttributes]) -> anyhow::Result<()> {
        let mut bgr = frame_of(image)?.to_bgr()?;
        draw_faces(&mut bgr, faces)?;
        let picture = bgr_image(image.header.clone(), image.width, image.height, bgr.data_bytes()?.to_vec());
        Ok(self.annotated.publish(&picture)?)
    }
}

fn has_listeners<T: r2r::WrappedTypesupport + 'static>(publisher: &Publisher<T>) -> r2r::Result<bool> {
    Ok(publisher.get_inter_process_subscription_count()? > 0)
}
