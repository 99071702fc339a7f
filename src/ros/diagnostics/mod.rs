//! `/diagnostics`, as diagnostic_updater writes it: once per second, one status per task.

mod frequency;
mod models;
mod stamps;
mod status;
mod tasks;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use r2r::builtin_interfaces::msg::Time;
use r2r::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus};
use r2r::std_msgs::msg::Header;
use r2r::{Clock, Node, Publisher, QosProfile};

use crate::camera::CameraIdentity;
use crate::input::InputView;
use crate::lifecycle::SharedState;
use crate::parameters::SharedParameters;
use frequency::Frequency;
pub use models::{LoadedModel, loaded_models};
use stamps::Stamps;
use status::Status;

const PERIOD: Duration = Duration::from_secs(1);

/// How long the node answers at once after a request: more of them may follow.
const ATTENTION: Duration = Duration::from_secs(2);

/// The topic that every node of a robot reports on.
const TOPIC: &str = "/diagnostics";

/// What there is to report on.
#[derive(Clone, Default)]
pub struct Watched {
    /// All cameras since the start of the process.
    pub identities: Vec<CameraIdentity>,
    /// The names of those that are configured; the only one of a node has an empty name.
    pub names: Vec<String>,
    /// The networks that are loaded.
    pub models: Vec<LoadedModel>,
}

/// What there is to report on, for who reports and who changes it. Clones share it.
#[derive(Clone, Default)]
pub struct SharedWatched(Arc<Mutex<Arc<Watched>>>);

impl SharedWatched {
    /// What there is now.
    pub fn get(&self) -> Arc<Watched> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces it as a whole.
    pub fn set(&self, watched: Watched) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(watched);
    }
}

/// Lets images in and reports on the node, in the thread that spins it.
pub struct Monitor {
    watched: SharedWatched,
    state: SharedState,
    parameters: SharedParameters,
    publisher: Publisher<DiagnosticArray>,
    clock: Arc<Mutex<Clock>>,
    /// What the statuses begin with, as diagnostic_updater has it: the node's name.
    node_name: String,
    cameras: HashMap<usize, CameraTasks>,
    next_report: Instant,
    /// Until when there may be more requests.
    attentive_until: Instant,
    /// Whether nobody listens to anything, so that images are taken only now and then.
    is_resting: bool,
}

/// What is measured of one camera from report to report.
#[derive(Default)]
struct CameraTasks {
    frequency: Frequency,
    stamps: Stamps,
    /// Whether each image is counted since the last report.
    is_counting: bool,
}

impl Monitor {
    /// Creates the topic.
    ///
    /// # Errors
    /// Where that fails.
    pub fn create(
        node: &mut Node,
        watched: SharedWatched,
        state: SharedState,
        parameters: SharedParameters,
    ) -> r2r::Result<Self> {
        Ok(Self {
            watched,
            state,
            parameters,
            publisher: node.create_publisher(TOPIC, QosProfile::default().keep_last(1))?,
            clock: node.get_ros_clock(),
            node_name: node.name()?,
            cameras: HashMap::new(),
            next_report: Instant::now(),
            attentive_until: Instant::now(),
            is_resting: false,
        })
    }

    /// To be called after each turn of the node, with the number of requests that came with it. Returns whether the node may rest.
    pub fn turn(&mut self, node: &mut Node, requests: usize, now: Instant) -> bool {
        if requests > 0 {
            self.attentive_until = now + ATTENTION;
        }
        let watched = self.watched.get();
        let settings = self.parameters.get();
        for (number, identity) in watched.identities.iter().enumerate() {
            let stamps = &mut self.cameras.entry(number).or_default().stamps;
            let clock = &self.clock;
            identity
                .source
                .turn(node, &settings.image, self.is_resting, now, &mut |stamp| stamps.add(delay_secs(stamp, clock)));
        }
        if now >= self.next_report {
            // A report that comes late does not bring the next ones closer.
            self.next_report = (self.next_report + PERIOD).max(now + PERIOD / 2);
            self.report(&watched, node, now);
        }
        self.is_resting = now >= self.attentive_until && self.is_unheard(&watched);
        self.is_resting
    }

    /// Whether no camera is at work, or nobody listens to what comes of it.
    fn is_unheard(&self, watched: &Watched) -> bool {
        let is_wanted = watched.identities.iter().any(|identity| identity.source.is_wanted() == Some(true));
        !is_wanted && !self.publisher.get_inter_process_subscription_count().is_ok_and(|count| count > 0)
    }

    fn report(&mut self, watched: &Watched, node: &Node, now: Instant) {
        let state = self.state.get();
        let mut status = Vec::new();
        for (number, identity) in watched.identities.iter().enumerate() {
            let view = identity.source.watch(node, now);
            let Some(name) = watched.names.get(number) else { continue };
            let tasks = self.cameras.entry(number).or_default();
            tasks.is_counting &= !self.is_resting;
            let tasks = tasks.report(identity, view.as_ref(), now);
            let camera = if name.is_empty() { String::new() } else { format!("{name} ") };
            let topic = view.as_ref().map_or("", InputView::topic);
            status.extend(
                tasks.into_iter().map(|(task, status)| self.message(&format!("{camera}{task}"), topic, status)),
            );
        }
        status.push(self.message("models", "", tasks::models(&watched.models)));
        status.push(self.message("lifecycle", "", tasks::lifecycle(state)));
        let header = Header { stamp: time_now(&self.clock), frame_id: String::new() };
        if let Err(error) = self.publisher.publish(&DiagnosticArray { header, status }) {
            log::debug!("cannot publish {TOPIC}: {error}");
        }
    }

    fn message(&self, task: &str, hardware: &str, status: Status) -> DiagnosticStatus {
        let hardware_id = if hardware.is_empty() { "none" } else { hardware };
        status.message(format!("{}: {task}", self.node_name), hardware_id.to_owned())
    }
}

impl CameraTasks {
    fn report(
        &mut self,
        identity: &CameraIdentity,
        view: Option<&InputView>,
        now: Instant,
    ) -> [(&'static str, Status); 4] {
        const NAMES: [&str; 4] = ["image frequency", "image time stamps", "image input", "processing"];
        let counters = &identity.counters;
        let is_starting = !std::mem::replace(&mut self.is_counting, view.is_some());
        if is_starting {
            self.frequency.begin(counters.received(), now);
            self.stamps = Stamps::default();
        }
        let Some(view) = view else { return NAMES.map(|name| (name, tasks::inactive())) };
        let processing = identity.processing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let statuses = [
            self.frequency.update(counters.received(), view.period, now),
            self.stamps.update(),
            tasks::input(view, counters, processing.last_fault.as_deref()),
            tasks::processing(&processing, counters),
        ];
        let mut names = NAMES.into_iter();
        statuses.map(|status| (names.next().unwrap_or_default(), status))
    }
}

/// The time between a stamp and now; `None` where there is no stamp.
fn delay_secs(stamp: &Time, clock: &Mutex<Clock>) -> Option<f64> {
    if (stamp.sec, stamp.nanosec) == (0, 0) {
        return None;
    }
    let secs = |time: &Time| f64::from(time.sec) + f64::from(time.nanosec) * 1e-9;
    Some(secs(&time_now(clock)) - secs(stamp))
}

fn time_now(clock: &Mutex<Clock>) -> Time {
    // A poisoned clock still tells the time.
    let now = clock.lock().unwrap_or_else(PoisonError::into_inner).get_now();
    now.map(|now| Clock::to_builtin_time(&now)).unwrap_or_default()
}
