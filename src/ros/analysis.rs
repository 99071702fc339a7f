//! `~/analyze_image`: answers for one image on demand, given or the next that a camera delivers.
//!
//! A thread of its own, `analysis`, finds and classifies at a lower priority than the cameras' threads. It exists from the first
//! request of an active node on.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use anyhow::Context as _;
use face_attributes::faces::FaceIds;
use face_attributes::frame::Frame;
use face_attributes::panics::catch_panic;
use face_attributes::pipeline::{Networks, Pipeline};
use face_attributes::runtime::NamedThread;
use face_attributes::view::Viewer;
use r2r::ServiceRequest;
use r2r::face_attributes::msg::FaceAttributesArray;
use r2r::face_attributes::srv::AnalyzeImage::{Request, Response, Service};
use r2r::std_msgs::msg::Header;
use tokio::sync::oneshot;

use crate::camera::Calibrations;
use crate::input::{Received, frame_of, frame_of_message};
use crate::output::faces_message;
use crate::parameters::SharedParameters;
use crate::priority::yield_to_others;
use crate::services::respond;

/// Requests that wait at the most. Who asks when so many wait is answered at once that the node is busy.
const MAX_WAITING: usize = 8;

/// A request that was not answered yet.
pub type AnalysisRequest = ServiceRequest<Service>;

/// The thread that analyses images.
pub struct Analysis {
    jobs: SyncSender<Job>,
    thread: NamedThread<()>,
}

/// A request with its image, if the image does not come with the request.
struct Job {
    request: AnalysisRequest,
    next_image: Option<Arc<Received>>,
    /// Those of the camera, for an image with its frame and size.
    calibrations: Calibrations,
}

impl Analysis {
    /// Starts the thread. It works with the cameras' networks, and names faces by `ids`.
    ///
    /// # Errors
    /// Where the thread cannot be started.
    pub fn start(networks: &Networks, ids: FaceIds, parameters: &SharedParameters) -> anyhow::Result<Self> {
        let (jobs, receiver) = sync_channel(MAX_WAITING);
        let worker = Worker { networks: networks.clone(), ids, parameters: parameters.clone(), pipeline: None };
        Ok(Self { jobs, thread: NamedThread::spawn("analysis", move || worker.run(&receiver))? })
    }

    /// Answers the request in the background: for its own image, else for the next one, whose sender ends when its camera is
    /// stopped. To be called within tokio's runtime.
    pub fn answer(
        &self,
        request: AnalysisRequest,
        next_image: oneshot::Receiver<Arc<Received>>,
        calibrations: Calibrations,
    ) {
        let jobs = self.jobs.clone();
        if has_image(&request.message) {
            return enqueue(&jobs, Job { request, next_image: None, calibrations });
        }
        tokio::spawn(async move {
            match next_image.await {
                Ok(received) => enqueue(&jobs, Job { request, next_image: Some(received), calibrations }),
                Err(_) => refuse(request, "the node was deactivated before an image arrived"),
            }
        });
    }

    /// Answers what waits and ends the thread. Those who wait for an image must have been told before that none will come.
    ///
    /// # Errors
    /// Where the thread failed.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self { jobs, thread } = self;
        drop(jobs);
        Ok(tokio::task::spawn_blocking(|| thread.join()).await??)
    }
}

/// Answers a request that cannot be fulfilled.
pub fn refuse(request: AnalysisRequest, message: &str) {
    respond("analyze_image", request, failure(message.to_owned()));
}

fn failure(message: String) -> Response {
    Response { success: false, message, faces: FaceAttributesArray::default() }
}

fn has_image(request: &Request) -> bool {
    !request.image.data.is_empty()
}

fn enqueue(jobs: &SyncSender<Job>, job: Job) {
    match jobs.try_send(job) {
        Ok(()) => {}
        Err(TrySendError::Full(job)) => refuse(job.request, "too many images wait to be analysed already"),
        Err(TrySendError::Disconnected(job)) => refuse(job.request, "the node is not active"),
    }
}

/// Everything that the thread works with.
struct Worker {
    networks: Networks,
    ids: FaceIds,
    parameters: SharedParameters,
    /// Loaded with the first image: most nodes are never asked.
    pipeline: Option<Pipeline>,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Job>) {
        yield_to_others("analysis");
        while let Ok(Job { request, next_image, calibrations }) = jobs.recv() {
            let analyze = || match &next_image {
                Some(received) => self.analyze(&frame_of(&received.image)?, &received.image.header, &calibrations),
                None => {
                    let image = &request.message.image;
                    self.analyze(&frame_of_message(image)?, &image.header, &calibrations)
                }
            };
            let response = match catch_panic(analyze) {
                Ok(Ok(faces)) => Response { success: true, message: String::new(), faces },
                Ok(Err(error)) => failure(format!("{error:#}")),
                Err(panic) => failure(panic),
            };
            respond("analyze_image", request, response);
        }
    }

    fn analyze(
        &mut self,
        frame: &Frame,
        header: &Header,
        calibrations: &Calibrations,
    ) -> anyhow::Result<FaceAttributesArray> {
        let parameters = self.parameters.get();
        let mut pipeline = match self.pipeline.take() {
            Some(pipeline) => pipeline,
            None => Pipeline::with_networks(parameters.pipeline.clone(), &self.networks, self.ids.clone())?,
        };
        pipeline.set_parameters(parameters.pipeline.clone());
        let scene = pipeline.process_still(frame).context("cannot analyse the image")?;
        // After a panic it would not be put back, as it may be half changed.
        self.pipeline = Some(pipeline);
        if let Some(failure) = scene.failures.first() {
            anyhow::bail!("{failure}");
        }
        let camera = calibrations.model(&header.frame_id, frame.width(), frame.height());
        let views = Viewer::default().look(&scene.faces, scene.time, camera.as_deref());
        Ok(faces_message(header.clone(), &scene, &views))
    }
}
