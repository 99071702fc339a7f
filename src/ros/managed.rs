//! What this node does in the transitions of its lifecycle.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use face_attributes::faces::FaceIds;
use face_attributes::parameters::{Mutability, Parameters, TABLE, Value};
use face_attributes::pipeline::Networks;
use face_attributes::runtime::{NamedThread, set_opencv_threads};
use futures::future::select_all;
use r2r::Node;
use tokio::sync::oneshot;

use crate::analysis::{Analysis, AnalysisRequest, refuse};
use crate::camera::{Camera, CameraIdentity, CameraTopics};
use crate::diagnostics::{SharedWatched, Watched, loaded_models};
use crate::lifecycle::{Managed, State, TransitionError};
use crate::memory;
use crate::names::Names;
use crate::output::SharedOutputs;
use crate::parameters::SharedParameters;
use crate::spinner::Spinner;

/// How long a stop waits for the image in work. `ros2 launch` waits for 5 s before it sends the next signal.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

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
    watched: SharedWatched,
    #[cfg(feature = "bond")]
    bond: crate::lifecycle::Bond,
}

/// What a configured node has.
struct Loaded {
    /// The values of the parameters that are read when the node is configured.
    values: Vec<Value>,
    networks: Networks,
    cameras: Vec<Camera>,
    /// Exists once an active node was asked.
    analysis: Option<Analysis>,
}

impl FaceNode {
    /// An unconfigured node, which keeps what is to be `watched` up to date.
    ///
    /// # Errors
    /// Where the topic of the bond cannot be created.
    pub async fn new(
        spinner: Arc<Spinner>,
        parameters: SharedParameters,
        names: Names,
        watched: SharedWatched,
    ) -> anyhow::Result<Self> {
        let mut node = Self {
            #[cfg(feature = "bond")]
            bond: spinner.call(crate::lifecycle::Bond::create).await??,
            spinner,
            parameters,
            names,
            identities: Vec::new(),
            still_ids: FaceIds::of_stills(),
            loaded: None,
            watched,
        };
        let names = camera_names(&node.parameters.get());
        node.identify(names.len())?;
        node.watched.set(Watched { identities: node.identities.clone(), names, models: Vec::new() });
        Ok(node)
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
            let known = match &parameters.cameras[..] {
                [] => "the only one has no name".to_owned(),
                cameras => format!("there are: {}", cameras.join(", ")),
            };
            let message = format!("there is no camera '{name}'; {known}");
            return refuse(request, &message);
        };
        let (next_image, calibrations) = (camera.next_image(), camera.calibrations().clone());
        if loaded.analysis.is_none() {
            match Analysis::start(&loaded.networks, self.still_ids.clone(), &self.parameters) {
                Ok(started) => loaded.analysis = Some(started),
                Err(error) => return refuse(request, &format!("{error:#}")),
            }
        }
        if let Some(analysis) = &loaded.analysis {
            analysis.answer(request, next_image, calibrations);
        }
    }

    /// Makes sure that there are as many identities as cameras.
    fn identify(&mut self, cameras: usize) -> anyhow::Result<()> {
        while self.identities.len() < cameras {
            let number = u16::try_from(self.identities.len()).context("cameras: too many")?;
            self.identities.push(CameraIdentity::new(FaceIds::of_camera(number)));
        }
        Ok(())
    }

    /// Loads networks and cascades and creates the outputs.
    async fn load(&mut self) -> anyhow::Result<Loaded> {
        let parameters = self.parameters.get();
        let topics: Vec<_> = match &parameters.cameras[..] {
            [] => vec![CameraTopics::single(&self.names)],
            cameras => cameras.iter().map(|name| CameraTopics::named(name, &self.names)).collect(),
        };
        let watched_names = camera_names(&parameters);
        self.identify(watched_names.len())?;
        let identities = self.identities.clone();
        let values = values_at_configure(&parameters);
        let shared = self.parameters.clone();
        let load = move || {
            set_opencv_threads(parameters.pipeline.faces.detector.threads)?;
            let networks = Networks::load(&parameters.pipeline)?;
            let camera = |(topics, identity)| Camera::load(topics, identity, &networks, &parameters, &shared);
            let cameras = topics.into_iter().zip(identities).map(camera).collect::<anyhow::Result<Vec<_>>>()?;
            let models = loaded_models(&parameters.pipeline, &networks.classifiers)?;
            anyhow::Ok((networks, cameras, models))
        };
        // Not in this thread, which answers the services meanwhile.
        let (networks, mut cameras, models) = in_thread("configure", load).await??;
        let classifiers = Arc::clone(&networks.classifiers);
        let (node_thread, names) = (self.spinner.node_thread(), self.names.clone());
        let create = move |node: &mut Node| {
            let shared = SharedOutputs::create(node, node_thread, &names)?;
            cameras.iter_mut().try_for_each(|camera| camera.create_outputs(node, &classifiers, &shared))?;
            anyhow::Ok(cameras)
        };
        let cameras = self.spinner.call(create).await??;
        memory::give_back();
        self.watched.set(Watched { identities: self.identities.clone(), names: watched_names, models });
        Ok(Loaded { values, networks, cameras, analysis: None })
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
        #[cfg(feature = "bond")]
        self.bond.start()?;
        Ok(())
    }

    /// Ends the threads of all cameras.
    async fn stop(&mut self) -> anyhow::Result<()> {
        #[cfg(feature = "bond")]
        self.bond.stop();
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
        let Some(Loaded { cameras, networks, .. }) = self.loaded.take() else { return Ok(()) };
        self.watched.set(Watched { models: Vec::new(), ..Watched::clone(&self.watched.get()) });
        let mut result = Ok(());
        for camera in cameras {
            result = result.and(camera.close(&self.spinner).await);
        }
        drop(networks);
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

/// The names of the cameras; that of the only one of a node is empty.
fn camera_names(parameters: &Parameters) -> Vec<String> {
    if parameters.cameras.is_empty() { vec![String::new()] } else { parameters.cameras.clone() }
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
