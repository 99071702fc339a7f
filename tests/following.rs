//! Faces that are followed through rendered frames: the portrait's face, and its mirror image as a second person, on noise.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use face_attributes::faces::{BoundingBox, FaceFinder, FaceIds, FinderParameters, FoundFace};
use face_attributes::frame::{ByteOrder, Encoding, Frame};
use opencv::core::{CV_8UC1, Mat, Rect, Size};
use opencv::imgcodecs::{IMREAD_GRAYSCALE, imread};
use opencv::imgproc::{INTER_AREA, resize};
use opencv::prelude::*;

const RATE_HZ: f64 = 15.0;
const IMAGE: BoundingBox = BoundingBox { x: 0, y: 0, width: 640, height: 480 };
/// The head in the portrait, and the side to which it is scaled. Its face then has a side of about 75 pixels.
const HEAD: Rect = Rect { x: 141, y: 18, width: 170, height: 170 };
const HEAD_PX: i32 = 130;

/// What a frame shows, from the back to the front. Positions are those of the left upper corner of the head.
#[derive(Clone, Copy)]
enum Shown {
    Person(i32, i32),
    OtherPerson(i32, i32),
    Hand(i32, i32),
}

/// A head, the other head, and a hand that covers a face.
struct Pictures {
    person: Mat,
    other_person: Mat,
    hand: Mat,
    background: Mat,
}

impl Pictures {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astronaut.jpg");
        let portrait = imread(path, IMREAD_GRAYSCALE).unwrap();
        let head = Mat::roi(&portrait, HEAD).unwrap();
        let mut person = Mat::default();
        resize(&head, &mut person, Size::new(HEAD_PX, HEAD_PX), 0.0, 0.0, INTER_AREA).unwrap();
        let (mut mirrored, mut other_person) = (Mat::default(), Mat::default());
        opencv::core::flip(&person, &mut mirrored, 1).unwrap();
        opencv::core::add_weighted_def(&mirrored, 0.6, &mirrored, 0.0, 10.0, &mut other_person).unwrap();
        Self { person, other_person, hand: noise(110, 110, 150, 8), background: noise(640, 480, 100, 25) }
    }

    fn frame(&self, shown: &[Shown]) -> Mat {
        let mut gray = self.background.clone();
        for item in shown {
            match *item {
                Shown::Person(x, y) => paste(&self.person, x, y, &mut gray),
                Shown::OtherPerson(x, y) => paste(&self.other_person, x, y, &mut gray),
                Shown::Hand(x, y) => paste(&self.hand, x, y, &mut gray),
            }
        }
        gray
    }
}

/// Noise of this mean and deviation, the same at each call.
fn noise(width: i32, height: i32, mean: i32, deviation: u32) -> Mat {
    let mut state = 1_u32;
    let mut gray = Mat::new_rows_cols_with_default(height, width, CV_8UC1, 0.into()).unwrap();
    for pixel in gray.data_typed_mut::<u8>().unwrap() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *pixel = (mean + ((state >> 16) % (4 * deviation)) as i32 - 2 * deviation as i32) as u8;
    }
    gray
}

/// Copies what of `picture` lies inside of `gray`.
fn paste(picture: &Mat, x: i32, y: i32, gray: &mut Mat) {
    let place = BoundingBox { x, y, width: picture.cols(), height: picture.rows() };
    let Some(inside) = place.intersection(&IMAGE) else { return };
    let from = Rect::new(inside.x - x, inside.y - y, inside.width, inside.height);
    let mut target = Mat::roi_mut(gray, inside.into()).unwrap();
    Mat::roi(picture, from).unwrap().copy_to(&mut target).unwrap();
}

/// Both ways to find faces.
fn ways() -> [FinderParameters; 2] {
    let mut cascades = FinderParameters::default();
    cascades.search.rate = 0.0;
    [FinderParameters::default(), cascades]
}

/// The faces in each frame of `secs` seconds.
fn follow(parameters: &FinderParameters, secs: f64, shown: impl Fn(f64) -> Vec<Shown>) -> Vec<Vec<FoundFace>> {
    let pictures = Pictures::new();
    let mut finder = FaceFinder::load(parameters, FaceIds::of_camera(0)).unwrap();
    let frames = (0..(secs * RATE_HZ) as u32).map(|n| f64::from(n) / RATE_HZ);
    let faces = frames.map(|time| {
        let gray = pictures.frame(&shown(time));
        let (width, height) = (IMAGE.width as usize, IMAGE.height as usize);
        let frame =
            Frame::new(width, height, width, Encoding::Mono8, ByteOrder::LittleEndian, gray.data_bytes().unwrap());
        finder.find(&frame.unwrap(), &gray, Duration::from_secs_f64(time), parameters).unwrap()
    });
    faces.collect()
}

fn ids(frames: &[Vec<FoundFace>]) -> HashSet<String> {
    frames.iter().flatten().map(|face| face.id.to_string()).collect()
}

fn names(faces: &[FoundFace]) -> Vec<String> {
    faces.iter().map(|face| face.id.to_string()).collect()
}

#[test]
fn two_faces_that_cross_keep_their_ids() {
    for parameters in ways() {
        let frames = follow(&parameters, 3.0, |time| {
            let way = (150.0 * time) as i32;
            vec![Shown::OtherPerson(480 - way, 150), Shown::Person(30 + way, 140)]
        });
        assert_eq!(names(&frames[0]), ["face1", "face2"]);
        assert_eq!(names(frames.last().unwrap()), ["face2", "face1"]);
        assert_eq!(ids(&frames).len(), 2);
    }
}

#[test]
fn a_face_that_leaves_for_half_a_second_and_returns_keeps_its_id() {
    for parameters in ways() {
        let frames =
            follow(&parameters, 3.0, |time| vec![Shown::Person((500.0 * (time - 1.5).abs() - 250.0) as i32, 150)]);
        assert_eq!(ids(&frames).len(), 1);
        assert!(frames.iter().any(Vec::is_empty) && !frames.last().unwrap().is_empty());
    }
}

#[test]
fn a_face_that_jumps_keeps_its_id() {
    for parameters in ways() {
        let frames = follow(&parameters, 2.0, |time| {
            vec![if time < 1.0 { Shown::Person(40, 60) } else { Shown::Person(420, 290) }]
        });
        assert_eq!(names(frames.last().unwrap()), ["face1"]);
        assert_eq!(ids(&frames).len(), 1);
        // Nothing is left behind at the place before.
        assert!(frames.iter().all(|faces| faces.len() == 1));
    }
}

#[test]
fn a_person_who_comes_where_another_one_goes_gets_another_id() {
    for parameters in ways() {
        let frames = follow(&parameters, 2.0, |time| {
            vec![if time < 1.0 { Shown::Person(40, 60) } else { Shown::OtherPerson(420, 290) }]
        });
        assert_eq!(
            frames.last().unwrap().iter().filter(|face| face.seen).map(|face| face.id.to_string()).collect::<Vec<_>>(),
            ["face2"]
        );
    }
}

#[test]
fn a_face_that_a_hand_covers_for_a_second_is_predicted_and_keeps_its_id() {
    for parameters in ways() {
        let frames = follow(&parameters, 3.0, |time| {
            let mut shown = vec![Shown::Person(250, 150)];
            // The hand comes from below, stays, and goes.
            if (1.0..2.0).contains(&time) {
                let away = ((0.2 - (time - 1.0).min(2.0 - time)).max(0.0) * 600.0) as i32;
                shown.push(Shown::Hand(260, 160 + away));
            }
            shown
        });
        assert_eq!(ids(&frames).len(), 1);
        assert!(frames.iter().all(|faces| faces.len() == 1), "not in every frame");
        assert!(frames.iter().flatten().any(|face| !face.seen), "the hand covers nothing");
        let (first, last) = (&frames[0][0].roi, &frames[frames.len() - 1][0].roi);
        for face in frames.iter().flatten() {
            assert!(face.roi.iou(first) > 0.5, "{face:?}");
        }
        assert!(last.iou(first) > 0.7);
    }
}

#[test]
fn the_number_of_followed_faces_is_bounded() {
    let mut parameters = FinderParameters::default();
    // Each cell of the network's maps is a face.
    parameters.search.min_confidence = 0.0;
    let frames = follow(&parameters, 0.2, |_| vec![Shown::Person(250, 150)]);
    for faces in &frames {
        assert!(faces.len() <= 30, "{}", faces.len());
    }
    // The surest faces are followed.
    let person = BoundingBox { x: 250, y: 150, width: HEAD_PX, height: HEAD_PX };
    assert!(frames[0].iter().any(|face| face.roi.iou(&person) > 0.2), "{:?}", frames[0]);
}

#[test]
fn after_a_cut_nobody_is_left_behind_where_the_motion_led() {
    for parameters in ways() {
        let pictures = Pictures::new();
        let mut finder = FaceFinder::load(&parameters, FaceIds::of_camera(0)).unwrap();
        let mut other = noise(640, 480, 190, 12);
        paste(&noise(320, 480, 60, 12), 0, 0, &mut other);
        for number in 0..30 {
            // From frame 15 on, another camera shows the same person elsewhere and smaller.
            let gray = if number < 15 {
                pictures.frame(&[Shown::Person(40, 60)])
            } else {
                let mut small = Mat::default();
                resize(&pictures.person, &mut small, Size::new(80, 80), 0.0, 0.0, INTER_AREA).unwrap();
                let mut gray = other.clone();
                paste(&small, 430, 300, &mut gray);
                gray
            };
            let frame = Frame::new(640, 480, 640, Encoding::Mono8, ByteOrder::LittleEndian, gray.data_bytes().unwrap());
            let time = Duration::from_secs_f64(f64::from(number) / RATE_HZ);
            let faces = finder.find(&frame.unwrap(), &gray, time, &parameters).unwrap();
            let is_left_behind = number >= 15 && faces.iter().any(|face| face.roi.x < 200);
            assert!(!is_left_behind, "frame {number}: {faces:?}");
            assert!(number != 29 || faces.iter().any(|face| face.seen), "the person is not found after the cut");
        }
    }
}
