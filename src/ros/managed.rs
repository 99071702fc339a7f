//! What this node does in the transitions of its lifecycle.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use face_attributes::attributes::Classifiers;
use face_attributes::faces::FaceIds;
use face_attributes::parameters::{Mutability, Parameters, TABLE, Value};
use face_attributes::runtime::{Counters, NamedThread, set_opencv_threads};
use futures::future::select_all;
use r2r::Node;
use tokio::sync::oneshot;

use crate::analysis::{Analysis, AnalysisRequest, refuse};
use crate::camera::{Calibrations, Camera, CameraIdentity, CameraTopics};
use crate::lifecycle::{Managed, State, TransitionError};
use crate::memory;
use crate::names::Names;
use crate::output::SharedOutputs;
use crate::parameters::SharedParameters;
use crate::spinner::Spinner;

/// How long a stop waits for the image in work. `ros2 launch` waits for 5 s before it sends the next signal.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// A camera that works.
#[derive(Debug, Clone)]
pub struct WorkingCamera {
    /// The full name of the topic of its images.
    pub image: String,
    /// The counts of its images.
    pub counters: Arc<Counters>,
}

/// The cameras that work now, for who watches them. Clones share the list.
#[derive(Debug, Clone, Default)]
pub struct WorkingCameras(Arc<Mutex<Arc<[WorkingCamera]>>>);

impl WorkingCameras {
    /// The cameras that work now.
    pub fn get(&self) -> Arc<[WorkingCamera]> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, cameras: impl IntoIterator<Item = WorkingCamera>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = cameras.into_iter().collect();
    }
}

/// The node without its services.
pub struct FaceNode {
    spinner: Arc<Spinner>,
    parameters: SharedParameters,
    names: Names,
    /// Outlive the cameras, so that no id is used twice and no count begins anew.
    identities: Vec<CameraIdentity>,
    still_ids: FaceIds,
    /// `None` while the node is unconfigured.
    loaded: Option<Loaded>,
    working: WorkingCameras,
    #[cfg(feature = "bond")]
    bond: crate::lifecycle::Bond,
}

/// What a configured node has.
struct Loaded {
    /// The values of the parameters that are read when the node is configured.
    values: Vec<Value>,
    classifiers: Arc<Classifiers>,
    cameras: Vec<Camera>,
    /// Exists once an active node was asked.
    analysis: Option<Analysis>,
}

impl FaceNode {
    /// An unconfigured node, which keeps the list of `working` cameras up to date.
    ///
    /// # Errors
    /// Where the topic of the bond cannot be created.
    pub async fn new(
        spinner: Arc<Spinner>,
        parameters: SharedParameters,
        names: Names,
        working: WorkingCameras,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            #[cfg(feature = "bond")]
            bond: spinner.call(crate::lifecycle::Bond::create).await??,
            spinner,
            parameters,
            names,
            identities: Vec::new(),
            still_ids: FaceIds::of_stills(),
            loaded: None,
            working,
        })
    }

    /// The cameras of a configured node.
    pub fn cameras(&self) -> &[Camera] {
        self.loaded.as_ref().map_or(&[], |loaded| &loaded.cameras)
    }

    /// Those that all cameras had since the start of the process.
    pub fn identities(&self) -> &[CameraIdentity] {
        &self.identities
    }

    /// Waits until a camera at work ends by itself, and says why.
    pub async fn failed(&mut self) -> anyhow::Error {
        match &mut self.loaded {
            Some(Loaded { cameras, .. }) if !cameras.is_empty() => {
                select_all(cameras.iter_mut().map(|camera| Box::pin(camera.failed()))).await.0
            }
            _ => std::future::pending().await,
        }
    }

    /// Answers for one image, in the background.
    pub fn analyze(&mut self, state: State, request: AnalysisRequest) {
        let (State::Active, Some(loaded)) = (state, &mut self.loaded) else {
            return refuse(request, &format!("the node is {state}, not active"));
        };
        let parameters = self.parameters.get();
        let name = &request.message.camera;
        let number =
            if name.is_empty() { Some(0) } else { parameters.cameras.iter().position(|camera| camera == name) };
        let Some(camera) = number.and_then(|number| loaded.cameras.get(number)) else {
            let message = format!("there is no camera '{name}'; there are: {}", parameters.cameras.join(", "));
            return refuse(request, &message);
        };
        let (next_image, calibrations) = (camera.next_image(), camera.calibrations().clone());
        if loaded.analysis.is_none() {
            match Analysis::start(&loaded.classifiers, self.still_ids.clone(), &self.parameters) {
                Ok(started) => loaded.analysis = Some(started),
                Err(error) => return refuse(request, &format!("{error:#}")),
            }
        }
        if let Some(analysis) = &loaded.analysis {
            analysis.answer(request, next_image, calibrations);
        }
    }

    /// Loads networks and cascades and creates the outputs.
    async fn load(&mut self) -> anyhow::Result<Loaded> {
        let parameters = self.parameters.get();
        let topics: Vec<_> = match &parameters.cameras[..] {
            [] => vec![CameraTopics::single(&self.names)],
            cameras => cameras.iter().map(|name| CameraTopics::named(name, &self.names)).collect(),
        };
        while self.identities.len() < topics.len() {
            let number = u16::try_from(self.identities.len()).context("cameras: too many")?;
            self.identities.push(CameraIdentity {
                ids: FaceIds::of_camera(number),
                counters: Arc::default(),
                calibrations: Calibrations::default(),
            });
        }
        let identities = self.identities.clone();
        let values = values_at_configure(&parameters);
        let shared = self.parameters.clone();
        let load = move || {
            set_opencv_threads(parameters.pipeline.faces.detector.threads)?;
            let classifiers = Arc::new(Classifiers::load(&parameters.pipeline.attributes)?);
            let camera = |(topics, identity)| Camera::load(topics, identity, &classifiers, &parameters, &shared);
            let cameras = topics.into_iter().zip(identities).map(camera).collect::<anyhow::Result<Vec<_>>>()?;
            anyhow::Ok((classifiers, cameras))
        };
        // Not in this thread, which answers the services meanwhile.
        let (classifiers, mut cameras) = in_thread("configure", load).await??;
        let networks = Arc::clone(&classifiers);
        let (node_thread, names) = (self.spinner.node_thread(), self.names.clone());
        let create = move |node: &mut Node| {
            let shared = SharedOutputs::create(node, node_thread, &names)?;
            cameras.iter_mut().try_for_each(|camera| camera.create_outputs(node, &networks, &shared))?;
            anyhow::Ok(cameras)
        };
        let cameras = self.spinner.call(create).await??;
        memory::give_back();
        Ok(Loaded { values, classifiers, cameras, analysis: None })
    }

    /// Subscribes and starts the threads of all cameras, or of none.
    async fn start(&mut self) -> anyhow::Result<()> {
        // What is read when the node is configured may have been set since.
        let values = values_at_configure(&self.parameters.get());
        if self.loaded.as_ref().is_none_or(|loaded| loaded.values != values) {
            log::info!("loading anew what was set since the node was configured");
            self.unload().await?;
            self.loaded = Some(self.load().await?);
        }
        for camera in self.loaded.iter_mut().flat_map(|loaded| &mut loaded.cameras) {
            camera.start(&self.spinner).await?;
        }
        let working = self.cameras().iter().zip(&self.identities).map(|(camera, identity)| WorkingCamera {
            image: camera.topics().image.clone(),
            counters: Arc::clone(&identity.counters),
        });
        self.working.set(working);
        #[cfg(feature = "bond")]
        self.bond.start()?;
        Ok(())
    }

    /// Ends the threads of all cameras.
    async fn stop(&mut self) -> anyhow::Result<()> {
        #[cfg(feature = "bond")]
        self.bond.stop();
        self.working.set([]);
        let mut result = Ok(());
        let Some(loaded) = &mut self.loaded else { return result };
        for camera in &mut loaded.cameras {
            // One that fails does not keep the others at work.
            result = result.and(camera.stop(&self.spinner, STOP_PATIENCE).await);
        }
        // Last, as it waits for the cameras' images.
        match loaded.analysis.take() {
            Some(analysis) => result.and(analysis.stop().await),
            None => result,
        }
    }

    /// Frees what is loaded. The cameras do not work any more.
    async fn unload(&mut self) -> anyhow::Result<()> {
        let Some(Loaded { cameras, classifiers, .. }) = self.loaded.take() else { return Ok(()) };
        let mut result = Ok(());
        for camera in cameras {
            result = result.and(camera.close(&self.spinner).await);
        }
        drop(classifiers);
        memory::give_back();
        result
    }
}

impl Managed for FaceNode {
    async fn configure(&mut self) -> Result<(), TransitionError> {
        self.loaded = Some(self.load().await.map_err(TransitionError::Failure)?);
        Ok(())
    }

    async fn activate(&mut self) -> Result<(), TransitionError> {
        // From here on, what is read when the node is configured cannot be set.
        self.parameters.set_active(true);
        if let Err(error) = self.start().await {
            self.parameters.set_active(false);
            self.stop().await.map_err(TransitionError::Error)?;
            return Err(TransitionError::Failure(error));
        }
        let topics: Vec<_> = self.cameras().iter().map(|camera| camera.topics().image.as_str()).collect();
        log::info!("waiting for images on {}", topics.join(", "));
        Ok(())
    }

    async fn deactivate(&mut self) -> Result<(), TransitionError> {
        let stopped = self.stop().await;
        self.parameters.set_active(false);
        stopped.map_err(TransitionError::Error)
    }

    async fn clean_up(&mut self) -> Result<(), TransitionError> {
        self.unload().await.map_err(TransitionError::Error)
    }

    async fn shut_down(&mut self) -> Result<(), TransitionError> {
        let stopped = self.stop().await;
        self.parameters.set_active(false);
        stopped.and(self.unload().await).map_err(TransitionError::Failure)
    }
}

/// What a configured node was made with, to be compared with what is set later.
fn values_at_configure(parameters: &Parameters) -> Vec<Value> {
    TABLE
        .iter()
        .filter(|definition| definition.mutability == Mutability::AtConfigure)
        .map(|definition| definition.get(parameters))
        .collect()
}

/// Does slow work in a thread of its own and waits for it without blocking this one.
async fn in_thread<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    let (sender, done) = oneshot::channel();
    let thread = NamedThread::spawn(name, move || {
        let result = work();
        // Dropped at the end of the thread, in whichever way.
        drop::<oneshot::Sender<()>>(sender);
        result
    })?;
    // The channel's error is the end of the thread.
    let _ = done.await;
    thread.join().map_err(|error| anyhow!(error))
}
