//! What the node publishes of a scene. Each topic is one file; a new one is added to [`create_outputs`].

mod annotated;
mod faces;
mod image;
mod saliency;

use std::sync::Arc;

use face_attributes::attributes::Classifiers;
use face_attributes::parameters::Parameters;
use face_attributes::pipeline::Scene;
use r2r::std_msgs::msg::Header;
use r2r::{Node, Publisher, WrappedTypesupport};

use annotated::{AnnotatedImages, AnnotatedOutput};
use faces::FacesOutput;
pub use faces::faces_message;
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

    /// Starts the output's own threads, if it has some.
    fn start(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Ends the output's own threads, if it has some. Nothing is published until it is started again, but that nobody is there.
    fn stop(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Tells those who listen that the node sees nobody any more, as it does not look. The header has the time now and the
    /// frame of the last image. Not for pictures, which show what was.
    fn publish_nobody(&mut self, _header: &Header) -> anyhow::Result<()> {
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
    classifiers: &Arc<Classifiers>,
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
