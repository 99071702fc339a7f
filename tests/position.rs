//! Where rendered faces are: a picture of known size is put before a camera with a known lens at a known place.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use face_attributes::frame::Frame;
use face_attributes::pipeline::{Pipeline, PipelineParameters};
use face_attributes::view::{Calibration, CameraModel, FaceView, PositionMethod, Viewer};
use opencv::core::{BORDER_CONSTANT, CV_32FC2, Mat, Scalar, Size, Vec2f};
use opencv::imgcodecs::{IMREAD_COLOR, imread};
use opencv::imgproc::{INTER_AREA, INTER_LINEAR, remap, resize};
use opencv::prelude::*;

const WIDTH: i32 = 640;
const HEIGHT: i32 = 480;
/// The pupils in the portrait, set by hand, and how far those of an adult are apart on average.
const PUPILS: [(f64, f64); 2] = [(203.0, 101.5), (246.0, 103.5)];
const PUPIL_DISTANCE: f64 = 0.063;
/// The middle of the face in the portrait, in pixels.
const FACE: (f64, f64) = (224.5, 122.0);

fn camera(distortion_model: &str, d: &[f64]) -> CameraModel {
    let k = [565.0, 0.0, 331.5, 0.0, 570.0, 228.5, 0.0, 0.0, 1.0];
    let (width, height) = (WIDTH as u32, HEIGHT as u32);
    let distortion_model = distortion_model.to_owned();
    CameraModel::new(&Calibration { width, height, k, d: d.to_vec(), distortion_model, ..Default::default() }).unwrap()
}

/// Places in the portrait, every eighth pixel of the image.
struct Grid {
    columns: i32,
    places: Vec<Vec2f>,
}

impl Grid {
    const STEP: i32 = 8;

    fn new(place: impl Fn(f64, f64) -> Vec2f) -> Self {
        let (columns, rows) = (WIDTH / Self::STEP + 2, HEIGHT / Self::STEP + 2);
        let at = |n: i32| f64::from(Self::STEP * n) - 1.0;
        Self { columns, places: (0..rows * columns).map(|n| place(at(n % columns), at(n / columns))).collect() }
    }

    /// The place at a pixel, linear between four of the grid.
    fn at(&self, u: f64, v: f64) -> Vec2f {
        let (x, y) = ((u + 1.0) / f64::from(Self::STEP), (v + 1.0) / f64::from(Self::STEP));
        let first = (y as i32 * self.columns + x as i32) as usize;
        let (x, y) = (x.fract() as f32, y.fract() as f32);
        let row = |first: usize| self.places[first] * (1.0 - x) + self.places[first + 1] * x;
        row(first) * (1.0 - y) + row(first + self.columns as usize) * y
    }
}

/// What the camera sees of the portrait as a poster at the distance `z` in metres, whose face is at x, y in metres.
fn render(camera: &CameraModel, [x, y, z]: [f64; 3]) -> Mat {
    // Each pixel is the mean of so many, as in a real camera.
    const FINER: i32 = 4;
    let portrait =
        imread(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astronaut.jpg"), IMREAD_COLOR).unwrap();
    let meters_per_pixel = PUPIL_DISTANCE / (PUPILS[1].0 - PUPILS[0].0).hypot(PUPILS[1].1 - PUPILS[0].1);
    let grid = Grid::new(|u, v| {
        let ray = camera.ray((u, v)).unwrap();
        let at = |n: usize, center: f64| ((ray[n] / ray[2] * z - center) / meters_per_pixel) as f32;
        Vec2f::from([FACE.0 as f32 + at(0, x), FACE.1 as f32 + at(1, y)])
    });
    let mut map = Mat::new_rows_cols_with_default(FINER * HEIGHT, FINER * WIDTH, CV_32FC2, Scalar::default()).unwrap();
    for row in 0..map.rows() {
        let fine = |n: usize| (n as f64 + 0.5) / f64::from(FINER) - 0.5;
        for (column, place) in map.at_row_mut::<Vec2f>(row).unwrap().iter_mut().enumerate() {
            *place = grid.at(fine(column), fine(row as usize));
        }
    }
    let (mut fine, mut image) = (Mat::default(), Mat::default());
    remap(&portrait, &mut fine, &map, &Mat::default(), INTER_LINEAR, BORDER_CONSTANT, Scalar::all(110.0)).unwrap();
    resize(&fine, &mut image, Size::new(WIDTH, HEIGHT), 0.0, 0.0, INTER_AREA).unwrap();
    image
}

/// The view of the only face, from `frames` equal frames.
fn look(camera: &CameraModel, bgr: &Mat, parameters: PipelineParameters, frames: u64) -> Option<FaceView> {
    let mut pipeline = Pipeline::load(parameters).unwrap();
    let mut viewer = Viewer::default();
    let mut view = None;
    for n in 0..frames {
        let scene = pipeline.process(&Frame::from_bgr(bgr).unwrap(), Duration::from_millis(33 * n)).unwrap();
        let views = viewer.look(&scene.faces, scene.time, Some(camera));
        assert!(views.len() <= 1, "{views:?}");
        view = views.first().copied();
    }
    view
}

fn angle([a, b, c]: [f64; 3], [x, y, z]: [f64; 3]) -> f64 {
    let cross = [b * z - c * y, c * x - a * z, a * y - b * x];
    cross.iter().map(|part| part * part).sum::<f64>().sqrt().atan2(a * x + b * y + c * z).to_degrees()
}

const LENSES: [(&str, &[f64]); 3] = [
    ("plumb_bob", &[-0.31, 0.12, 0.0013, -0.0021, -0.018]),
    ("rational_polynomial", &[0.42, -0.09, 0.0007, 0.0011, 0.004, 0.71, 0.02, -0.003]),
    ("equidistant", &[-0.012, 0.035, -0.028, 0.0055]),
];

/// The finder's landmarks on this portrait are 3 to 10 % closer to each other than the pupils and the mouth are.
#[test]
fn rendered_faces_are_as_far_away_as_they_are_said_to_be() {
    for (name, d) in LENSES {
        let camera = camera(name, d);
        let mut squares = Vec::new();
        for distance in [0.5, 1.0, 2.0, 3.0] {
            for (right, down) in [(0.02, -0.03), (-0.28, 0.12)] {
                let place = [right * distance, down * distance, distance];
                let view = look(&camera, &render(&camera, place), PipelineParameters::default(), 4).unwrap();
                assert_eq!(view.range.unwrap().method, PositionMethod::Landmarks);
                squares.push(check_position(&view, place, 0.11).powi(2));
                assert!(view.frontal.unwrap() > 0.95, "{view:?}");
                assert!(angle(view.direction.unwrap(), place) < 1.2, "{view:?} at {place:?}");
            }
        }
        let mean_square = squares.iter().sum::<f64>() / squares.len() as f64;
        assert!(mean_square < 1.2, "{name}: {mean_square}");
    }
}

#[test]
fn without_landmarks_the_box_tells_how_far_away_a_face_is() {
    let (name, d) = LENSES[0];
    let camera = camera(name, d);
    let mut parameters = PipelineParameters::default();
    // The cascades find the faces.
    parameters.faces.search.rate = 0.0;
    for distance in [0.5, 1.0, 2.0] {
        let place = [-0.2 * distance, 0.1 * distance, distance];
        let view = look(&camera, &render(&camera, place), parameters.clone(), 4).unwrap();
        assert_eq!((view.range.unwrap().method, view.frontal), (PositionMethod::Box, None));
        check_position(&view, place, 0.14);
    }
}

/// The error of the range in standard errors, after a check that it is below 2 and that these are below `share` of the range.
fn check_position(view: &FaceView, place: [f64; 3], share: f64) -> f64 {
    let (range, position) = (view.range.unwrap(), view.position().unwrap());
    let true_range = place.iter().map(|part| part * part).sum::<f64>().sqrt();
    let error = (range.meters - true_range) / range.error;
    assert!(error.abs() < 2.0 && range.error < share * range.meters, "{range:?} at {true_range}: {error}");
    assert!(angle(position, place) < 2.0, "{position:?} at {place:?}");
    error
}
