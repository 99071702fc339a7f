//! Puts the node together, runs it until it is told to stop, and takes it apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use futures::{FutureExt, Stream, StreamExt};
use r2r::sensor_msgs::msg::Image;
use r2r::{Context, Node, QosProfile};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::panics::{catch_panic, panic_message};
use crate::parameters::file::NODE_NAME;
use crate::parameters::Reliability;
use crate::pipeline::Pipeline;
use crate::ros::logger;
use crate::ros::mailbox::Mailbox;
use crate::ros::parameters::SharedParameters;
use crate::ros::saliency::{Pace, SaliencyWorker};
use crate::ros::silence::Silence;
use crate::ros::throttle::Throttle;
use crate::ros::worker::Worker;
use crate::saliency::face::FaceExplainer;

/// How long the spin thread waits for DDS at a time, and so the most that a stop has to wait for it.
const SPIN_TIMEOUT: Duration = Duration::from_millis(100);

/// How long a stop waits for the image in work. `ros2 launch` waits for 5 s before it sends the next signal.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs the node until SIGINT or SIGTERM.
///
/// # Errors
/// Where it cannot start: the message names the parameter, model or cascade that is wrong. And where one of its threads
/// ends by itself.
pub async fn run() -> anyhow::Result<()> {
    // First of all, so that a signal during the start stops the node as cleanly as a later one.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let context = create_context()?;
    let mut node = Node::create(context, NODE_NAME, "").context("cannot create the node")?;
    logger::forward_to_ros(&mut node)?;

    let (parameters, parameter_services) = SharedParameters::declare(&mut node)?;
    let pipeline = Pipeline::new(parameters.get())?;
    let images = node.subscribe::<Image>("image", image_qos(parameters.get().image.reliability))?;
    let mailbox = Arc::new(Mailbox::new());
    let answered = Arc::new(Mailbox::new());
    let annotated = node.create_publisher("~/image_annotated", QosProfile::default().keep_last(1))?;
    let saliency = node.create_publisher("~/image_saliency", QosProfile::default().keep_last(1))?;
    let saliency_worker = SaliencyWorker {
        answered: Arc::clone(&answered),
        explainer: FaceExplainer::new(&pipeline),
        saliency: saliency.clone(),
        annotated: annotated.clone(),
        failures: Throttle::default(),
    };
    let worker = Worker {
        images: Arc::clone(&mailbox),
        parameters,
        pipeline,
        // Reliable publishers are heard by every subscriber, also by a best-effort one.
        faces: node.create_publisher("~/faces", QosProfile::default())?,
        annotated,
        saliency,
        answered: Arc::clone(&answered),
        pace: Pace::default(),
    };

    log::info!("waiting for images");
    let counters = Arc::new(Counters::default());
    let stop = Arc::new(AtomicBool::new(false));
    let mut inference = spawn("inference", move || worker.run())?;
    let mut explaining = spawn("saliency", move || saliency_worker.run())?;
    let spinner = spawn("ros_spin", {
        let (stop, counters) = (Arc::clone(&stop), Arc::clone(&counters));
        move || spin(node, &stop, &counters)
    })?;
    let services = serve_parameters(parameter_services);

    let result = tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        () = forward_newest(images, &mailbox, &counters) => Err(anyhow!("the subscription to images ended")),
        () = inference.ended() => Err(anyhow!("the inference thread ended")),
        () = explaining.ended() => Err(anyhow!("the saliency thread ended")),
    };

    // The node goes last: its publishers and services end with it.
    services.abort();
    mailbox.close();
    answered.close();
    let joined = match timeout(STOP_TIMEOUT, async { (inference.ended().await, explaining.ended().await) }).await {
        Ok(_) => inference.join().and(explaining.join()),
        Err(_) => {
            log::warn!("stopping in the middle of an image, which takes longer than {} s", STOP_TIMEOUT.as_secs());
            Ok(())
        }
    };
    stop.store(true, Ordering::Relaxed);
    spinner.join().and(joined)?;
    let Counters { received, dropped } = &*counters;
    log::info!(
        "stopped after {} images, of which {} were dropped for newer ones",
        received.load(Ordering::Relaxed),
        dropped.load(Ordering::Relaxed)
    );
    result
}

/// Images received and dropped so far.
#[derive(Debug, Default)]
struct Counters {
    received: AtomicU64,
    dropped: AtomicU64,
}

/// Initialises ROS from the process's arguments.
fn create_context() -> anyhow::Result<Context> {
    // r2r panics where rcl refuses an argument, for example a parameter file with a syntax error.
    let context = catch_panic(Context::create).map_err(|panic| anyhow!("ROS refuses the arguments: {panic}"))?;
    context
        .context("cannot initialise ROS; can its log folder be written (ROS_LOG_DIR, or .ros/log in the home folder)?")
}

fn image_qos(reliability: Reliability) -> QosProfile {
    match reliability {
        Reliability::BestEffort => QosProfile::sensor_data(),
        Reliability::Reliable => QosProfile::sensor_data().reliable(),
    }
}

/// Moves the newest image into the mailbox, for as long as images come.
async fn forward_newest(mut images: impl Stream<Item = Image> + Unpin, mailbox: &Mailbox<Image>, counters: &Counters) {
    while let Some(mut newest) = images.next().await {
        let mut received = 1;
        // r2r queues images, and drops the new one once its queue is full.
        while let Some(Some(newer)) = images.next().now_or_never() {
            newest = newer;
            received += 1;
        }
        let replaced = u64::from(mailbox.put(newest).is_some());
        counters.received.fetch_add(received, Ordering::Relaxed);
        counters.dropped.fetch_add(received - 1 + replaced, Ordering::Relaxed);
    }
}

fn spin(mut node: Node, stop: &AtomicBool, counters: &Counters) {
    let mut silence = Silence::new(Instant::now());
    while !stop.load(Ordering::Relaxed) {
        node.spin_once(SPIN_TIMEOUT);
        silence.check(counters.received.load(Ordering::Relaxed), &node, Instant::now());
    }
}

/// Answers the parameter services in the background, and says so if that ends.
fn serve_parameters(services: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
    let services = tokio::spawn(services);
    let handle = services.abort_handle();
    tokio::spawn(async move {
        // r2r panics where a client is gone before it has its answer.
        if let Err(error) = services.await
            && error.is_panic()
        {
            let payload = error.into_panic();
            let reason = panic_message(&*payload);
            log::error!("parameters can be read and set no more until the node is restarted: {reason}");
        }
    });
    handle
}

/// A named thread of which one can wait for the end.
struct Thread {
    handle: JoinHandle<()>,
    alive: oneshot::Receiver<()>,
    has_ended: bool,
}

impl Thread {
    /// Waits until the thread has ended, in whichever way.
    async fn ended(&mut self) {
        if !self.has_ended {
            // Nothing is ever sent: the sender goes when the thread does.
            let _ = (&mut self.alive).await;
            self.has_ended = true;
        }
    }

    fn join(self) -> anyhow::Result<()> {
        let name = self.handle.thread().name().unwrap_or_default().to_owned();
        self.handle.join().map_err(|payload| anyhow!("the thread {name} failed: {}", panic_message(&*payload)))
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<Thread> {
    let (sender, alive) = oneshot::channel();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _alive: oneshot::Sender<()> = sender;
        work();
    });
    let handle = thread.with_context(|| format!("cannot start the thread {name}"))?;
    Ok(Thread { handle, alive, has_ended: false })
}
