//! One camera: its subscription, its pipeline, its threads and its outputs, started and stopped as a whole.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use face_attributes::attributes::Classifiers;
use face_attributes::faces::FaceIds;
use face_attributes::parameters::Parameters;
use face_attributes::pipeline::Pipeline;
use face_attributes::runtime::{Counters, Mailbox, NamedThread, Throttle};
use r2r::Node;
use r2r::sensor_msgs::msg::Image;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::input::{Received, forward_newest, frame_of, image_qos};
use crate::output::{Observation, Output, create_outputs};
use crate::parameters::SharedParameters;
use crate::spinner::Spinner;

/// Where a camera's images come from and where its outputs go.
#[derive(Debug, Clone)]
pub struct CameraTopics {
    /// Topic of the images, to be remapped.
    pub image: String,
    /// What the topics of the outputs begin with.
    pub output_prefix: String,
}

/// A camera at work.
pub struct Camera {
    topics: CameraTopics,
    counters: Arc<Counters>,
    images: Arc<Mailbox<Received>>,
    /// Owns the subscription.
    forwarding: JoinHandle<()>,
    inference: NamedThread<Vec<Box<dyn Output>>>,
    inference_alive: oneshot::Receiver<()>,
    has_inference_ended: bool,
}

impl Camera {
    /// Subscribes and starts the threads. Cameras share the networks and differ in their `ids`. To be called within tokio's
    /// runtime.
    ///
    /// # Errors
    /// Where a cascade or the search network cannot be loaded, a topic cannot be created, or a thread cannot be started.
    pub fn start(
        node: &mut Node,
        topics: CameraTopics,
        ids: FaceIds,
        classifiers: &Arc<Classifiers>,
        parameters: &SharedParameters,
    ) -> anyhow::Result<Self> {
        let snapshot = parameters.get();
        let pipeline = Pipeline::with_classifiers(snapshot.pipeline.clone(), Arc::clone(classifiers), ids)?;
        let subscription = node
            .subscribe::<Image>(&topics.image, image_qos(snapshot.image.reliability))
            .with_context(|| format!("cannot subscribe to {}", topics.image))?;
        let outputs = create_outputs(node, &topics.output_prefix, classifiers)?;

        let counters = Arc::new(Counters::default());
        let images = Arc::new(Mailbox::new());
        let worker = Worker {
            images: Arc::clone(&images),
            counters: Arc::clone(&counters),
            parameters: parameters.clone(),
            pipeline,
            outputs,
        };
        let (sender, inference_alive) = oneshot::channel();
        let inference = NamedThread::spawn("inference", move || {
            // Nothing is ever sent: the sender ends with the thread, in whichever way.
            let _alive: oneshot::Sender<()> = sender;
            worker.run()
        })?;
        let forwarding = tokio::spawn({
            let (images, counters) = (Arc::clone(&images), Arc::clone(&counters));
            async move { forward_newest(subscription, &images, &counters).await }
        });
        Ok(Self { topics, counters, images, forwarding, inference, inference_alive, has_inference_ended: false })
    }

    /// Images of this camera so far.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Waits until the camera ends by itself, and says why. To be awaited to its end once at the most.
    pub async fn failed(&mut self) -> anyhow::Error {
        let what = tokio::select! {
            _ = &mut self.forwarding => "subscription",
            _ = &mut self.inference_alive => {
                self.has_inference_ended = true;
                "inference thread"
            }
        };
        anyhow!("the {what} of {} ended", self.topics.image)
    }

    /// Ends the threads and the topics of the outputs. r2r ends the subscription with the next image that arrives for it, which
    /// is not processed any more.
    ///
    /// An image that is in work at that time is finished, unless that takes longer than `patience`: then the threads are left
    /// behind with their topics.
    ///
    /// # Errors
    /// Where a thread failed.
    pub async fn stop(mut self, spinner: &Spinner, patience: Duration) -> anyhow::Result<()> {
        self.images.close();
        self.forwarding.abort();
        // The channel's error is the end of the thread.
        if !self.has_inference_ended && timeout(patience, &mut self.inference_alive).await.is_err() {
            log::warn!("stopping in the middle of an image, which takes longer than {} s", patience.as_secs());
            return Ok(());
        }
        let outputs = self.inference.join()?;
        spinner.call(|node| outputs.into_iter().for_each(|output| output.close(node))).await
    }
}

/// Everything that the inference thread works with.
struct Worker {
    images: Arc<Mailbox<Received>>,
    counters: Arc<Counters>,
    parameters: SharedParameters,
    pipeline: Pipeline,
    outputs: Vec<Box<dyn Output>>,
}

impl Worker {
    /// Works until the mailbox is closed. What fails is counted, logged and skipped.
    fn run(mut self) -> Vec<Box<dyn Output>> {
        let mut failures = Throttle::default();
        let mut report = |what: &str, reason: &str| {
            if let Some(count) = failures.count(reason, Instant::now()) {
                log::warn!("{what} ({count} faults so far): {reason}");
            }
        };
        while let Some(received) = self.images.take() {
            match self.process(received) {
                Ok(faults) => faults.iter().for_each(|fault| report("image processed in part", fault)),
                Err(error) => {
                    self.counters.add_failed_image();
                    report("image skipped", &format!("{error:#}"));
                }
            }
        }
        for output in &mut self.outputs {
            if let Err(error) = output.stop() {
                log::error!("{}: {error:#}", output.topic());
            }
        }
        self.outputs
    }

    /// Publishes what is in an image; the faults are those of single answers and outputs.
    fn process(&mut self, received: Received) -> anyhow::Result<Vec<String>> {
        let frame = frame_of(&received.image)?;
        // One snapshot for the whole image, whatever is set meanwhile.
        let parameters = self.parameters.get();
        let mut faults = Vec::new();
        let wanted: Vec<bool> =
            self.outputs.iter().map(|output| is_wanted(&**output, &parameters, &mut faults)).collect();
        // What nobody listens to is not worth the CPU time of a robot.
        if !wanted.contains(&true) {
            return Ok(faults);
        }
        if parameters.pipeline != *self.pipeline.parameters() {
            self.pipeline.set_parameters(parameters.pipeline.clone());
        }
        let scene = self.pipeline.process(&frame, received.time)?;
        self.counters.add_failed_answers(scene.failures.len() as u64);
        faults.extend(scene.failures.iter().map(ToString::to_string));
        let observation = Observation { received: Arc::new(received), scene: Arc::new(scene), parameters };
        for (output, _) in self.outputs.iter_mut().zip(wanted).filter(|(_, is_wanted)| *is_wanted) {
            if let Err(error) = output.publish(&observation) {
                faults.push(format!("cannot publish {}: {error:#}", output.topic()));
            }
        }
        Ok(faults)
    }
}

/// Whether somebody listens to the output; not where that cannot be told, which is a fault.
fn is_wanted(output: &dyn Output, parameters: &Parameters, faults: &mut Vec<String>) -> bool {
    output.is_wanted(parameters).unwrap_or_else(|error| {
        faults.push(format!("cannot tell who listens to {}: {error}", output.topic()));
        false
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::{Stream, StreamExt};
    use opencv::imgcodecs::{IMREAD_GRAYSCALE, imread};
    use opencv::prelude::*;
    use r2r::face_attributes::msg::FaceAttributesArray;
    use r2r::{Publisher, QosProfile};

    use super::*;

    /// Far more than anything here takes: reached only when something hangs.
    const DEADLINE: Duration = Duration::from_secs(120);

    fn topics(name: &str) -> CameraTopics {
        CameraTopics { image: format!("{name}/image"), output_prefix: format!("~/{name}") }
    }

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
        let parameters = SharedParameters::new(Parameters::default(), false);
        let classifiers = Arc::new(Classifiers::load(&parameters.get().pipeline.attributes).unwrap());
        let [front_ids, rear_ids] = [0, 1].map(FaceIds::of_camera);
        let start = |node: &mut Node, name: &str, ids: &FaceIds| {
            Camera::start(node, topics(name), ids.clone(), &classifiers, &parameters).unwrap()
        };
        let front = start(&mut node, "front", &front_ids);
        let rear = start(&mut node, "rear", &rear_ids);
        let reliable = QosProfile::default();
        let to_front = node.create_publisher::<Image>("front/image", reliable.clone()).unwrap();
        let to_rear = node.create_publisher::<Image>("rear/image", reliable.clone()).unwrap();
        let mut of_front = node.subscribe("~/front/faces", reliable.clone()).unwrap();
        let mut of_rear = node.subscribe("~/rear/faces", reliable).unwrap();
        let spinner = Spinner::start(node, |_| ()).unwrap();
        assert_eq!(id_of_face(&to_front, &mut of_front).await, "face1");
        assert_eq!(id_of_face(&to_rear, &mut of_rear).await, "camera2_face1");

        // Without the front camera, its topics are gone and the rear one goes on.
        let weak = Arc::downgrade(&front.counters);
        front.stop(&spinner, DEADLINE).await.unwrap();
        assert!(weak.upgrade().is_none(), "something of the camera is left");
        let publishers = |node: &mut Node, topic: &str| node.get_publishers_info_by_topic(topic, false).unwrap().len();
        assert_eq!(spinner.call(move |node| publishers(node, "/cameras/front/faces")).await.unwrap(), 0);
        assert_eq!(id_of_face(&to_rear, &mut of_rear).await, "camera2_face1");

        // Started again from the thread that owns the node, its ids go on.
        let runtime = tokio::runtime::Handle::current();
        let start_again = move |node: &mut Node| {
            let _guard = runtime.enter();
            Camera::start(node, topics("front"), front_ids, &classifiers, &parameters).unwrap()
        };
        let front = spinner.call(start_again).await.unwrap();
        assert_eq!(id_of_face(&to_front, &mut of_front).await, "face2");
        front.stop(&spinner, DEADLINE).await.unwrap();
        rear.stop(&spinner, DEADLINE).await.unwrap();
        spinner.stop().unwrap();
    }
}
