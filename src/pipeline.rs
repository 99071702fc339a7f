//! The way of a frame: grey, faces with their ids, crops, attributes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opencv::core::Mat;

use crate::attributes::crop::TiltedFace;
use crate::attributes::{
    AttributeParameters, Classifiers, ClassifyError, FaceAttributes, Look, People, Workspace, crop_worth,
};
use crate::faces::{FaceFinder, FaceIds, FinderError, FinderParameters, FoundFace, SearchError, SearchNetwork};
use crate::frame::Frame;
use crate::network::ModelError;

/// How faces are found and classified.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineParameters {
    /// How faces are found and followed.
    pub faces: FinderParameters,
    /// How each attribute is classified.
    pub attributes: AttributeParameters,
    /// Largest number of faces that are classified in a frame, 1 to 30; 0 for all. Of a still picture, all are.
    pub max_faces_per_frame: i32,
}

impl Default for PipelineParameters {
    fn default() -> Self {
        // At 30 Hz, a face of a crowd of 30 has an answer five times a second on average.
        Self { faces: FinderParameters::default(), attributes: AttributeParameters::default(), max_faces_per_frame: 5 }
    }
}

/// What is in a frame.
#[derive(Debug)]
pub struct Scene {
    /// When the frame was taken, from the origin that [`Pipeline::process`] was given.
    pub time: Duration,
    /// The faces, from left to right.
    pub faces: Vec<FaceAttributes>,
    /// How many of them are seen and were not classified, because it was the turn of others.
    pub waiting: usize,
    /// Why attributes are missing that should be there.
    pub failures: Vec<ClassifyError>,
    /// How long each stage took.
    pub times: StageTimes,
}

/// How long the stages of one frame took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// The conversion to grey.
    pub gray: Duration,
    /// Finding and following faces.
    pub find: Duration,
    /// Classifying all faces.
    pub classify: Duration,
}

/// Why the pipeline cannot be built.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant is the error of a part")]
pub enum PipelineError {
    #[error(transparent)]
    Finder(#[from] FinderError),
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Why one frame could not be processed; the next one may well be.
#[derive(Debug, thiserror::Error)]
#[error("face detection failed: {0}")]
pub struct ProcessError(#[from] SearchError);

impl From<opencv::Error> for ProcessError {
    fn from(error: opencv::Error) -> Self {
        Self(error.into())
    }
}

/// All networks. Clones share their weights: the cameras of a process have one each.
#[derive(Debug, Clone)]
pub struct Networks {
    /// Those that classify.
    pub classifiers: Arc<Classifiers>,
    /// The one that finds faces.
    pub search: SearchNetwork,
}

impl Networks {
    /// Loads all networks.
    ///
    /// # Errors
    /// [`ModelError`] names the file that is missing, damaged or made for something else.
    pub fn load(parameters: &PipelineParameters) -> Result<Self, ModelError> {
        Ok(Self {
            classifiers: Arc::new(Classifiers::load(&parameters.attributes)?),
            search: SearchNetwork::load(parameters.faces.search.model_path())?,
        })
    }
}

/// Finds the faces in the frames of one camera and classifies them, one frame after the other.
#[derive(Debug)]
pub struct Pipeline {
    parameters: PipelineParameters,
    finder: FaceFinder,
    people: People,
    classifiers: Arc<Classifiers>,
    /// The present frame in grey. Kept for its memory, as the workspace is.
    gray: Mat,
    workspace: Workspace,
}

impl Pipeline {
    /// Loads the cascades and the networks for one camera.
    ///
    /// # Errors
    /// [`PipelineError`] names the file that is missing, damaged or made for something else.
    pub fn load(parameters: PipelineParameters) -> Result<Self, PipelineError> {
        let networks = Networks::load(&parameters)?;
        Ok(Self::with_networks(parameters, &networks, FaceIds::of_camera(0))?)
    }

    /// The pipeline of one of several cameras, which share the networks and differ in their `ids`.
    ///
    /// # Errors
    /// [`FinderError`] names the file that is missing or damaged.
    pub fn with_networks(
        parameters: PipelineParameters,
        networks: &Networks,
        ids: FaceIds,
    ) -> Result<Self, FinderError> {
        let Networks { classifiers, search } = networks.clone();
        let finder = FaceFinder::with_network(&parameters.faces, search, ids)?;
        let (people, gray, workspace) = (People::default(), Mat::default(), Workspace::default());
        Ok(Self { parameters, finder, people, classifiers, gray, workspace })
    }

    /// The parameters in force.
    pub fn parameters(&self) -> &PipelineParameters {
        &self.parameters
    }

    /// Changes parameters between two frames. Files are not loaded anew: those parameters are fixed once a pipeline is made.
    pub fn set_parameters(&mut self, parameters: PipelineParameters) {
        self.parameters = parameters;
    }

    /// What is in the next frame. `time` is when it was taken, from any fixed origin: tracks age by it, and end where it goes
    /// back or stands apart from the last frame by more than [`TrackingParameters::max_age`](crate::faces::TrackingParameters).
    ///
    /// # Errors
    /// [`ProcessError`] where OpenCV or the search network fail on this frame.
    pub fn process(&mut self, frame: &Frame, time: Duration) -> Result<Scene, ProcessError> {
        let mut clock = StageClock::start();
        frame.write_gray(&mut self.gray)?;
        let gray_time = clock.lap();
        let found = self.finder.find(frame, &self.gray, time, &self.parameters.faces)?;
        self.people.forget(time, self.parameters.faces.tracking.max_age());
        let find_time = clock.lap();
        let mut scene = self.describe(found, time, self.parameters.max_faces_per_frame)?;
        scene.times = StageTimes { gray: gray_time, find: find_time, classify: clock.lap() };
        Ok(scene)
    }

    /// What is in a still picture. It is searched more finely than a frame, and has nothing to do with other pictures.
    ///
    /// # Errors
    /// [`ProcessError`] where OpenCV or the search network fail on this picture.
    pub fn process_still(&mut self, picture: &Frame) -> Result<Scene, ProcessError> {
        picture.write_gray(&mut self.gray)?;
        let found = self.finder.find_in_still(picture, &self.gray, &self.parameters.faces)?;
        self.people.clear();
        self.describe(found, Duration::ZERO, 0)
    }

    /// Classifies at most `max` of the faces, or all where it is 0.
    fn describe(&mut self, found: Vec<FoundFace>, time: Duration, max: i32) -> Result<Scene, ProcessError> {
        let Self { parameters, people, classifiers, gray, workspace, .. } = self;
        let attributes = &parameters.attributes;
        let (mut faces, mut failures, mut waiting) = (Vec::with_capacity(found.len()), Vec::new(), 0);
        people.give_turns(&found, time, usize::try_from(max).unwrap_or(0));
        for face in found {
            let look = if !face.seen {
                Look::Unseen
            } else if people.has_turn(face.id) {
                let place = TiltedFace::new(face.roi, face.landmarks.as_ref());
                let raw = classifiers.classify(workspace, gray, place, attributes, &mut failures);
                Look::Classified { raw, worth: crop_worth(gray, &face, workspace)? }
            } else {
                waiting += 1;
                Look::Waiting
            };
            faces.push(people.describe(face, time, look, attributes));
        }
        Ok(Scene { time, faces, waiting, failures, times: StageTimes::default() })
    }

    /// Begins another recording: ends all tracks, and names new faces by `ids`.
    pub fn begin_recording(&mut self, ids: FaceIds) {
        self.finder.begin_recording(ids);
        self.people.clear();
    }
}

/// Measures stages that follow each other.
struct StageClock {
    begin: Instant,
}

impl StageClock {
    fn start() -> Self {
        Self { begin: Instant::now() }
    }

    /// Time since the last lap.
    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.begin, now)
    }
}

#[cfg(test)]
mod tests {
    use opencv::core::Rect;
    use opencv::imgcodecs::{IMREAD_COLOR, imread};
    use opencv::imgproc::{COLOR_BGR2RGB, cvt_color_def};
    use opencv::prelude::*;

    use super::*;
    use crate::frame::{ByteOrder, Encoding};

    impl Pipeline {
        /// Where all pictures on the way of a frame are in memory, in rising order, as some of them change places.
        fn addresses(&self) -> Vec<*const u8> {
            let mut addresses = vec![self.gray.data()];
            addresses.extend(self.finder.addresses().chain(self.workspace.addresses()));
            addresses.sort();
            addresses
        }
    }

    /// What OpenCV allocates is seen by no allocator of Rust: `tests/allocations.rs` has the rest.
    #[test]
    fn pictures_stay_where_they_are_from_frame_to_frame() {
        let mut portrait = Mat::default();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/astronaut.jpg");
        cvt_color_def(&imread(path, IMREAD_COLOR).unwrap(), &mut portrait, COLOR_BGR2RGB).unwrap();
        let mut pipeline = Pipeline::load(PipelineParameters::default()).unwrap();
        let mut steady = Vec::new();
        for number in 0..40 {
            let part = Mat::roi(&portrait, Rect::new(number, 10, 420, 340)).unwrap().try_clone().unwrap();
            let rgb = part.data_bytes().unwrap();
            // Red, green, blue, so that colours are converted.
            let frame = Frame::new(420, 340, 3 * 420, Encoding::Rgb8, ByteOrder::LittleEndian, rgb).unwrap();
            let scene = pipeline.process(&frame, number.unsigned_abs() * Duration::from_millis(33)).unwrap();
            assert_eq!(scene.faces.len(), 1);
            // By then, the whole frame was searched twice.
            if number >= 25 {
                steady.push(pipeline.addresses());
            }
        }
        assert!(steady.windows(2).all(|frames| frames[0] == frames[1]), "{steady:?}");
        // None but the part for a crop that is turned or leaves the image, which this face needs none of.
        assert_eq!(steady[0].iter().filter(|address| address.is_null()).count(), 1);
    }
}
