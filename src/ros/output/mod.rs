//! What the node publishes of a scene. Each topic is one file; a new one is added to [`create_outputs`].

mod annotated;
#[cfg(feature = "vision_msgs")]
mod detections;
mod faces;
#[cfg(feature = "hri_msgs")]
mod humans;
mod image;
mod markers;
mod saliency;
#[cfg(feature = "tf2_msgs")]
mod transforms;

use std::sync::Arc;

use face_attributes::attributes::Classifiers;
use face_attributes::parameters::Parameters;
use face_attributes::pipeline::Scene;
use face_attributes::view::FaceView;
use r2r::std_msgs::msg::Header;
use r2r::{Node, Publisher, WrappedTypesupport};

use annotated::{AnnotatedImages, AnnotatedOutput};
use faces::FacesOutput;
pub use faces::faces_message;
use markers::MarkersOutput;
use saliency::SaliencyOutput;

use crate::input::Received;
use crate::names::Names;
use crate::spinner::NodeThread;

/// An image, what is in it, and the parameters with which that was found. Clones share all of it.
#[derive(Clone)]
pub struct Observation {
    pub received: Arc<Received>,
    pub scene: Arc<Scene>,
    /// Where the faces of the scene are, in their order.
    pub views: Arc<[FaceView]>,
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

    /// An image came that this output is not wanted for: ends what exists for those who listen only. The header is that of the image.
    fn rest(&mut self, _header: &Header) -> anyhow::Result<()> {
        Ok(())
    }

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

/// What the outputs of all cameras of a node share.
pub struct SharedOutputs {
    #[cfg(feature = "hri_msgs")]
    tracked: Arc<humans::Tracked>,
    #[cfg(feature = "hri_msgs")]
    node_thread: NodeThread,
    /// Makes the ids differ from those of other nodes, on topics that all nodes share.
    #[cfg(any(feature = "hri_msgs", feature = "tf2_msgs"))]
    id_prefix: String,
}

impl SharedOutputs {
    /// Creates the topics that all cameras share. The last output that uses one ends it.
    ///
    /// # Errors
    /// Where a topic cannot be created.
    #[allow(unused_variables, reason = "without interfaces that only some robots have, nothing is shared")]
    pub fn create(node: &mut Node, node_thread: NodeThread, names: &Names) -> anyhow::Result<Self> {
        Ok(Self {
            #[cfg(feature = "hri_msgs")]
            tracked: Arc::new(humans::Tracked::create(node)?),
            #[cfg(feature = "hri_msgs")]
            node_thread,
            #[cfg(any(feature = "hri_msgs", feature = "tf2_msgs"))]
            id_prefix: names.id_prefix(),
        })
    }
}

/// All outputs of one camera, in the order in which they publish. Their topics are below `prefix`, for example `~`.
///
/// # Errors
/// Where a topic cannot be created or a thread cannot be started.
#[allow(unused_variables, reason = "without interfaces that only some robots have, nothing is shared")]
pub fn create_outputs(
    node: &mut Node,
    prefix: &str,
    classifiers: &Arc<Classifiers>,
    shared: &SharedOutputs,
) -> anyhow::Result<Vec<Box<dyn Output>>> {
    let annotated = AnnotatedImages::create(node, prefix)?;
    Ok(vec![
        Box::new(FacesOutput::create(node, prefix)?),
        #[cfg(feature = "hri_msgs")]
        Box::new(humans::HumansOutput::new(prefix, shared)),
        #[cfg(feature = "tf2_msgs")]
        Box::new(transforms::TransformsOutput::create(node, shared)?),
        #[cfg(feature = "vision_msgs")]
        Box::new(detections::DetectionsOutput::create(node, prefix)?),
        Box::new(MarkersOutput::create(node, prefix)?),
        Box::new(AnnotatedOutput::new(annotated.clone())),
        Box::new(SaliencyOutput::create(node, prefix, classifiers, annotated)?),
    ])
}

/// Whether anybody listens to the topic.
fn has_listeners<T: WrappedTypesupport + 'static>(publisher: &Publisher<T>) -> r2r::Result<bool> {
    Ok(publisher.get_inter_process_subscription_count()? > 0)
}
