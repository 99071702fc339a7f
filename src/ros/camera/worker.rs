//! The thread `inference` of a camera: from images to what is published.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use face_attributes::parameters::Parameters;
use face_attributes::pipeline::{Pipeline, Scene};
use face_attributes::runtime::{Counters, Mailbox, Recent, Throttle};
use face_attributes::view::Viewer;
use r2r::builtin_interfaces::msg::Time;
use r2r::std_msgs::msg::Header;
use tokio::sync::oneshot;

use super::Calibrations;
use crate::input::{Received, frame_of};
use crate::output::{Observation, Output};
use crate::parameters::SharedParameters;

/// What a camera has while it is idle, and its thread while it works.
pub struct Work {
    pub pipeline: Pipeline,
    pub outputs: Vec<Box<dyn Output>>,
    /// Where the faces are.
    viewer: Viewer,
    /// That of the last image.
    last_header: Option<Header>,
}

impl Work {
    /// Without outputs.
    pub fn new(pipeline: Pipeline) -> Self {
        Self { pipeline, outputs: Vec::new(), viewer: Viewer::default(), last_header: None }
    }

    /// Says on each output that nobody is there, at the time `now`.
    pub fn publish_nobody(&mut self, now: Time) {
        let header = Header { stamp: now, ..self.last_header.clone().unwrap_or_default() };
        for output in &mut self.outputs {
            if let Err(error) = output.publish_nobody(&header) {
                log::warn!("cannot publish {}: {error:#}", output.topic());
            }
        }
    }
}

/// Those who wait for the next image of a camera. Clones share them.
#[derive(Clone, Default)]
pub struct NextImage {
    waiting: Arc<Mutex<Vec<oneshot::Sender<Arc<Received>>>>>,
}

impl NextImage {
    /// Waits for the next image.
    pub fn wait(&self) -> oneshot::Receiver<Arc<Received>> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    /// Ends the wait of all.
    pub fn forget(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn offer(&self, received: &Arc<Received>) {
        for sender in self.waiting.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Who does not wait any more needs no image.
            let _ = sender.send(Arc::clone(received));
        }
    }
}

/// What the last images of a camera took and gave.
#[derive(Debug, Clone, Default)]
pub struct Processing {
    /// Time of each stage, in the order in which an image goes through them.
    pub decode: Recent,
    pub find: Recent,
    pub classify: Recent,
    pub publish: Recent,
    /// Faces in the last image, and how many of them were not seen but followed.
    pub faces: usize,
    pub followed: usize,
    /// Faces in the last image that were not classified, because it was the turn of others.
    pub waiting: usize,
    /// The topics of the outputs that somebody listens to.
    pub listened_to: Vec<&'static str>,
    /// The last fault, and how it came about.
    pub last_fault: Option<String>,
}

/// Everything that the inference thread works with.
pub struct Worker {
    pub images: Arc<Mailbox<Received>>,
    pub counters: Arc<Counters>,
    pub parameters: SharedParameters,
    pub processing: Arc<Mutex<Processing>>,
    /// Whether an output was wanted for the last image.
    pub is_wanted: Arc<AtomicBool>,
    pub next_image: NextImage,
    pub calibrations: Calibrations,
    pub work: Work,
}

impl Worker {
    /// Works until the mailbox is closed. What fails is counted, logged and skipped.
    pub fn run(mut self) -> Work {
        let mut failures = Throttle::default();
        let processing = Arc::clone(&self.processing);
        let mut report = |what: &str, reason: &str| {
            lock(&processing).last_fault = Some(format!("{what}: {reason}"));
            if let Some(count) = failures.count(reason, Instant::now()) {
                log::warn!("{what} ({count} faults so far): {reason}");
            }
        };
        while let Some(received) = self.images.take() {
            let received = Arc::new(received);
            self.next_image.offer(&received);
            self.work.last_header = Some(received.image.header.clone());
            match self.process(received) {
                Ok(faults) => faults.iter().for_each(|fault| report("image processed in part", fault)),
                Err(error) => {
                    self.counters.add_failed_image();
                    report("image skipped", &format!("{error:#}"));
                }
            }
        }
        for output in &mut self.work.outputs {
            if let Err(error) = output.stop() {
                log::error!("{}: {error:#}", output.topic());
            }
        }
        self.work
    }

    /// Publishes what is in an image; the faults are those of single answers and outputs.
    fn process(&mut self, received: Arc<Received>) -> anyhow::Result<Vec<String>> {
        let Work { pipeline, outputs, viewer, .. } = &mut self.work;
        // One snapshot for the whole image, whatever is set meanwhile.
        let parameters = self.parameters.get();
        let mut faults = Vec::new();
        let wanted: Vec<bool> = outputs.iter().map(|output| is_wanted(&**output, &parameters, &mut faults)).collect();
        for (output, _) in outputs.iter_mut().zip(&wanted).filter(|(_, is_wanted)| !**is_wanted) {
            if let Err(error) = output.rest(&received.image.header) {
                faults.push(format!("cannot end what nobody wants of {}: {error:#}", output.topic()));
            }
        }
        let is_any_wanted = wanted.contains(&true);
        self.is_wanted.store(is_any_wanted, Ordering::Relaxed);
        let listened_to = outputs.iter().zip(&wanted).filter(|(_, is_wanted)| **is_wanted);
        lock(&self.processing).listened_to = listened_to.map(|(output, _)| output.topic()).collect();
        let begin = Instant::now();
        let frame = frame_of(&received.image)?;
        let decoded = Instant::now();
        // What nobody listens to is not worth the CPU time of a robot.
        if !is_any_wanted {
            return Ok(faults);
        }
        if parameters.pipeline != *pipeline.parameters() {
            pipeline.set_parameters(parameters.pipeline.clone());
        }
        let scene = pipeline.process(&frame, received.time)?;
        self.counters.add_failed_answers(scene.failures.len() as u64);
        faults.extend(scene.failures.iter().map(ToString::to_string));
        let camera = self.calibrations.model(&received.image.header.frame_id, frame.width(), frame.height());
        let views = viewer.look(&scene.faces, scene.time, camera.as_deref()).into();
        let observation = Observation { received: Arc::clone(&received), scene: Arc::new(scene), views, parameters };
        let publishing = Instant::now();
        for (output, _) in outputs.iter_mut().zip(wanted).filter(|(_, is_wanted)| *is_wanted) {
            if let Err(error) = output.publish(&observation) {
                faults.push(format!("cannot publish {}: {error:#}", output.topic()));
            }
        }
        let mut processing = lock(&self.processing);
        processing.publish.add(publishing.elapsed());
        processing.add(decoded - begin, &observation.scene);
        Ok(faults)
    }
}

impl Processing {
    /// Adds an image: the time to decode it, and what is in it.
    fn add(&mut self, decoding: Duration, scene: &Scene) {
        self.decode.add(decoding + scene.times.gray);
        self.find.add(scene.times.find);
        self.classify.add(scene.times.classify);
        self.faces = scene.faces.len();
        self.waiting = scene.waiting;
        self.followed = scene.faces.iter().filter(|face| !face.seen).count();
    }
}

fn lock(processing: &Mutex<Processing>) -> MutexGuard<'_, Processing> {
    processing.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether somebody listens to the output; not where that cannot be told, which is a fault.
fn is_wanted(output: &dyn Output, parameters: &Parameters, faults: &mut Vec<String>) -> bool {
    output.is_wanted(parameters).unwrap_or_else(|error| {
        faults.push(format!("cannot tell who listens to {}: {error}", output.topic()));
        false
    })
}
