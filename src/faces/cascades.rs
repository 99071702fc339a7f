//! Finds faces in a grey frame with Haar cascades: one searches, another one checks each hit.
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
/// Ratio of one checked size to the next, also about a known face: in a window, a fine search costs little.
const WINDOW_SCALE_FACTOR: f64 = 1.1;
/// The sizes that are searched about a known face, as fractions of it.
const KNOWN_SIDES: (f64, f64) = (0.7, 1.4);
/// Neighbouring detections that make a face where one is known to be: a false face is unlikely there.
const KNOWN_NEIGHBORS: i32 = 3;
/// Intersection over union from which two boxes are the same face.
const SAME_FACE_IOU: f64 = 0.5;

/// One cascade that searches, and one that checks.
#[derive(Debug)]
pub struct Cascades {
    search: HaarDetector,
    check: Option<HaarDetector>,
}

impl Cascades {
    /// OpenCV's cascade `alt2`, checked by its default frontal face cascade; or the configured cascade alone.
    ///
    /// # Errors
    /// [`CascadeError`] where a cascade is not installed, or the configured file is not one.
    pub fn load(parameters: &DetectorParameters) -> Result<Self, CascadeError> {
        if let Some(path) = parameters.cascade_path() {
            return Ok(Self { search: HaarDetector::load(Some(path))?, check: None });
        }
        let check = HaarDetector::load(None)?;
        Ok(Self { search: HaarDetector::load_installed(SEARCH_CASCADE)?, check: Some(check) })
    }

    /// The faces in `gray` (height x width, 8-bit, one channel), from left to right.
    ///
    /// Where hits are checked, the boxes are those of the checking cascade, for which the attribute networks were trained. A
    /// cascade does not tell how sure it is, so the confidence is 1.
    ///
    /// # Errors
    /// Only those of OpenCV, for example when memory is short.
    pub fn detect(&mut self, gray: &Mat, parameters: &DetectorParameters) -> opencv::Result<Vec<Detection>> {
        let hits = self.search.detect(gray, parameters)?;
        let Some(check) = self.check.as_mut().filter(|_| parameters.check_neighbors > 0) else {
            return Ok(hits.into_iter().map(detection).collect());
        };
        let mut found: Vec<BoundingBox> = Vec::new();
        for hit in hits {
            let search = window_search(&hit, CHECK_SIDES, parameters.check_neighbors);
            let confirmed = check.detect_in(gray, hit.square_with_margin(CHECK_MARGIN), &search)?;
            let confirmed = confirmed.into_iter().max_by(|a, b| a.iou(&hit).total_cmp(&b.iou(&hit)));
            // Two hits on one face may be confirmed by the same box.
            let is_new = |face: &BoundingBox| found.iter().all(|other| other.iou(face) < SAME_FACE_IOU);
            found.extend(confirmed.filter(is_new));
        }
        found.sort_by_key(|face| (face.x, face.y));
        Ok(found.into_iter().map(detection).collect())
    }

    /// The faces in `window` that are about as large as `face`, which is known to be about there.
    ///
    /// # Errors
    /// Only those of OpenCV.
    pub fn detect_about(
        &mut self,
        gray: &Mat,
        face: BoundingBox,
        window: BoundingBox,
    ) -> opencv::Result<Vec<Detection>> {
        let detector = self.check.as_mut().unwrap_or(&mut self.search);
        let found = detector.detect_in(gray, window, &window_search(&face, KNOWN_SIDES, KNOWN_NEIGHBORS))?;
        Ok(found.into_iter().map(detection).collect())
    }
}

fn window_search(face: &BoundingBox, sides: (f64, f64), min_neighbors: i32) -> WindowSearch {
    let side = |share: f64| (share * face.longer_side()).round() as i32;
    WindowSearch {
        min_side_px: side(sides.0),
        max_side_px: side(sides.1),
        scale_factor: WINDOW_SCALE_FACTOR,
        min_neighbors,
    }
}

fn detection(roi: BoundingBox) -> Detection {
    Detection { roi, confidence: 1.0, landmarks: None }
}

#[cfg(test)]
mod tests {
    use opencv::core::Rect;
    use opencv::imgcodecs::{IMREAD_GRAYSCALE, imread};
    use opencv::prelude::*;

    use super::*;

    /// The face that the default cascade marks in the part of the portrait below.
    const FACE: BoundingBox = BoundingBox { x: 176 - 20, y: 66 - 10, width: 95, height: 95 };

    fn portrait() -> Mat {
        let whole = imread(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/astronaut.jpg"), IMREAD_GRAYSCALE).unwrap();
        Mat::roi(&whole, Rect::new(20, 10, 440, 330)).unwrap().try_clone().unwrap()
    }

    fn cascades() -> Cascades {
        Cascades::load(&DetectorParameters::default()).unwrap()
    }

    #[test]
    fn the_portrait_has_one_face_with_the_box_of_the_checking_cascade() {
        let found = cascades().detect(&portrait(), &DetectorParameters::default()).unwrap();
        let [face] = &found[..] else { panic!("{found:?}") };
        assert!(face.roi.iou(&FACE) > 0.7, "{face:?}");
    }

    /// A cascade that finds no faces confirms none.
    #[test]
    fn a_hit_that_is_not_confirmed_is_no_face() {
        let plates = HaarDetector::load_installed("haarcascade_licence_plate_rus_16stages.xml").unwrap();
        let mut cascades = Cascades { check: Some(plates), ..cascades() };
        assert_eq!(cascades.detect(&portrait(), &DetectorParameters::default()).unwrap(), []);
        let unchecked = DetectorParameters { check_neighbors: 0, min_neighbors: 5, ..DetectorParameters::default() };
        assert_eq!(cascades.detect(&portrait(), &unchecked).unwrap().len(), 1);
    }

    #[test]
    fn a_known_face_is_found_about_its_place_and_nowhere_else() {
        let about = BoundingBox { x: FACE.x + 12, y: FACE.y - 9, width: 80, height: 80 };
        let mut cascades = cascades();
        let found = cascades.detect_about(&portrait(), about, about.square_with_margin(0.5)).unwrap();
        let [face] = &found[..] else { panic!("{found:?}") };
        assert!(face.roi.iou(&FACE) > 0.7, "{face:?}");
        let elsewhere = BoundingBox { x: FACE.x + 190, ..about };
        assert_eq!(cascades.detect_about(&portrait(), elsewhere, elsewhere.square_with_margin(0.5)).unwrap(), []);
    }
}
