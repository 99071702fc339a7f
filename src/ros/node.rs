//! Puts the node together, runs it until it is told to stop, and takes it apart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use face_attributes::attributes::Classifiers;
use face_attributes::faces::FaceIds;
use face_attributes::panics::catch_panic;
use face_attributes::parameters::{ConfigurationError, NODE_NAME, NodeTarget, Source, configure};
use face_attributes::runtime::set_opencv_threads;
use r2r::{Context, Node};
use tokio::signal::unix::{SignalKind, signal};

use crate::camera::{Camera, CameraTopics};
use crate::logger;
use crate::parameter_services::serve_parameters;
use crate::parameters::SharedParameters;
use crate::silence::Silence;
use crate::spinner::Spinner;

/// How long a stop waits for the image in work. `ros2 launch` waits for 5 s before it sends the next signal.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// Runs the node until SIGINT or SIGTERM, with the parameters of `sources`. Logs `warnings` about the process first.
///
/// # Errors
/// Where it cannot start: the message names the parameter, model or cascade that is wrong. And where one of its threads
/// ends by itself.
pub async fn run(sources: &[Source], warnings: &[String]) -> anyhow::Result<()> {
    // First of all, so that a signal during the start stops the node as cleanly as a later one.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // rcl reads the files as well, but names neither file nor line: a file that it would refuse is refused before.
    check_files(sources)?;
    let mut node = Node::create(create_context()?, NODE_NAME, "").context("cannot create the node")?;
    logger::forward_to_ros(&mut node)?;
    warnings.iter().for_each(|warning| log::warn!("{warning}"));

    let parameters = declare_parameters(&mut node, sources)?;
    let snapshot = parameters.set_active(true);
    set_opencv_threads(snapshot.pipeline.faces.detector.threads)?;
    let classifiers = Arc::new(Classifiers::load(&snapshot.pipeline.attributes)?);
    let topics = CameraTopics { image: "image".to_owned(), output_prefix: "~".to_owned() };
    let mut camera = Camera::start(&mut node, topics, FaceIds::of_camera(0), &classifiers, &parameters)?;
    let services = serve_parameters(&mut node, &parameters)?;
    log::info!("waiting for images");
    let counters = Arc::clone(camera.counters());
    let spinner = Spinner::start(node, {
        let counters = Arc::clone(&counters);
        let mut silence = Silence::new(Instant::now());
        move |node| silence.check(counters.received(), node, Instant::now())
    })?;

    let result = tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        error = camera.failed() => Err(error),
    };

    // The node goes last: its services end with it.
    services.stop();
    let stopped = camera.stop(&spinner, STOP_PATIENCE).await;
    spinner.stop()?;
    stopped?;
    log::info!(
        "stopped after {} images, of which {} were dropped for newer ones and {} skipped; {} answers are missing",
        counters.received(),
        counters.dropped(),
        counters.failed_images(),
        counters.failed_answers()
    );
    result
}

/// Refuses parameter files that cannot be read, whichever node they are for.
fn check_files(sources: &[Source]) -> anyhow::Result<()> {
    // The node's full name is not known yet, as it may be remapped.
    let any = NodeTarget::AnyNamespace(NODE_NAME.to_owned());
    match configure(sources, &any) {
        Err(error @ ConfigurationError::File(_)) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Takes the parameters that are for this node, and logs what was given and is not used.
fn declare_parameters(node: &mut Node, sources: &[Source]) -> anyhow::Result<SharedParameters> {
    let full_name = node.fully_qualified_name()?;
    let configured = configure(sources, &NodeTarget::FullName(full_name))?;
    configured.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    if configured.use_sim_time {
        node.get_time_source().enable_sim_time(node)?;
    }
    Ok(SharedParameters::new(configured.parameters, configured.use_sim_time))
}

/// Initialises ROS from the process's arguments.
fn create_context() -> anyhow::Result<Context> {
    // r2r panics where rcl refuses an argument.
    let context = catch_panic(Context::create).map_err(|panic| anyhow!("ROS refuses the arguments: {panic}"))?;
    context
        .context("cannot initialise ROS; can its log folder be written (ROS_LOG_DIR, or .ros/log in the home folder)?")
}
