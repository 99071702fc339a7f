//! What the node publishes of a scene. Each topic is one file; a new one is added to [`create_outputs`].

mod annotated;
mod faces;
mod image;
mod saliency;

use std::sync::Arc;

use face_attributes::attributes::Classifiers;
use face_attributes::parameters::Parameters;
use face_attributes::pipeline::Scene;
use r2r::{Node, Publisher, WrappedTypesupport};

use annotated::{AnnotatedImages, AnnotatedOutput};
use faces::FacesOutput;
use saliency::SaliencyOutput;

use crate::input::Received;

/// An image, what is in it, and the parameters with which that was found. Clones share all of it.
#[derive(Clone)]
pub struct Observation {
    pub received: Arc<Received>,
    pub scene: Arc<Scene>,
    pub parameters: Arc<Parameters>,
}

/// A topic that tells of the scene.
pub trait Output: Send {
    /// The topic, for errors.
    fn topic(&self) -> &'static str;

    /// Whether somebody listens, so that the work is worth its time.
    fn is_wanted(&self, parameters: &Parameters) -> r2r::Result<bool>;

    /// Publishes, or hands on to a thread that does.
    fn publish(&mut self, observation: &Observation) -> anyhow::Result<()>;

    /// Ends the output's own threads, if it has some. Nothing is published afterwards.
    fn stop(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Ends the topic.
    fn close(self: Box<Self>, node: &mut Node);
}

/// All outputs of one camera, in the order in which they publish. Their topics are below `prefix`, for example `~`.
///
/// # Errors
/// Where a topic cannot be created or a thread cannot be started.
pub fn create_outputs(
    node: &mut Node,
    prefix: &str,
    classifiers: &Classifiers,
) -> anyhow::Result<Vec<Box<dyn Output>>> {
    let annotated = AnnotatedImages::create(node, prefix)?;
    Ok(vec![
        Box::new(FacesOutput::create(node, prefix)?),
        Box::new(AnnotatedOutput::new(annotated.clone())),
        Box::new(SaliencyOutput::create(node, prefix, classifiers, annotated)?),
    ])
}

/// Whether anybody listens to the topic.
fn has_listeners<T: WrappedTypesupport + 'static>(publisher: &Publisher<T>) -> r2r::Result<bool> {
    Ok(publisher.get_inter_process_subscription_count()? > 0)
}
