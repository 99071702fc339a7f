//! Detects faces in a grey image with OpenCV's Haar cascade (Viola and Jones 2001, Lienhart and Maydt 2002).

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use opencv::core::{Mat, MatTraitConst, Rect, Size, Vector};
use opencv::objdetect::CascadeClassifier;
use opencv::prelude::*;

use super::BoundingBox;

/// The cascade that is used where none is configured.
const DEFAULT_CASCADE: &str = "haarcascade_frontalface_default.xml";

/// The folders where OpenCV's packages install cascades: `opencv-data` of Debian and Ubuntu, builds from source,
/// Homebrew.
const CASCADE_FOLDERS: [&str; 4] = [
    "/usr/share/opencv4/haarcascades",
    "/usr/share/opencv/haarcascades",
    "/usr/local/share/opencv4/haarcascades",
    "/opt/homebrew/share/opencv4/haarcascades",
];

/// In a window about a known face, a finer search than this one costs too little to matter,
const WINDOW_SCALE_FACTOR: f64 = 1.1;
/// and a false face is unlikely, so that fewer neighbours make a face.
const WINDOW_MIN_NEIGHBORS: i32 = 3;

/// How faces are found, see the table of all parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorParameters {
    /// Path of the Haar cascade; empty for the frontal face cascade of OpenCV's data package.
    pub cascade: String,
    /// Smallest face that is searched for, as a fraction of the image's shorter side, 0.01 to 1.
    pub min_face_size: f64,
    /// Ratio of one searched face size to the next, 1.05 to 2.
    pub scale_factor: f64,
    /// Neighbouring detections that make a face, 1 to 50.
    pub min_neighbors: i32,
    /// Threads that OpenCV may use in this process, 1 to 64.
    pub threads: i32,
}

impl Default for DetectorParameters {
    fn default() -> Self {
        Self { cascade: String::new(), min_face_size: 0.125, scale_factor: 1.3, min_neighbors: 5, threads: 1 }
    }
}

impl DetectorParameters {
    /// The cascade's file, or `None` for OpenCV's own.
    pub fn cascade_path(&self) -> Option<&Path> {
        // ROS has no optional parameters: an empty path stands for the default.
        (!self.cascade.is_empty()).then(|| Path::new(&self.cascade))
    }
}

/// Why a cascade cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CascadeError {
    /// No cascade is configured, and OpenCV's own is not installed.
    #[error("{DEFAULT_CASCADE} is in none of {}; install opencv-data or set detector.cascade", CASCADE_FOLDERS.join(", "))]
    NotInstalled,
    /// There is no file of that name.
    #[error("cascade {} does not exist (detector.cascade)", path.display())]
    Missing {
        /// The file as configured.
        path: PathBuf,
    },
    /// OpenCV cannot read a cascade from the file.
    #[error("cascade {} is not a cascade that OpenCV reads (detector.cascade)", path.display())]
    Invalid {
        /// The file as configured.
        path: PathBuf,
        /// OpenCV's error, if it gave one.
        source: Option<opencv::Error>,
    },
}

/// A face detector with its cascade loaded.
#[derive(Debug)]
pub struct HaarDetector {
    cascade: CascadeClassifier,
    /// Longer side of the cascade's window, in pixels. Smaller faces cannot be found.
    window_px: i32,
}

impl HaarDetector {
    /// Loads the cascade at `path`, or OpenCV's frontal face cascade where `path` is `None`.
    ///
    /// # Errors
    /// [`CascadeError`] names the file that is missing or unreadable.
    pub fn load(path: Option<&Path>) -> Result<Self, CascadeError> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => installed_cascade().ok_or(CascadeError::NotInstalled)?,
        };
        if !path.is_file() {
            return Err(CascadeError::Missing { path });
        }
        let invalid = |source| CascadeError::Invalid { path: path.clone(), source };
        let cascade = path.to_str().ok_or_else(|| invalid(None))?;
        let cascade = CascadeClassifier::new(cascade).map_err(|error| invalid(Some(error)))?;
        // For most files that hold no cascade, OpenCV returns an empty classifier and no error.
        if cascade.empty().unwrap_or(true) {
            return Err(invalid(None));
        }
        let window = cascade.get_original_window_size().map_err(|error| invalid(Some(error)))?;
        Ok(Self { cascade, window_px: window.width.max(window.height) })
    }

    /// The faces in `gray` (height x width, 8-bit, one channel), from left to right.
    ///
    /// # Errors
    /// Only those of OpenCV, for example when memory is short.
    pub fn detect(&mut self, gray: &Mat, parameters: &DetectorParameters) -> opencv::Result<Vec<BoundingBox>> {
        let size = gray.size()?;
        let shorter_side_px = size.width.min(size.height);
        if shorter_side_px < self.window_px {
            return Ok(Vec::new());
        }
        let min_side_px = (parameters.min_face_size * f64::from(shorter_side_px)).round() as i32;
        let mut faces = Vector::<Rect>::new();
        self.cascade.detect_multi_scale(
            gray,
            &mut faces,
            parameters.scale_factor,
            parameters.min_neighbors,
            0, // flags: read by cascades of the old format only
            Size::new(min_side_px, min_side_px),
            Size::default(), // no upper limit
        )?;
        Ok(inside(&faces, BoundingBox::of_image(size.width, size.height)))
    }

    /// The faces in `window`, whose sides in pixels are among `sizes`, from left to right. `gray` is height x width, 8-bit,
    /// one channel.
    ///
    /// For a face that is known to be about there: the search is finer and more lenient than [`HaarDetector::detect`].
    ///
    /// # Errors
    /// Only those of OpenCV, for example when memory is short.
    pub fn detect_in(
        &mut self,
        gray: &Mat,
        window: BoundingBox,
        sizes: RangeInclusive<i32>,
        parameters: &DetectorParameters,
    ) -> opencv::Result<Vec<BoundingBox>> {
        let Some(window) = window.intersection(&BoundingBox::of_image(gray.cols(), gray.rows())) else {
            return Ok(Vec::new());
        };
        let largest = (*sizes.end()).min(window.width).min(window.height);
        if largest < self.window_px {
            return Ok(Vec::new());
        }
        let mut faces = Vector::<Rect>::new();
        self.cascade.detect_multi_scale(
            &Mat::roi(gray, window.into())?,
            &mut faces,
            parameters.scale_factor.min(WINDOW_SCALE_FACTOR),
            parameters.min_neighbors.min(WINDOW_MIN_NEIGHBORS),
            0, // flags: read by cascades of the old format only
            Size::new(*sizes.start(), *sizes.start()),
            Size::new(largest, largest),
        )?;
        let faces = inside(&faces, BoundingBox::of_image(window.width, window.height));
        Ok(faces.into_iter().map(|face| BoundingBox { x: face.x + window.x, y: face.y + window.y, ..face }).collect())
    }
}

/// OpenCV averages neighbouring windows. Rounding can move the result one pixel out of the image.
fn inside(faces: &Vector<Rect>, image: BoundingBox) -> Vec<BoundingBox> {
    let mut faces: Vec<_> = faces.iter().filter_map(|face| BoundingBox::from(face).intersection(&image)).collect();
    faces.sort_by_key(|face| (face.x, face.y));
    faces
}

fn installed_cascade() -> Option<PathBuf> {
    CASCADE_FOLDERS.iter().map(|folder| Path::new(folder).join(DEFAULT_CASCADE)).find(|path| path.is_file())
}
