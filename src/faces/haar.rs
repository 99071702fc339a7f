//! Detects faces in a grey image with OpenCV's Haar cascade (Viola and Jones 2001, Lienhart and Maydt 2002).

use std::path::{Path, PathBuf};

use opencv::core::{Mat, MatTraitConst, Rect, Size, Vector};
use opencv::imgproc::{INTER_AREA, resize};
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

/// How faces are found, see the table of all parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorParameters {
    /// Path of the Haar cascade; empty for two frontal face cascades of OpenCV's data package, of which one checks the other.
    pub cascade: String,
    /// Smallest face that is searched for, as a fraction of the image's shorter side, 0.01 to 1.
    pub min_face_size: f64,
    /// Ratio of one searched face size to the next, 1.05 to 2.
    pub scale_factor: f64,
    /// Neighbouring detections that make a face, 1 to 50.
    pub min_neighbors: i32,
    /// Neighbouring detections of a second cascade that confirm a face, 0 to 50. At 0, no second cascade is asked.
    pub check_neighbors: i32,
    /// Threads that OpenCV may use in this process, 1 to 64.
    pub threads: i32,
}

impl Default for DetectorParameters {
    fn default() -> Self {
        Self {
            cascade: String::new(),
            min_face_size: 0.065,
            scale_factor: 1.3,
            min_neighbors: 3,
            check_neighbors: 4,
            threads: 1,
        }
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
    /// No cascade is configured, and OpenCV's own one is not installed.
    #[error("{file} is in none of {}; install opencv-data or set detector.cascade", CASCADE_FOLDERS.join(", "))]
    NotInstalled {
        /// The name of the file.
        file: &'static str,
    },
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

/// Which faces are searched for in a window about a known face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowSearch {
    /// Side of the smallest face, in pixels of the image.
    pub min_side_px: i32,
    /// Side of the largest face, in pixels of the image.
    pub max_side_px: i32,
    /// Ratio of one searched face size to the next, above 1.
    pub scale_factor: f64,
    /// Neighbouring detections that make a face.
    pub min_neighbors: i32,
}

/// In a window, the picture is shrunk until the smallest searched face has this side, in pixels. A cascade needs 20 to 24.
const SMALLEST_IN_WINDOW_PX: f64 = 40.0;

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
            None => installed_cascade(DEFAULT_CASCADE).ok_or(CascadeError::NotInstalled { file: DEFAULT_CASCADE })?,
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

    /// Loads OpenCV's cascade `file`, for example `haarcascade_frontalface_alt2.xml`, from where it is installed.
    ///
    /// # Errors
    /// [`CascadeError`] where the file is not installed or unreadable.
    pub fn load_installed(file: &'static str) -> Result<Self, CascadeError> {
        let path = installed_cascade(file).ok_or(CascadeError::NotInstalled { file })?;
        Self::load(Some(&path))
    }

    /// The faces in the part `window` of `gray` (height x width, 8-bit, one channel), from left to right, in pixels of `gray`.
    ///
    /// The time depends on the ratio of the window's side to the smallest face, not on their sizes: large faces are searched for
    /// in a smaller picture.
    ///
    /// # Errors
    /// Only those of OpenCV, for example when memory is short.
    pub fn detect_in(
        &mut self,
        gray: &impl MatTraitConst,
        window: BoundingBox,
        search: &WindowSearch,
    ) -> opencv::Result<Vec<BoundingBox>> {
        let image = BoundingBox::of_image(gray.cols(), gray.rows());
        let Some(window) = window.intersection(&image) else { return Ok(Vec::new()) };
        let scale = (SMALLEST_IN_WINDOW_PX / f64::from(search.min_side_px.max(1))).min(1.0);
        let scaled = |length: i32| (f64::from(length) * scale).round() as i32;
        let (width, height) = (scaled(window.width), scaled(window.height));
        if width.min(height) < self.window_px {
            return Ok(Vec::new());
        }
        let mut picture = Mat::default();
        resize(&Mat::roi(gray, window.into())?, &mut picture, Size::new(width, height), 0.0, 0.0, INTER_AREA)?;
        let mut faces = Vector::<Rect>::new();
        let (smallest, largest) = (scaled(search.min_side_px), scaled(search.max_side_px));
        self.cascade.detect_multi_scale(
            &picture,
            &mut faces,
            search.scale_factor,
            search.min_neighbors,
            0, // flags: read by cascades of the old format only
            Size::new(smallest, smallest),
            Size::new(largest, largest),
        )?;
        let (x_scale, y_scale) =
            (f64::from(window.width) / f64::from(width), f64::from(window.height) / f64::from(height));
        let unscaled = |face: Rect| BoundingBox {
            x: window.x + (f64::from(face.x) * x_scale).round() as i32,
            y: window.y + (f64::from(face.y) * y_scale).round() as i32,
            width: (f64::from(face.width) * x_scale).round() as i32,
            height: (f64::from(face.height) * y_scale).round() as i32,
        };
        let mut faces: Vec<_> = faces.iter().filter_map(|face| unscaled(face).intersection(&image)).collect();
        faces.sort_by_key(|face| (face.x, face.y));
        Ok(faces)
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
}

/// OpenCV averages neighbouring windows. Rounding can move the result one pixel out of the image.
fn inside(faces: &Vector<Rect>, image: BoundingBox) -> Vec<BoundingBox> {
    let mut faces: Vec<_> = faces.iter().filter_map(|face| BoundingBox::from(face).intersection(&image)).collect();
    faces.sort_by_key(|face| (face.x, face.y));
    faces
}

fn installed_cascade(file: &str) -> Option<PathBuf> {
    CASCADE_FOLDERS.iter().map(|folder| Path::new(folder).join(file)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use opencv::imgcodecs::{IMREAD_GRAYSCALE, imread};

    use super::*;

    /// The face that the cascade finds in the whole portrait: x, y, side in pixels.
    const FACE: (i32, i32, i32) = (176, 66, 95);

    /// The portrait, enlarged by `scale`; wider than high, and the face is off the centre.
    fn portrait(scale: f64) -> Mat {
        let whole = imread(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/astronaut.jpg"), IMREAD_GRAYSCALE).unwrap();
        let part = Mat::roi(&whole, Rect::new(20, 10, 440, 330)).unwrap();
        let mut scaled = Mat::default();
        resize(&part, &mut scaled, Size::default(), scale, scale, INTER_AREA).unwrap();
        scaled
    }

    fn face(scale: f64) -> BoundingBox {
        let [x, y, side] = [FACE.0 - 20, FACE.1 - 10, FACE.2].map(|length| (f64::from(length) * scale).round() as i32);
        BoundingBox { x, y, width: side, height: side }
    }

    fn search(face: &BoundingBox) -> WindowSearch {
        let [min_side_px, max_side_px] = [0.7, 1.4].map(|share| (f64::from(face.width) * share).round() as i32);
        WindowSearch { min_side_px, max_side_px, scale_factor: 1.1, min_neighbors: 3 }
    }

    #[test]
    fn a_face_is_found_in_the_window_about_it() {
        let mut detector = HaarDetector::load(None).unwrap();
        for scale in [0.6, 1.0, 2.5] {
            let (gray, face) = (portrait(scale), face(scale));
            let found = detector.detect_in(&gray, face.square_with_margin(0.5), &search(&face)).unwrap();
            let [found] = found[..] else { panic!("{scale}: {found:?}") };
            assert!(found.iou(&face) > 0.7, "{scale}: {found:?}, expected about {face:?}");
        }
    }

    #[test]
    fn only_the_window_and_only_the_given_sizes_are_searched() {
        let mut detector = HaarDetector::load(None).unwrap();
        let (gray, face) = (portrait(1.0), face(1.0));
        let window = face.square_with_margin(0.5);
        let beside = BoundingBox { x: window.x + 150, ..window };
        assert_eq!(detector.detect_in(&gray, beside, &search(&face)).unwrap(), []);
        let smaller = WindowSearch { min_side_px: 30, max_side_px: 60, ..search(&face) };
        assert_eq!(detector.detect_in(&gray, window, &smaller).unwrap(), []);
    }

    #[test]
    fn a_window_may_leave_the_image_or_be_tiny() {
        let mut detector = HaarDetector::load(None).unwrap();
        let (gray, face) = (portrait(1.0), face(1.0));
        let image = BoundingBox::of_image(gray.cols(), gray.rows());
        let around = BoundingBox { x: -500, y: -500, width: 3000, height: 3000 };
        for found in detector.detect_in(&gray, around, &search(&face)).unwrap() {
            assert_eq!(found.intersection(&image), Some(found));
        }
        for (x, width) in [(face.x, 1), (-50, 20), (gray.cols() + 3, 90)] {
            let window = BoundingBox { x, y: face.y, width, height: 90 };
            assert_eq!(detector.detect_in(&gray, window, &search(&face)).unwrap(), []);
        }
    }

    #[test]
    fn a_cascade_that_is_not_installed_is_named() {
        let message = HaarDetector::load_installed("haarcascade_of_nobody.xml").unwrap_err().to_string();
        assert!(message.starts_with("haarcascade_of_nobody.xml is in none of /usr/share"), "{message}");
    }
}
