//! Finds faces in a colour picture with a convolutional network: CenterFace (Xu, Yan, Yang, Cao 2020, arXiv:1911.03599).
//!
//! It finds faces that OpenCV's frontal cascade misses: turned, tilted, with glasses or a mask, in poor light.

mod decode;
mod plan;

use std::path::Path;
use std::sync::Arc;
use std::{fmt, fs};

use opencv::core::{CV_8UC3, Mat, Rect, Scalar, Size, Size2f, ToInputArray, ToOutputArray, Vec3b};
use opencv::imgproc::{self, resize};
use opencv::prelude::*;

use super::{BoundingBox, Detection, Landmarks};
use crate::network::{ModelError, ModelProblem, RunError};
use decode::Face;
use plan::{Plans, Run};

/// The released network. models/README.md has its source and terms.
const BUILT_IN: &[u8] = include_bytes!("../../models/search/centerface.onnx");

/// The sides of the network's picture are multiples of this, in pixels: it halves the picture five times.
const STRIDE_PX: i32 = 32;

/// Side of the network's picture of a window, in pixels. A face has about half of it there.
const WINDOW_PX: i32 = 64;

/// What `longer_side_px` may be.
const LONGER_SIDE_PX: std::ops::RangeInclusive<i32> = 64..=1280;

/// How frames are searched with the network, see the table of all parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchParameters {
    /// Path of the network's ONNX file; empty for the network that is built in.
    pub model: String,
    /// How often the whole frame is searched, per second of frame time, 0 to 30. At 0, the cascades find the faces.
    pub rate: f64,
    /// Longer side of the picture that the network sees, in pixels, 64 to 1280. A larger one finds smaller faces. The time grows
    /// with its square.
    pub longer_side: i32,
    /// Least confidence of a face, 0 to 1. A higher one gives fewer false faces and misses more true ones.
    pub min_confidence: f64,
}

impl Default for SearchParameters {
    fn default() -> Self {
        Self { model: String::new(), rate: 3.0, longer_side: 512, min_confidence: 0.45 }
    }
}

impl SearchParameters {
    /// The network's file, or `None` for the one that is built in.
    pub fn model_path(&self) -> Option<&Path> {
        // ROS has no optional parameters: an empty path stands for the default.
        (!self.model.is_empty()).then(|| Path::new(&self.model))
    }
}

/// Why a picture was not searched.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The picture is empty, or of another kind than 8-bit blue, green, red.
    #[error("the picture to search is {columns}x{rows} of OpenCV's type {typ}, expected 8-bit blue, green, red")]
    Picture {
        /// Width in pixels.
        columns: i32,
        /// Height in pixels.
        rows: i32,
        /// OpenCV's number of the pixel type.
        typ: i32,
    },
    /// A parameter outside of its range.
    #[error("{name} is {got}, expected {} to {}", expected.0, expected.1)]
    Parameter {
        /// Its name.
        name: &'static str,
        /// The range.
        expected: (f64, f64),
        /// The value.
        got: f64,
    },
    /// The network gives no result for pictures of this size.
    #[error("the search network failed: {0}")]
    Network(#[from] RunError),
    /// OpenCV failed, for example for want of memory.
    #[error(transparent)]
    OpenCv(#[from] opencv::Error),
}

/// The network, and its execution plans for the sizes of pictures that it has searched lately. Clones share the weights and the
/// plans: each camera has one.
#[derive(Debug, Clone)]
pub struct SearchNetwork {
    /// What it was read from, for messages.
    name: Arc<str>,
    plans: Plans,
    buffers: Buffers,
}

/// What is written anew for each picture; kept for its memory.
#[derive(Debug, Default)]
struct Buffers {
    /// A whole picture as the network sees it.
    whole: Mat,
    /// A window as the network sees it.
    window: Mat,
    faces: Vec<Face>,
}

impl Clone for Buffers {
    /// Memory is not shared.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl SearchNetwork {
    /// The ONNX file of the network that is built in.
    pub const BUILT_IN: &'static [u8] = BUILT_IN;

    /// The network in the file at `path`, or the one that is built in where `path` is `None`.
    ///
    /// # Errors
    /// [`ModelError`] names the file and the problem: see [`SearchNetwork::from_bytes`].
    pub fn load(path: Option<&Path>) -> Result<Self, ModelError> {
        let Some(path) = path else { return Self::from_bytes("built-in search", BUILT_IN) };
        let name = path.display().to_string();
        let bytes = fs::read(path)
            .map_err(|error| ModelError { name: name.clone(), problem: ModelProblem::Unreadable(error) })?;
        Self::from_bytes(&name, &bytes)
    }

    /// Reads the network from the contents of an ONNX file. Errors contain `name`.
    ///
    /// # Errors
    /// [`ModelError`] where the bytes are not an ONNX file, where tract cannot run the network, or where its outputs are not
    /// CenterFace's four maps.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, ModelError> {
        let refuse = |problem| ModelError { name: name.to_owned(), problem };
        let mut plans = Plans::from_bytes(bytes).map_err(refuse)?;
        plans.keep(Size::new(WINDOW_PX, WINDOW_PX)).map_err(refuse)?;
        Ok(Self { name: name.into(), plans, buffers: Buffers::default() })
    }

    /// Gets ready for pictures of the size `picture` whose longer side is scaled to `longer_side_px`, by searching a black one where
    /// no clone is ready for them. Otherwise, the first search of such a picture takes a moment longer.
    ///
    /// # Errors
    /// [`ModelError`] where the network cannot be run on such pictures.
    pub fn prepare(&mut self, picture: Size, longer_side_px: i32) -> Result<(), ModelError> {
        let refuse = |problem| ModelError { name: self.name.to_string(), problem };
        let size = input_size(picture, longer_side_px);
        if !self.plans.keep(size).map_err(refuse)? {
            return Ok(());
        }
        let black = vec![Vec3b::default(); size.area() as usize];
        let searched = self.plans.begin(size, &black).and_then(Run::finish);
        searched.map(drop).map_err(|error| refuse(ModelProblem::Trial(error)))
    }

    /// The faces in `bgr` (height x width, 8-bit, blue, green, red), from left to right. A part of a larger picture may be given.
    ///
    /// `min_confidence` is the least confidence of a face, 0 to 1. The picture is scaled as [`SearchNetwork::begin`] says.
    ///
    /// # Errors
    /// Those of [`SearchNetwork::begin`] and [`Search::advance`].
    pub fn search(
        &mut self,
        bgr: &(impl MatTraitConst + ToInputArray),
        longer_side_px: i32,
        min_confidence: f32,
    ) -> Result<Vec<Detection>, SearchError> {
        let mut search = self.begin(bgr, longer_side_px)?;
        search.advance(1.0)?;
        search.found(min_confidence)
    }

    /// Begins to search `bgr` (height x width, 8-bit, blue, green, red).
    ///
    /// The picture is scaled so that its longer side has about `longer_side_px` pixels and its other side keeps the proportion,
    /// as far as multiples of 32 pixels allow.
    ///
    /// # Errors
    /// [`SearchError`] where the picture is empty or not of this kind, where `longer_side_px` is not 64 to 1280, or where tract
    /// or OpenCV fail.
    pub fn begin(
        &mut self,
        bgr: &(impl MatTraitConst + ToInputArray),
        longer_side_px: i32,
    ) -> Result<Search, SearchError> {
        check_picture(bgr)?;
        if !LONGER_SIDE_PX.contains(&longer_side_px) {
            let expected = (f64::from(*LONGER_SIDE_PX.start()), f64::from(*LONGER_SIDE_PX.end()));
            return Err(SearchError::Parameter { name: "longer_side_px", expected, got: longer_side_px.into() });
        }
        let picture = bgr.size()?;
        let input = input_size(picture, longer_side_px);
        scale(bgr, picture, input, &mut self.buffers.whole)?;
        let run = self.plans.begin(input, self.buffers.whole.data_typed()?)?;
        Ok(Search { run, input, searched: BoundingBox::of_image(picture.width, picture.height) })
    }

    /// The faces in the square `window` of `bgr` (height x width, 8-bit, blue, green, red), from left to right, in pixels of
    /// `bgr`.
    ///
    /// For a known face, whose square is about half as wide as the window. What of the window lies outside of the picture is
    /// black.
    ///
    /// # Errors
    /// [`SearchError`] where the picture is empty or not of this kind, or where tract or OpenCV fail.
    pub fn search_in(
        &mut self,
        bgr: &(impl MatTraitConst + ToInputArray),
        window: BoundingBox,
        min_confidence: f32,
    ) -> Result<Vec<Detection>, SearchError> {
        let mut found = Vec::new();
        self.add_those_in(bgr, window, min_confidence, &mut found)?;
        Ok(found)
    }

    /// Adds to `found` what [`SearchNetwork::search_in`] gives.
    ///
    /// # Errors
    /// Those of [`SearchNetwork::search_in`].
    pub fn add_those_in(
        &mut self,
        bgr: &(impl MatTraitConst + ToInputArray),
        window: BoundingBox,
        min_confidence: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), SearchError> {
        check_picture(bgr)?;
        let image = BoundingBox::of_image(bgr.cols(), bgr.rows());
        let Some(inside) = window.intersection(&image) else { return Ok(()) };
        let input = Size::new(WINDOW_PX, WINDOW_PX);
        let Self { plans, buffers, .. } = self;
        scale_window(bgr, window, inside, input, &mut buffers.window)?;
        let mut run = plans.begin(input, buffers.window.data_typed()?)?;
        run.advance(1.0)?;
        let search = Search { run, input, searched: window };
        let first = found.len();
        search.add_found(min_confidence, &mut buffers.faces, found)?;
        for face in &mut found[first..] {
            // Its part in the window lies in the part of the window that lies in the picture, or the face is none.
            face.roi = face.roi.intersection(&image).unwrap_or(BoundingBox { width: 0, ..face.roi });
        }
        found.retain(|face| face.roi.width > 0);
        Ok(())
    }
}

/// A picture on its way through the network, in as many steps as the caller wants.
pub struct Search {
    run: Run,
    /// Size of the network's picture.
    input: Size,
    /// What it shows, in pixels of the picture that was given.
    searched: BoundingBox,
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search").field("input", &self.input).finish_non_exhaustive()
    }
}

impl Search {
    /// Goes on until `share` of the arithmetic is done, 0 to 1.
    ///
    /// # Errors
    /// [`SearchError::Network`] where tract fails.
    pub fn advance(&mut self, share: f64) -> Result<(), SearchError> {
        Ok(self.run.advance(share)?)
    }

    /// The faces of at least `min_confidence` (0 to 1), from left to right, after all of the arithmetic.
    ///
    /// # Errors
    /// [`SearchError`] where `min_confidence` is not 0 to 1, or the arithmetic is not done.
    pub fn found(&self, min_confidence: f32) -> Result<Vec<Detection>, SearchError> {
        let mut found = Vec::new();
        self.add_found(min_confidence, &mut Vec::new(), &mut found)?;
        Ok(found)
    }

    /// Adds to `found` what [`Search::found`] gives. `faces` is overwritten.
    fn add_found(
        &self,
        min_confidence: f32,
        faces: &mut Vec<Face>,
        found: &mut Vec<Detection>,
    ) -> Result<(), SearchError> {
        if !(0.0..=1.0).contains(&min_confidence) {
            let (name, expected) = ("min_confidence", (0.0, 1.0));
            return Err(SearchError::Parameter { name, expected, got: min_confidence.into() });
        }
        let (x, y) = (self.searched.width as f32, self.searched.height as f32);
        let pixels = Size2f::new(x / self.input.width as f32, y / self.input.height as f32);
        self.run.read(|maps| maps.write_faces(min_confidence, pixels, faces))?;
        let first = found.len();
        found.extend(faces.iter().filter_map(|face| detection(face, &self.searched)));
        found[first..].sort_by_key(|face| (face.roi.x, face.roi.y));
        Ok(())
    }
}

fn check_picture(bgr: &impl MatTraitConst) -> Result<(), SearchError> {
    if bgr.empty() || bgr.dims() != 2 || bgr.typ() != CV_8UC3 {
        return Err(SearchError::Picture { columns: bgr.cols(), rows: bgr.rows(), typ: bgr.typ() });
    }
    Ok(())
}

/// The size of the network's picture for a `picture`: the multiples of 32 that are nearest to its proportion.
///
/// On photographs, this found as many faces as padding to the next multiples did, with fewer false ones.
fn input_size(picture: Size, longer_side_px: i32) -> Size {
    let scale = f64::from(longer_side_px) / f64::from(picture.width.max(picture.height));
    let side = |length: i32| {
        let strides = (f64::from(length) * scale / f64::from(STRIDE_PX)).round().max(1.0);
        strides as i32 * STRIDE_PX
    };
    Size::new(side(picture.width), side(picture.height))
}

/// Writes the picture in the size of the network's, with rows that lie one behind the other.
fn scale(bgr: &impl ToInputArray, picture: Size, input: Size, scaled: &mut impl ToOutputArray) -> opencv::Result<()> {
    // Up to half the size, each pixel of the picture still counts, and OpenCV takes a fifth of the time.
    let is_far_smaller = picture.width > 2 * input.width;
    let interpolation = if is_far_smaller { imgproc::INTER_AREA } else { imgproc::INTER_LINEAR };
    resize(bgr, scaled, input, 0.0, 0.0, interpolation)
}

/// Writes the square `window` of `bgr`, of which the part `inside` lies in the picture, in the size of the network's picture. The
/// rest is black.
fn scale_window(
    bgr: &impl MatTraitConst,
    window: BoundingBox,
    inside: BoundingBox,
    input: Size,
    scaled: &mut Mat,
) -> opencv::Result<()> {
    let visible = Mat::roi(bgr, inside.into())?;
    if inside == window {
        return scale(&visible, Size::new(window.width, window.height), input, scaled);
    }
    let px_at = |offset: i32| (f64::from(offset) * f64::from(input.width) / f64::from(window.width)).round() as i32;
    let [left, right] = [inside.x - window.x, inside.right() - window.x].map(px_at);
    let [top, bottom] = [inside.y - window.y, inside.bottom() - window.y].map(px_at);
    let part = Size::new((right - left).max(1), (bottom - top).max(1));
    let (left, top) = (left.min(input.width - part.width), top.min(input.height - part.height));
    if scaled.size()? == input {
        scaled.set_scalar(Scalar::default())?;
    } else {
        *scaled = Mat::new_size_with_default(input, CV_8UC3, Scalar::default())?;
    }
    let mut place = Mat::roi_mut(scaled, Rect::new(left, top, part.width, part.height))?;
    scale(&visible, Size::new(inside.width, inside.height), part, &mut place)
}

/// The face in pixels of the picture of which `searched` shows a part. `None` for a box that has no pixel in common with it.
fn detection(face: &Face, searched: &BoundingBox) -> Option<Detection> {
    let square = haar_square(face)?;
    let roi = BoundingBox { x: square.x + searched.x, y: square.y + searched.y, ..square }.intersection(searched)?;
    let moved = |(x, y)| (x + searched.x as f32, y + searched.y as f32);
    Some(Detection { roi, confidence: face.confidence, landmarks: Some(Landmarks(face.landmarks.0.map(moved))) })
}

/// Side of the square that OpenCV's frontal cascade marks, relative to the mean side of CenterFace's box.
const SIDE: f32 = 1.11;

/// The square that OpenCV's frontal cascade would mark.
fn haar_square(face: &Face) -> Option<BoundingBox> {
    let side = SIDE * (face.width * face.height).sqrt();
    let (left, top) = (face.left + (face.width - side) / 2.0, face.top + (face.height - side) / 2.0);
    // Beyond this, a damaged network made the numbers, and their sum could exceed i32.
    const LIMIT: f32 = 1e6;
    let usable = [left, top, side].iter().all(|number| number.abs() < LIMIT) && side >= 1.0;
    usable.then(|| BoundingBox {
        x: left.round() as i32,
        y: top.round() as i32,
        width: side.round() as i32,
        height: side.round() as i32,
    })
}

#[cfg(test)]
impl SearchNetwork {
    /// Where the pictures are in memory.
    pub fn addresses(&self) -> [*const u8; 2] {
        [self.buffers.whole.data(), self.buffers.window.data()]
    }
}

#[cfg(test)]
mod tests;
