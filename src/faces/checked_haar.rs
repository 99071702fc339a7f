//! Searches a grey image with a Haar cascade, and checks each hit with a second cascade.
//!
//! Two cascades make different mistakes. So the first one can search with few neighbours, which finds more faces, and the second
//! one discards most of the false faces. It looks at small windows only.

use opencv::core::Mat;

use super::{BoundingBox, CascadeError, Detection, DetectorParameters, HaarDetector, WindowSearch};

/// OpenCV's cascade that finds most faces for its time.
const SEARCH_CASCADE: &str = "haarcascade_frontalface_alt2.xml";

/// The margin of the window in which a hit is checked, on each side, as a fraction of the face.
const CHECK_MARGIN: f64 = 0.25;

/// The sizes at which a hit is checked, as fractions of the face.
const CHECK_SIDES: (f64, f64) = (0.65, 1.5);

/// Ratio of one checked size to the next.
const CHECK_SCALE_FACTOR: f64 = 1.1;

/// How [`CheckedHaar`] searches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CheckedHaarParameters {
    /// Smallest face that is searched for, as a fraction of the image's shorter side, 0.01 to 1.
    pub min_face_size: f64,
    /// Ratio of one searched face size to the next, 1.05 to 2.
    pub scale_factor: f64,
    /// Neighbouring detections that make a hit, 1 to 50.
    pub min_neighbors: i32,
    /// Neighbouring detections of the second cascade that confirm a hit, 1 to 50.
    pub check_neighbors: i32,
}

impl Default for CheckedHaarParameters {
    fn default() -> Self {
        Self { min_face_size: 0.065, scale_factor: 1.3, min_neighbors: 3, check_neighbors: 4 }
    }
}

/// Two cascades: one searches, the other one checks.
#[derive(Debug)]
pub struct CheckedHaar {
    search: HaarDetector,
    check: HaarDetector,
}

impl CheckedHaar {
    /// Searches with OpenCV's cascade `alt2`, and checks with its default frontal face cascade.
    ///
    /// # Errors
    /// [`CascadeError`] where the cascades are not installed.
    pub fn load() -> Result<Self, CascadeError> {
        Ok(Self { search: HaarDetector::load_installed(SEARCH_CASCADE)?, check: HaarDetector::load(None)? })
    }

    /// Searches with one cascade and checks with another one. The boxes are those of `check`.
    pub fn new(search: HaarDetector, check: HaarDetector) -> Self {
        Self { search, check }
    }

    /// The faces in `gray` (height x width, 8-bit, one channel), from left to right.
    ///
    /// Their boxes are those of the checking cascade, for which the attribute networks were trained. A cascade tells no
    /// confidence: it is 1.
    ///
    /// # Errors
    /// Only those of OpenCV, for example when memory is short.
    pub fn detect(&mut self, gray: &Mat, parameters: &CheckedHaarParameters) -> opencv::Result<Vec<Detection>> {
        let &CheckedHaarParameters { min_face_size, scale_factor, min_neighbors, check_neighbors } = parameters;
        let search = DetectorParameters { min_face_size, scale_factor, min_neighbors, ..DetectorParameters::default() };
        let mut found: Vec<BoundingBox> = Vec::new();
        for hit in self.search.detect(gray, &search)? {
            let confirmed = self.confirm(gray, &hit, check_neighbors)?;
            // Two hits on one face may be confirmed by the same box.
            let is_new = |face: &BoundingBox| found.iter().all(|other| other.iou(face) < SAME_FACE_IOU);
            if let Some(face) = confirmed.filter(is_new) {
                found.push(face);
            }
        }
        found.sort_by_key(|face| (face.x, face.y));
        Ok(found.into_iter().map(|roi| Detection { roi, confidence: 1.0, landmarks: None }).collect())
    }

    /// The box of the second cascade that marks the same face as `hit`.
    fn confirm(&mut self, gray: &Mat, hit: &BoundingBox, neighbors: i32) -> opencv::Result<Option<BoundingBox>> {
        let side = f64::from(hit.width);
        let check = WindowSearch {
            min_side_px: (CHECK_SIDES.0 * side).round() as i32,
            max_side_px: (CHECK_SIDES.1 * side).round() as i32,
            scale_factor: CHECK_SCALE_FACTOR,
            min_neighbors: neighbors,
        };
        let window = hit.square_with_margin(CHECK_MARGIN);
        let confirmed = self.check.detect_in(gray, window, &check)?;
        Ok(confirmed.into_iter().max_by(|a, b| a.iou(hit).total_cmp(&b.iou(hit))))
    }
}

/// Intersection over union from which two boxes are the same face.
const SAME_FACE_IOU: f64 = 0.5;

#[cfg(test)]
mod tests {
    use opencv::core::Rect;
    use opencv::imgcodecs::{IMREAD_GRAYSCALE, imread};
    use opencv::prelude::*;

    use super::*;

    fn portrait() -> Mat {
        let whole = imread(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/astronaut.jpg"), IMREAD_GRAYSCALE).unwrap();
        Mat::roi(&whole, Rect::new(20, 10, 440, 330)).unwrap().try_clone().unwrap()
    }

    #[test]
    fn the_portrait_has_one_face_with_the_box_of_the_checking_cascade() {
        let found = CheckedHaar::load().unwrap().detect(&portrait(), &CheckedHaarParameters::default()).unwrap();
        let [face] = &found[..] else { panic!("{found:?}") };
        let expected = BoundingBox { x: 176 - 20, y: 66 - 10, width: 95, height: 95 };
        assert!(face.roi.iou(&expected) > 0.7, "{face:?}");
    }

    /// A cascade that finds no faces confirms none.
    #[test]
    fn a_hit_that_is_not_confirmed_is_no_face() {
        let search = || HaarDetector::load(None).unwrap();
        let plates = HaarDetector::load_installed("haarcascade_licence_plate_rus_16stages.xml").unwrap();
        let parameters = CheckedHaarParameters::default();
        assert_eq!(CheckedHaar::new(search(), plates).detect(&portrait(), &parameters).unwrap(), []);
        assert_eq!(CheckedHaar::new(search(), search()).detect(&portrait(), &parameters).unwrap().len(), 1);
    }
}
