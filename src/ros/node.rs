//! Puts the node together, runs it until it is told to stop, and takes it apart.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use face_attributes::panics::catch_panic;
use face_attributes::parameters::{ConfigurationError, NODE_NAME, NodeTarget, Source, configure};
use r2r::face_attributes::srv::AnalyzeImage;
use r2r::lifecycle_msgs::srv::ChangeState;
use r2r::{Context, Node, QosProfile};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Settings;
use crate::diagnostics::{Monitor, SharedWatched};
use crate::lifecycle::{Machine, SharedState, State, announcer, serve_lifecycle};
use crate::logger;
use crate::managed::FaceNode;
use crate::names::Names;
use crate::parameters::{ParameterEvents, Setter, SharedParameters, serve_parameters};
use crate::services::{MAX_WAITING, Services, respond};
use crate::spinner::Spinner;

/// Runs the node until SIGINT or SIGTERM. Logs `warnings` about the process first.
///
/// # Errors
/// Where it cannot start: the message names the parameter that is wrong. And where one of its threads ends by itself.
pub async fn run(settings: Settings, warnings: &[String]) -> anyhow::Result<()> {
    // First of all, so that a signal during the start stops the node as cleanly as a later one.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // rcl reads the files as well, but names neither file nor line: a file that it would refuse is refused before.
    check_files(&settings.sources)?;
    let mut node = Node::create(create_context()?, NODE_NAME, "").context("cannot create the node")?;
    logger::forward_to_ros(&mut node)?;
    warnings.iter().for_each(|warning| log::warn!("{warning}"));

    let parameters = declare_parameters(&mut node, &settings.sources)?;
    let names = Names::new(node.namespace()?, node.name()?, settings.remaps);
    let autostart = parameters.get().autostart;
    let events = ParameterEvents::create(&mut node)?;
    let services = Services::default();
    let state = SharedState::new();
    let mut changes = serve_lifecycle(&mut node, &services, &state)?;
    let announce = announcer(&mut node)?;
    let qos = QosProfile::services_default().keep_last(MAX_WAITING);
    let mut analyses = services.requests::<AnalyzeImage::Service>(&mut node, "analyze_image", qos)?;
    let watched = SharedWatched::default();
    let mut monitor = Monitor::create(&mut node, watched.clone(), state.clone(), parameters.clone())?;
    let spinner = Arc::new(Spinner::start(node, {
        let services = services.clone();
        move |node| monitor.turn(node, services.take_requests(), Instant::now())
    })?);
    let setter = Setter::new(parameters.clone(), events, spinner.node_thread());
    let serve = {
        let (parameters, runtime) = (parameters.clone(), Handle::current());
        move |node: &mut Node| {
            let _runtime = runtime.enter();
            serve_parameters(node, &services, &parameters, setter)
        }
    };
    spinner.call(serve).await??;
    let node = FaceNode::new(Arc::clone(&spinner), parameters, names, watched).await?;
    let mut machine = Machine::new(node, state, announce);
    // Who starts a node that starts itself has nobody to mend what is wrong with it.
    let is_started = !autostart || (machine.request(0, "configure").await && machine.request(0, "activate").await);

    let result = loop {
        if !is_started {
            break Err(anyhow!("the node could not start itself, see the error above"));
        }
        tokio::select! {
            _ = interrupt.recv() => break Ok(()),
            _ = terminate.recv() => break Ok(()),
            error = machine.node.failed() => break Err(error),
            error = spinner.ended() => break Err(error),
            Some(request) = analyses.next() => machine.node.analyze(machine.state(), request),
            Some(request) = changes.next() => {
                let asked = &request.message.transition;
                let (id, label) = (asked.id, asked.label.clone());
                let success = machine.request(id, &label).await;
                respond("change_state", request, ChangeState::Response { success });
            }
        }
    };

    // As nav2's nodes do at a signal.
    if machine.state() == State::Active {
        machine.request(0, "deactivate").await;
    }
    if machine.state() == State::Inactive {
        machine.request(0, "cleanup").await;
    }
    let counters = machine.node.identities().iter().map(|identity| &identity.counters);
    let [mut received, mut dropped, mut failed_images, mut failed_answers] = [0; 4];
    for counters in counters {
        received += counters.received();
        dropped += counters.dropped();
        failed_images += counters.failed_images();
        failed_answers += counters.failed_answers();
    }
    // The node goes last: its services and topics end with it.
    drop(machine);
    Arc::into_inner(spinner).map_or(Ok(()), Spinner::stop)?;
    log::info!(
        "stopped after {received} images, of which {dropped} were dropped for newer ones and {failed_images} skipped; \
         {failed_answers} answers are missing"
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
