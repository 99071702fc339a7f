//! The heartbeat by which nav2's lifecycle manager sees that an active node lives, as `bondcpp` sends it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use r2r::bond::msg::Status;
use r2r::std_msgs::msg::Header;
use r2r::uuid::Uuid;
use r2r::{Clock, ClockType, Node, Publisher, QosProfile};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// The topic, in the node's namespace.
const TOPIC: &str = "bond";
/// Time between two heartbeats: bond's default.
const PERIOD: Duration = Duration::from_millis(100);
/// Time without a heartbeat after which the other side takes this one for dead: bond's default.
const TIMEOUT: Duration = Duration::from_secs(4);

/// One side of the bond between this node and its lifecycle manager. It has a heartbeat while the node is active.
///
/// It does not watch the manager: without one, the node goes on.
pub struct Bond {
    publisher: Publisher<Status>,
    node_name: String,
    beating: Option<Beating>,
}

/// The heartbeat of one activation.
struct Beating {
    instance_id: String,
    task: JoinHandle<()>,
}

impl Bond {
    /// A bond without a heartbeat yet. Its id is the node's name.
    ///
    /// # Errors
    /// Where the topic cannot be created.
    pub fn create(node: &mut Node) -> r2r::Result<Self> {
        let publisher = node.create_publisher(TOPIC, QosProfile::default())?;
        Ok(Self { publisher, node_name: node.name()?, beating: None })
    }

    /// Begins to send the heartbeat, to whoever listens. To be called within tokio's runtime.
    ///
    /// # Errors
    /// Where there is no steady clock.
    pub fn start(&mut self) -> r2r::Result<()> {
        let instance_id = Uuid::new_v4().to_string();
        let status = Status { active: true, ..self.status(&instance_id) };
        let clock = Mutex::new(Clock::create(ClockType::SteadyTime)?);
        let publisher = self.publisher.clone();
        let task = tokio::spawn(async move {
            let mut ticks = interval(PERIOD);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if publisher.get_inter_process_subscription_count().is_ok_and(|listeners| listeners > 0) {
                    beat(&publisher, &clock, status.clone());
                }
            }
        });
        self.beating = Some(Beating { instance_id, task });
        Ok(())
    }

    /// Ends the heartbeat and says so.
    pub fn stop(&mut self) {
        if let Some(Beating { instance_id, task }) = self.beating.take() {
            task.abort();
            if let Ok(clock) = Clock::create(ClockType::SteadyTime) {
                beat(&self.publisher, &Mutex::new(clock), self.status(&instance_id));
            }
        }
    }

    /// The message of a bond that is broken.
    fn status(&self, instance_id: &str) -> Status {
        Status {
            header: Header::default(),
            id: self.node_name.clone(),
            instance_id: instance_id.to_owned(),
            active: false,
            heartbeat_timeout: TIMEOUT.as_secs_f32(),
            heartbeat_period: PERIOD.as_secs_f32(),
        }
    }
}

/// Sends one heartbeat, stamped by the steady clock as bondcpp's are.
fn beat(publisher: &Publisher<Status>, clock: &Mutex<Clock>, mut status: Status) {
    let now = clock.lock().unwrap_or_else(PoisonError::into_inner).get_now();
    status.header.stamp = now.map(|now| Clock::to_builtin_time(&now)).unwrap_or_default();
    if let Err(error) = publisher.publish(&status) {
        log::debug!("cannot publish {TOPIC}: {error}");
    }
}
