//! The thread `ros_spin`, which owns the ROS node and talks to DDS.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use anyhow::anyhow;
use face_attributes::runtime::{NamedThread, ThreadError};
use r2r::Node;
use tokio::sync::{oneshot, watch};

/// How long the thread waits for DDS at a time, and so the most that a stop has to wait for it.
const SPIN_TIMEOUT: Duration = Duration::from_millis(100);

/// How long the thread rests at a time while nobody needs what comes. DDS keeps the newest messages meanwhile and drops older ones,
/// so that they cost nothing more.
const REST: Duration = Duration::from_millis(200);

/// Work that needs the node itself, for example to create or end a topic.
type Request = Box<dyn FnOnce(&mut Node) + Send>;

/// Spins a node in a thread of its own.
pub struct Spinner {
    requests: NodeThread,
    stop: Arc<AtomicBool>,
    alive: watch::Receiver<()>,
    thread: NamedThread<()>,
}

impl Spinner {
    /// Starts to spin. `after_each` is called after each turn, and says whether the thread may rest before the next one. So it is
    /// called five times a second at the least.
    ///
    /// # Errors
    /// Where the thread cannot be started.
    pub fn start(
        mut node: Node,
        mut after_each: impl FnMut(&mut Node) -> bool + Send + 'static,
    ) -> Result<Self, ThreadError> {
        let (requests, receiver) = mpsc::channel::<Request>();
        let pending = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, alive) = watch::channel(());
        let thread = NamedThread::spawn("ros_spin", {
            let (pending, stop) = (Arc::clone(&pending), Arc::clone(&stop));
            move || {
                // Nothing is ever sent: the sender ends with the thread, in whichever way.
                let _alive: watch::Sender<()> = sender;
                let mut may_rest = false;
                while !stop.load(Ordering::Relaxed) {
                    if may_rest && let Ok(request) = receiver.recv_timeout(REST) {
                        request(&mut node);
                        pending.fetch_sub(1, Ordering::Release);
                    }
                    let is_needed = may_rest || pending.load(Ordering::Acquire) > 0;
                    node.spin_once(if is_needed { Duration::ZERO } else { SPIN_TIMEOUT });
                    serve(&receiver, &pending, &mut node);
                    may_rest = after_each(&mut node);
                }
            }
        })?;
        Ok(Self { requests: NodeThread { requests, pending }, stop, alive, thread })
    }

    /// The thread, for those who need the node while they run.
    pub fn node_thread(&self) -> NodeThread {
        self.requests.clone()
    }

    /// Does `work` with the node in the spinning thread and waits for its result.
    ///
    /// # Errors
    /// Where the thread has ended.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Node) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        self.requests.call(work).await
    }

    /// Waits until the thread ends by itself.
    pub async fn ended(&self) -> anyhow::Error {
        // The channel's error is the end of the thread.
        let _ = self.alive.clone().changed().await;
        anyhow!("the thread ros_spin has ended")
    }

    /// Ends the thread and with it the node.
    ///
    /// # Errors
    /// Where the thread failed.
    pub fn stop(self) -> Result<(), ThreadError> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join()
    }
}

/// Does work in the spinning thread; clones share it.
#[derive(Clone)]
pub struct NodeThread {
    requests: Sender<Request>,
    /// r2r has no way to wake a thread that spins: it waits for DDS only while there is no request.
    pending: Arc<AtomicUsize>,
}

impl NodeThread {
    /// Does `work` with the node in the spinning thread and waits for its result.
    ///
    /// # Errors
    /// Where the thread has ended.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Node) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let (sender, result) = oneshot::channel();
        self.post(move |node| {
            // Nobody waits any more where this fails.
            let _ = sender.send(work(node));
        });
        result.await.map_err(|_| anyhow!("the thread ros_spin has ended"))
    }

    /// Lets the spinning thread do `work` with the node, soon and in the order of the calls. Once the thread has ended, nothing is
    /// done: the node's topics end with it.
    pub fn post(&self, work: impl FnOnce(&mut Node) + Send + 'static) {
        self.pending.fetch_add(1, Ordering::Release);
        let request: Request = Box::new(work);
        let _ = self.requests.send(request);
    }
}

fn serve(requests: &Receiver<Request>, pending: &AtomicUsize, node: &mut Node) {
    while let Ok(request) = requests.try_recv() {
        request(node);
        pending.fetch_sub(1, Ordering::Release);
    }
}
