//! One camera: its pipeline and its outputs, and while it works its subscription and its threads.

mod calibrations;
mod worker;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use face_attributes::attributes::Classifiers;
use face_attributes::faces::FaceIds;
use face_attributes::parameters::Parameters;
use face_attributes::pipeline::{Networks, Pipeline};
use face_attributes::runtime::{Counters, Mailbox, NamedThread};
use r2r::Node;
use r2r::builtin_interfaces::msg::Time;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::input::{ImageSource, Intake, Received};
use crate::names::{Names, sibling};
use crate::output::{SharedOutputs, create_outputs};
use crate::parameters::SharedParameters;
use crate::spinner::Spinner;
pub use calibrations::Calibrations;
use calibrations::Listening;
pub use worker::Processing;
use worker::{NextImage, Work, Worker};

/// Where a camera's images come from and where its outputs go. The names are full ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraTopics {
    /// Topic of the images.
    pub image: String,
    /// Topic of the same images, compressed. Where no rule renames it, it is below that of the images, as image_transport has it.
    pub compressed: String,
    /// Topic of the camera's calibration. Where no rule renames it, it is beside that of the images, as image_transport has it.
    pub camera_info: String,
    /// What the topics of the outputs begin with, relative to the node.
    pub output_prefix: String,
}

impl CameraTopics {
    /// The topics of the only camera of a node.
    pub fn single(names: &Names) -> Self {
        Self::below("", "~".to_owned(), names)
    }

    /// The topics of one of several cameras: its name is a namespace of both sides.
    pub fn named(name: &str, names: &Names) -> Self {
        Self::below(&format!("{name}/"), format!("~/{name}"), names)
    }

    fn below(namespace: &str, output_prefix: String, names: &Names) -> Self {
        let [image, compressed, camera_info] =
            ["image", "image/compressed", "camera_info"].map(|topic| format!("{namespace}{topic}"));
        let image = names.topic(&image);
        let compressed = names.remapped(&compressed).unwrap_or_else(|| format!("{image}/compressed"));
        let camera_info = names.remapped(&camera_info).unwrap_or_else(|| sibling(&image, "camera_info"));
        Self { image, compressed, camera_info, output_prefix }
    }
}

/// What a camera keeps over several lives.
#[derive(Clone)]
pub struct CameraIdentity {
    /// The ids of its faces.
    pub ids: FaceIds,
    /// The counts of its images.
    pub counters: Arc<Counters>,
    /// What it publishes of its lens.
    pub calibrations: Calibrations,
    /// Where its images come from.
    pub source: Arc<ImageSource>,
    /// What its last images took and gave.
    pub processing: Arc<Mutex<Processing>>,
}

impl CameraIdentity {
    /// A camera whose faces have these ids.
    pub fn new(ids: FaceIds) -> Self {
        let counters = Arc::<Counters>::default();
        let source = Arc::new(ImageSource::new(Arc::clone(&counters)));
        Self { ids, counters, calibrations: Calibrations::default(), source, processing: Arc::default() }
    }
}

/// A camera of the node. It is idle until [`Camera::start`].
pub struct Camera {
    topics: CameraTopics,
    identity: CameraIdentity,
    parameters: SharedParameters,
    /// Those who wait for the next image.
    next_image: NextImage,
    state: State,
}

enum State {
    Idle(Box<Work>),
    Working(Threads),
    /// An image took too long to be waited for, or a thread failed: its pipeline and outputs are lost.
    Lost,
}

/// A camera at work.
struct Threads {
    images: Arc<Mailbox<Received>>,
    inference: NamedThread<Work>,
    inference_alive: oneshot::Receiver<()>,
    has_inference_ended: bool,
    listening: Listening,
}

impl Camera {
    /// Loads the pipeline by a snapshot of the parameters. Cameras share the networks. [`Camera::create_outputs`] is next.
    ///
    /// # Errors
    /// Where a cascade cannot be loaded.
    pub fn load(
        topics: CameraTopics,
        identity: CameraIdentity,
        networks: &Networks,
        snapshot: &Parameters,
        parameters: &SharedParameters,
    ) -> anyhow::Result<Self> {
        let ids = identity.ids.clone();
        let pipeline = Pipeline::with_networks(snapshot.pipeline.clone(), networks, ids)?;
        Ok(Self {
            topics,
            identity,
            parameters: parameters.clone(),
            next_image: NextImage::default(),
            state: State::Idle(Box::new(Work::new(pipeline))),
        })
    }

    /// Creates the outputs' topics.
    ///
    /// # Errors
    /// Where a topic cannot be created.
    pub fn create_outputs(
        &mut self,
        node: &mut Node,
        classifiers: &Arc<Classifiers>,
        shared: &SharedOutputs,
    ) -> anyhow::Result<()> {
        if let State::Idle(work) = &mut self.state {
            work.outputs = create_outputs(node, &self.topics.output_prefix, classifiers, shared)?;
        }
        Ok(())
    }

    /// Where the images come from and the outputs go.
    pub fn topics(&self) -> &CameraTopics {
        &self.topics
    }

    /// What the camera publishes of its lens.
    pub fn calibrations(&self) -> &Calibrations {
        &self.identity.calibrations
    }

    /// The next image that arrives. The sender ends without one when the camera is stopped before.
    pub fn next_image(&self) -> oneshot::Receiver<Arc<Received>> {
        self.next_image.wait()
    }

    /// Subscribes and starts the threads. To be called within tokio's runtime.
    ///
    /// # Errors
    /// Where the topic cannot be subscribed to or a thread cannot be started. The camera is idle then.
    pub async fn start(&mut self, spinner: &Spinner) -> anyhow::Result<()> {
        let State::Idle(work) = &mut self.state else { return Ok(()) };
        for output in &mut work.outputs {
            output.start().with_context(|| format!("cannot start {}", output.topic()))?;
        }
        let listening = self.identity.calibrations.listen(&self.topics.camera_info, spinner).await;
        let listening = listening.with_context(|| format!("cannot subscribe to {}", self.topics.camera_info))?;

        let images = Arc::new(Mailbox::new());
        let is_wanted = Arc::new(AtomicBool::new(true));
        let intake = Intake {
            image: self.topics.image.clone(),
            compressed: self.topics.compressed.clone(),
            images: Arc::clone(&images),
            is_wanted: Arc::clone(&is_wanted),
        };
        let (source, settings) = (Arc::clone(&self.identity.source), self.parameters.get());
        let subscribe = move |node: &mut Node| source.start(node, intake, &settings.image, Instant::now());
        let subscribed = spinner.call(subscribe).await?;
        subscribed.with_context(|| format!("cannot subscribe to {}", self.topics.image))?;
        let State::Idle(mut work) = std::mem::replace(&mut self.state, State::Lost) else { return Ok(()) };
        // Whoever was there when the camera was stopped has an id no more.
        work.pipeline.begin_recording(self.identity.ids.clone());
        let worker = Worker {
            images: Arc::clone(&images),
            counters: Arc::clone(&self.identity.counters),
            parameters: self.parameters.clone(),
            processing: Arc::clone(&self.identity.processing),
            is_wanted,
            next_image: self.next_image.clone(),
            calibrations: self.identity.calibrations.clone(),
            work: *work,
        };
        let (sender, inference_alive) = oneshot::channel();
        let inference = NamedThread::spawn("inference", move || {
            // Nothing is ever sent: the sender ends with the thread, in whichever way.
            let _alive: oneshot::Sender<()> = sender;
            worker.run()
        })?;
        self.state =
            State::Working(Threads { images, inference, inference_alive, has_inference_ended: false, listening });
        Ok(())
    }

    /// Waits until a camera at work ends by itself, and says why; for ever where it is idle. To be awaited to its end once at
    /// the most.
    pub async fn failed(&mut self) -> anyhow::Error {
        let State::Working(threads) = &mut self.state else { return std::future::pending().await };
        // The channel's error is the end of the thread.
        let _ = (&mut threads.inference_alive).await;
        threads.has_inference_ended = true;
        anyhow!("the inference thread of {} ended", self.topics.image)
    }

    /// Ends the threads, and says on the outputs that nobody is there. r2r ends the subscription with the next image that
    /// arrives for it, which is not processed any more.
    ///
    /// An image that is in work at that time is finished, unless that takes longer than `patience`.
    ///
    /// # Errors
    /// Where a thread failed or was left behind. The pipeline and the outputs are lost then.
    pub async fn stop(&mut self, spinner: &Spinner, patience: Duration) -> anyhow::Result<()> {
        let threads = match std::mem::replace(&mut self.state, State::Lost) {
            State::Working(threads) => threads,
            other => {
                self.state = other;
                return Ok(());
            }
        };
        self.identity.source.stop();
        let mut work = threads.join(patience).await.with_context(|| self.topics.image.clone())?;
        self.next_image.forget();
        let now = spinner.call(now).await?;
        work.publish_nobody(now);
        self.state = State::Idle(Box::new(work));
        Ok(())
    }

    /// Ends the outputs' topics.
    ///
    /// # Errors
    /// Where the node has ended.
    pub async fn close(self, spinner: &Spinner) -> anyhow::Result<()> {
        let State::Idle(work) = self.state else { return Ok(()) };
        spinner.call(|node| work.outputs.into_iter().for_each(|output| output.close(node))).await
    }
}

impl Threads {
    /// Ends the threads. The channel's error is the end of the thread.
    async fn join(mut self, patience: Duration) -> anyhow::Result<Work> {
        self.images.close();
        self.listening.stop().await;
        if !self.has_inference_ended && timeout(patience, &mut self.inference_alive).await.is_err() {
            anyhow::bail!("stopping in the middle of an image, which takes longer than {} s", patience.as_secs());
        }
        Ok(self.inference.join()?)
    }
}

/// The time of the node's clock.
fn now(node: &mut Node) -> Time {
    let clock = node.get_ros_clock();
    // A poisoned clock still tells the time; where rcl fails, no stamp is better than no message.
    let mut clock = clock.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    clock.get_now().map(|now| r2r::Clock::to_builtin_time(&now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::{Stream, StreamExt};
    use opencv::imgcodecs::{IMREAD_GRAYSCALE, imread};
    use opencv::prelude::*;
    use r2r::face_attributes::msg::FaceAttributesArray;
    use r2r::sensor_msgs::msg::Image;
    use r2r::{Publisher, QosProfile};

    use super::*;

    /// Far more than anything here takes: reached only when something hangs.
    const DEADLINE: Duration = Duration::from_secs(120);

    fn portrait() -> Image {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astronaut.jpg");
        let gray = imread(path, IMREAD_GRAYSCALE).unwrap();
        let [width, height] = [gray.cols(), gray.rows()].map(i32::unsigned_abs);
        let data = gray.data_bytes().unwrap().to_vec();
        Image { width, height, step: width, encoding: "mono8".to_owned(), data, ..Default::default() }
    }

    /// The id of the face, from the next answer that has one. Images are sent until it comes, as some are lost while the parts
    /// find each other. Answers to earlier images may still be on the way; they do not count.
    async fn id_of_face(
        images: &Publisher<Image>,
        answers: &mut (impl Stream<Item = FaceAttributesArray> + Unpin),
    ) -> String {
        static SENT: AtomicU32 = AtomicU32::new(1);
        let first = SENT.load(Ordering::Relaxed);
        let ask = async {
            loop {
                let mut image = portrait();
                // So near to each other that no track ends between them.
                image.header.stamp.nanosec = SENT.fetch_add(1, Ordering::Relaxed);
                images.publish(&image).unwrap();
                if let Ok(Some(answer)) = timeout(Duration::from_millis(200), answers.next()).await
                    && answer.header.stamp.nanosec >= first
                    && let Some(face) = answer.faces.first()
                {
                    return face.id.clone();
                }
            }
        };
        timeout(DEADLINE, ask).await.unwrap()
    }

    #[tokio::test]
    async fn cameras_are_started_and_stopped_one_by_one() {
        let mut node = Node::create(r2r::Context::create().unwrap(), "cameras", "").unwrap();
        let names = Names::new("/".to_owned(), "cameras".to_owned(), Vec::new());
        let parameters = SharedParameters::new(Parameters::default(), false);
        let snapshot = parameters.get();
        let networks = Networks::load(&snapshot.pipeline).unwrap();
        let mut sources = Vec::new();
        let mut load = |number, name: &str| {
            let identity = CameraIdentity::new(FaceIds::of_camera(number));
            sources.push(Arc::clone(&identity.source));
            Camera::load(CameraTopics::named(name, &names), identity, &networks, &snapshot, &parameters).unwrap()
        };
        let (mut front, mut rear) = (load(0, "front"), load(1, "rear"));
        let reliable = QosProfile::default();
        let to_front = node.create_publisher::<Image>("front/image", reliable.clone()).unwrap();
        let to_rear = node.create_publisher::<Image>("rear/image", reliable.clone()).unwrap();
        let mut of_front = node.subscribe("~/front/faces", reliable.clone()).unwrap();
        let mut of_rear = node.subscribe("~/rear/faces", reliable).unwrap();
        let settings = snapshot.image.clone();
        let turn = move |node: &mut Node| {
            sources.iter().for_each(|source| source.turn(node, &settings, false, Instant::now(), &mut |_| ()));
            false
        };
        let spinner = Spinner::start(node, turn).unwrap();
        let node_thread = spinner.node_thread();
        let create = move |node: &mut Node| {
            let shared = SharedOutputs::create(node, node_thread, &names).unwrap();
            for camera in [&mut front, &mut rear] {
                camera.create_outputs(node, &networks.classifiers, &shared).unwrap();
            }
            (front, rear)
        };
        let (mut front, mut rear) = spinner.call(create).await.unwrap();
        front.start(&spinner).await.unwrap();
        rear.start(&spinner).await.unwrap();
        assert_eq!(id_of_face(&to_front, &mut of_front).await, "face1");
        assert_eq!(id_of_face(&to_rear, &mut of_rear).await, "camera2_face1");

        // Without the front camera the rear one goes on. Who listens to the front one is told that nobody is there.
        front.stop(&spinner, DEADLINE).await.unwrap();
        let nobody = async { while !of_front.next().await.unwrap().faces.is_empty() {} };
        timeout(DEADLINE, nobody).await.unwrap();
        assert_eq!(id_of_face(&to_rear, &mut of_rear).await, "camera2_face1");

        // Started again, its ids go on.
        front.start(&spinner).await.unwrap();
        assert_eq!(id_of_face(&to_front, &mut of_front).await, "face2");
        front.stop(&spinner, DEADLINE).await.unwrap();
        front.close(&spinner).await.unwrap();
        let publishers = |node: &mut Node, topic: &str| node.get_publishers_info_by_topic(topic, false).unwrap().len();
        assert_eq!(spinner.call(move |node| publishers(node, "/cameras/front/faces")).await.unwrap(), 0);
        rear.stop(&spinner, DEADLINE).await.unwrap();
        spinner.stop().unwrap();
    }
}
