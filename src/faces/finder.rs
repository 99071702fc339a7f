//! Which faces are in a frame, and which of them were in earlier frames.
//!
//! The whole frame is searched some times per second. A search is spread over several frames. In each frame, a known face is
//! searched for in a window about its predicted place. The network's picture of a window has 4,096 pixels, that of a 640x480 frame
//! 196,608.

use std::mem;
use std::time::Duration;

use opencv::core::{Mat, Size};
use opencv::prelude::*;

use super::appearance::Thumbnail;
use super::cascades::Cascades;
use super::detection::{is_among, is_same_face, keep_first_of_each, nearest, surest};
use super::flow::displacement;
use super::schedule::{Due, Schedule};
use super::search_network::Search;
use super::searched::{Searched, add_those_about, look_at};
use super::tracks::{Missed, Sighting};
use super::{
    BoundingBox, CascadeError, Detection, DetectorParameters, FaceIds, FoundFace, SearchError, SearchNetwork,
    SearchParameters, Tracker, TrackingParameters,
};
use crate::frame::Frame;
use crate::network::ModelError;

/// Margin of the window about a known face on each side, as a fraction of the face's size.
const WINDOW_MARGIN: f64 = 0.5;
/// The same about a face of an earlier frame that is not in the first window, because it moves fast.
const WIDE_MARGIN: f64 = 1.25;
/// The least confidence about a known face, as a fraction of that of a new one.
const KNOWN_CONFIDENCE: f64 = 0.7;
/// Faces of an earlier frame that are looked for in one frame. Of a crowd, the others wait for the next frames.
const MAX_CONFIRMED: usize = 2;
/// Faces that are followed at the same time, the surest ones: each takes time in every frame. At a minimum confidence near 0, the
/// network reports a face at hundreds of places.
const MAX_FOLLOWED: usize = 30;
/// Least longer side of the network's picture of a still picture, in pixels. It finds more faces than that of a camera's frame, and
/// a still picture may take longer.
const STILL_LONGER_SIDE_PX: i32 = 640;
/// The network takes no smaller pictures.
const MIN_GLANCE_SIDE_PX: i32 = 64;
/// The size of a camera's frames for which the network is made ready at the start, in pixels. For others, it is at their first
/// frame.
const USUAL_FRAME: Size = Size { width: 640, height: 480 };
/// How much a place that optical flow found must look like the face, as a normalised cross-correlation. A hand over the face
/// looks different.
const MIN_SIMILARITY: f64 = 0.4;

/// How faces are found and followed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FinderParameters {
    /// How cascades find faces.
    pub detector: DetectorParameters,
    /// How the network finds faces.
    pub search: SearchParameters,
    /// How faces are followed.
    pub tracking: TrackingParameters,
}

/// Why there is no finder.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant is the error of a part")]
pub enum FinderError {
    #[error(transparent)]
    Cascade(#[from] CascadeError),
    #[error(transparent)]
    Network(#[from] ModelError),
}

/// Finds the faces of one camera and follows them from frame to frame.
#[derive(Debug)]
pub struct FaceFinder {
    network: SearchNetwork,
    cascades: Cascades,
    schedule: Schedule,
    /// A search that is not finished.
    running: Option<Running>,
    /// What it found, as far as it is not looked for in a later frame yet.
    unconfirmed: Vec<Detection>,
    tracker: Tracker,
    /// The frame before, which optical flow needs. Empty before the second frame.
    previous: Mat,
    buffers: Buffers,
}

/// What is written anew for each frame; kept for its memory.
#[derive(Debug, Default)]
struct Buffers {
    bgr: Mat,
    found: Vec<Detection>,
    sightings: Vec<Sighting>,
}

/// A search of an earlier frame.
#[derive(Debug)]
struct Running {
    search: Search,
    parts: u32,
    parts_done: u32,
}

impl FaceFinder {
    /// Loads cascades and network, and names new faces by `ids`.
    ///
    /// # Errors
    /// [`FinderError`] names the file that is missing or cannot be used.
    pub fn load(parameters: &FinderParameters, ids: FaceIds) -> Result<Self, FinderError> {
        Self::with_network(parameters, SearchNetwork::load(parameters.search.model_path())?, ids)
    }

    /// Loads cascades, searches with `network`, whose clones other finders may have, and names new faces by `ids`.
    ///
    /// # Errors
    /// [`FinderError`] names the file that is missing or cannot be used.
    pub fn with_network(
        parameters: &FinderParameters,
        mut network: SearchNetwork,
        ids: FaceIds,
    ) -> Result<Self, FinderError> {
        for longer_side_px in [glance_side_px(parameters.search.longer_side), parameters.search.longer_side] {
            network.prepare(USUAL_FRAME, longer_side_px)?;
        }
        Ok(Self {
            network,
            cascades: Cascades::load(&parameters.detector)?,
            schedule: Schedule::default(),
            running: None,
            unconfirmed: Vec::new(),
            tracker: Tracker::new(ids),
            previous: Mat::default(),
            buffers: Buffers::default(),
        })
    }

    /// The faces of the next frame, from left to right. `gray` is the frame in grey. `time` is when the frame was taken, from any
    /// fixed origin.
    ///
    /// # Errors
    /// [`SearchError`] where tract or OpenCV fail on this frame.
    pub fn find(
        &mut self,
        frame: &Frame,
        gray: &Mat,
        time: Duration,
        parameters: &FinderParameters,
    ) -> Result<Vec<FoundFace>, SearchError> {
        let mut buffer = mem::take(&mut self.buffers.bgr);
        let found = look_at(frame, gray, parameters, &mut buffer, |frame| self.find_in(frame, time));
        self.buffers.bgr = buffer;
        found
    }

    fn find_in(&mut self, frame: &Searched, time: Duration) -> Result<Vec<FoundFace>, SearchError> {
        let Searched { gray, parameters, .. } = *frame;
        // Places in frames of another size are other places.
        if !self.previous.empty() && self.previous.size()? != gray.size()? {
            self.tracker.end_all();
            self.forget_search();
        }
        self.tracker.begin_frame(time, parameters.tracking.max_age());
        let mut found = mem::take(&mut self.buffers.found);
        let mut sightings = mem::take(&mut self.buffers.sightings);
        found.clear();
        self.about_known(frame, &mut found)?;
        // The window about one face may show another one. Only a search of the whole frame makes a face known.
        sightings.clear();
        add_sightings(gray, &mut found, &mut sightings)?;
        self.tracker.assign(&mut sightings);
        self.search(frame, time, &mut found)?;
        sightings.clear();
        add_sightings(gray, &mut found, &mut sightings)?;
        self.tracker.assign(&mut sightings);
        self.follow_missed(gray)?;
        let places_left = self.places_left();
        for sighting in sightings.drain(..).take(places_left) {
            self.tracker.begin(sighting);
        }
        (self.buffers.found, self.buffers.sightings) = (found, sightings);
        gray.copy_to(&mut self.previous)?;
        Ok(self.tracker.faces(BoundingBox::of_image(gray.cols(), gray.rows())))
    }

    /// Looks by optical flow where the known faces are that were not detected.
    fn follow_missed(&mut self, gray: &Mat) -> opencv::Result<()> {
        let missed = self.tracker.missed();
        if !missed.is_empty() {
            self.schedule.hurry();
        }
        // In another scene, nobody is where the motion before would lead.
        if self.schedule.is_cut() {
            self.tracker.end_predictions();
        }
        for missed in missed {
            if let Some(roi) = self.flow(gray, &missed)? {
                self.tracker.locate(missed.position, roi);
            }
        }
        Ok(())
    }

    /// The faces of a still picture, from left to right. Nothing came before it, and nothing follows: the search is finer, and
    /// takes longer.
    ///
    /// # Errors
    /// [`SearchError`] where tract or OpenCV fail on this picture.
    pub fn find_in_still(
        &mut self,
        frame: &Frame,
        gray: &Mat,
        parameters: &FinderParameters,
    ) -> Result<Vec<FoundFace>, SearchError> {
        let longer_side_px = parameters.search.longer_side.max(STILL_LONGER_SIDE_PX);
        let search = |frame: &Searched| self.search_at_once(frame, longer_side_px);
        let found = look_at(frame, gray, parameters, &mut Mat::default(), search)?;
        self.tracker.end_all();
        self.tracker.begin_frame(Duration::ZERO, Duration::MAX);
        for detection in found {
            self.tracker.begin(Sighting::new(gray, detection)?);
        }
        let faces = self.tracker.faces(BoundingBox::of_image(gray.cols(), gray.rows()));
        self.tracker.end_all();
        Ok(faces)
    }

    /// Begins another recording: ends all tracks, and names new faces by `ids`.
    pub fn begin_recording(&mut self, ids: FaceIds) {
        self.tracker = Tracker::new(ids);
        self.previous = Mat::default();
        self.forget_search();
    }

    /// How many more faces can be followed.
    fn places_left(&self) -> usize {
        MAX_FOLLOWED.saturating_sub(self.tracker.count())
    }

    fn forget_search(&mut self) {
        self.schedule = Schedule::default();
        self.running = None;
        self.unconfirmed.clear();
    }

    /// Adds to `found` what is seen in the windows about the known faces.
    fn about_known(&mut self, frame: &Searched, found: &mut Vec<Detection>) -> Result<(), SearchError> {
        let min_confidence = KNOWN_CONFIDENCE * frame.parameters.search.min_confidence;
        let Self { network, cascades, tracker, .. } = self;
        for place in tracker.places() {
            add_those_about(network, cascades, frame, (place, WINDOW_MARGIN), min_confidence, found)?;
        }
        // Two windows may show the same face.
        found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        keep_first_of_each(found);
        Ok(())
    }

    /// The faces in the window about `place` with this `margin`.
    fn about(
        &mut self,
        frame: &Searched,
        place: BoundingBox,
        margin: f64,
        min_confidence: f64,
    ) -> Result<Vec<Detection>, SearchError> {
        let mut found = Vec::new();
        let Self { network, cascades, .. } = self;
        add_those_about(network, cascades, frame, (place, margin), min_confidence, &mut found)?;
        Ok(found)
    }

    /// Adds to `new` the faces that the search of the whole frame has found, at their places in this frame.
    fn search(&mut self, frame: &Searched, time: Duration, new: &mut Vec<Detection>) -> Result<(), SearchError> {
        // A search that fails is not continued.
        if let Some(mut running) = self.running.take() {
            running.parts_done += 1;
            running.search.advance(f64::from(running.parts_done) / f64::from(running.parts))?;
            if running.parts_done < running.parts {
                self.running = Some(running);
            } else {
                self.unconfirmed = running.search.found(frame.parameters.search.min_confidence as f32)?;
                self.unconfirmed.sort_by(|a, b| a.confidence.total_cmp(&b.confidence));
            }
        }
        let FinderParameters { search, .. } = frame.parameters;
        let due = self.schedule.next(frame.gray, time, frame.parameters.search_rate(), self.tracker.is_empty())?;
        match (due, frame.bgr) {
            (Due::Nothing, _) => self.confirm(frame, new),
            (Due::Search { parts }, Some(bgr)) if parts > 1 => {
                if self.running.is_none() {
                    let mut search = self.network.begin(bgr, search.longer_side)?;
                    search.advance(1.0 / f64::from(parts))?;
                    self.running = Some(Running { search, parts, parts_done: 1 });
                }
                self.confirm(frame, new)
            }
            (Due::Glance, Some(_)) => {
                // A search that is not finished is one of another recording.
                self.running = None;
                self.unconfirmed.clear();
                new.extend(self.glance(frame)?);
                Ok(())
            }
            (Due::Glance | Due::Search { .. }, _) => {
                self.unconfirmed.clear();
                let mut found = self.search_at_once(frame, search.longer_side)?;
                found.retain(|face| !self.tracker.is_seen_at(&face.roi));
                new.extend(surest(found, self.places_left()));
                Ok(())
            }
        }
    }

    /// Looks coarsely at the frame, and then more closely at each face, which must be seen both times.
    fn glance(&mut self, frame: &Searched) -> Result<Vec<Detection>, SearchError> {
        let SearchParameters { longer_side, min_confidence, .. } = frame.parameters.search;
        let mut faces: Vec<Detection> = Vec::new();
        for face in surest(self.search_at_once(frame, glance_side_px(longer_side))?, MAX_FOLLOWED) {
            let close = self.about(frame, face.roi, WINDOW_MARGIN, min_confidence)?;
            let seen = nearest(close, &face.roi).filter(|close| is_same_face(close, &face) && !is_among(close, &faces));
            faces.extend(seen);
        }
        Ok(faces)
    }

    fn search_at_once(&mut self, frame: &Searched, longer_side_px: i32) -> Result<Vec<Detection>, SearchError> {
        let FinderParameters { detector, search, .. } = frame.parameters;
        match frame.bgr {
            Some(bgr) => self.network.search(bgr, longer_side_px, search.min_confidence as f32),
            None => Ok(self.cascades.detect(frame.gray, detector)?),
        }
    }

    /// Looks in this frame for faces that the search has found in an earlier one. A false face seldom passes both.
    fn confirm(&mut self, frame: &Searched, confirmed: &mut Vec<Detection>) -> Result<(), SearchError> {
        for _ in 0..MAX_CONFIRMED.min(self.places_left()) {
            // Faces that are known are seen already.
            self.unconfirmed.retain(|face| !self.tracker.is_seen_at(&face.roi) && !is_among(face, confirmed));
            let Some(face) = self.unconfirmed.pop() else { break };
            let min_confidence = frame.parameters.search.min_confidence;
            let mut found = self.about(frame, face.roi, WINDOW_MARGIN, min_confidence)?;
            if found.is_empty() {
                found = self.about(frame, face.roi, WIDE_MARGIN, min_confidence)?;
            }
            let is_new = |face: &Detection| !self.tracker.is_seen_at(&face.roi) && !is_among(face, confirmed);
            let seen = nearest(found, &face.roi).filter(is_new);
            if seen.is_none() {
                log::debug!("no face at {:?}: a search saw one, and a closer look at this frame does not", face.roi);
            }
            confirmed.extend(seen);
        }
        Ok(())
    }

    /// Where optical flow finds a missed face, if the place looks like it.
    fn flow(&self, gray: &Mat, missed: &Missed) -> opencv::Result<Option<BoundingBox>> {
        let Some(thumbnail) = &missed.thumbnail else { return Ok(None) };
        // The points would follow the face in front.
        if missed.is_crowded || self.previous.empty() {
            return Ok(None);
        }
        let Some((right, down)) = displacement(&self.previous, gray, missed.before)? else { return Ok(None) };
        let (x, y) = (missed.before.x + right.round() as i32, missed.before.y + down.round() as i32);
        let roi = BoundingBox { x, y, ..missed.before };
        let look = Thumbnail::of_face(gray, roi)?;
        Ok(look.filter(|look| look.similarity(thumbnail) >= MIN_SIMILARITY).map(|_| roi))
    }
}

#[cfg(test)]
impl FaceFinder {
    /// Where the pictures are in memory.
    pub fn addresses(&self) -> impl Iterator<Item = *const u8> {
        let own = [&self.previous, &self.buffers.bgr].into_iter().map(|mat| mat.data());
        own.chain(self.network.addresses()).chain(self.schedule.addresses())
    }
}

impl FinderParameters {
    /// Searches of the whole frame per second: the cascades search as often as the network does by default.
    fn search_rate(&self) -> f64 {
        if self.search.rate > 0.0 { self.search.rate } else { SearchParameters::default().rate }
    }
}

/// The longer side of the network's picture at a first glance, in pixels: with it, a frame takes no longer than others do.
fn glance_side_px(longer_side_px: i32) -> i32 {
    (longer_side_px * 3 / 5).max(MIN_GLANCE_SIDE_PX)
}

/// Moves the detections to the sightings.
fn add_sightings(gray: &Mat, found: &mut Vec<Detection>, sightings: &mut Vec<Sighting>) -> opencv::Result<()> {
    for detection in found.drain(..) {
        sightings.push(Sighting::new(gray, detection)?);
    }
    Ok(())
}
