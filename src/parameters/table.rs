//! The list of all parameters.

use super::target::is_name;
use super::{Definition, Field, Mutability, Reliability, Transport};
use crate::saliency::{Method, SaliencyTarget};

/// Accessors of a field of plain type.
macro_rules! field {
    (bool, $($path:ident).+) => {
        Field::Bool { get: |p| p.$($path).+, set: |p, value| p.$($path).+ = value }
    };
    (integer $range:expr, $($path:ident).+) => {
        Field::Integer { get: |p| p.$($path).+, set: |p, value| p.$($path).+ = value, range: $range }
    };
    (double $range:expr, $($path:ident).+) => {
        Field::Double { get: |p| p.$($path).+, set: |p, value| p.$($path).+ = value, range: $range }
    };
    (string, $($path:ident).+) => {
        Field::String { get: |p| &p.$($path).+, set: |p, value| p.$($path).+ = value.to_owned() }
    };
    // An enum whose `NAMES` pair each variant with its name.
    (choice $type:ty, $($path:ident).+) => {
        Field::Choice {
            get: |p| <$type>::NAMES.iter().find(|(variant, _)| *variant == p.$($path).+).map_or("", |(_, name)| name),
            set: |p, value| {
                if let Some((variant, _)) = <$type>::NAMES.iter().find(|(_, name)| *name == value) {
                    p.$($path).+ = *variant;
                }
            },
            choices: || <$type>::NAMES.iter().map(|(_, name)| *name).collect(),
        }
    };
}

/// A parameter that can be changed at any time.
const fn live(name: &'static str, field: Field, description: &'static str) -> Definition {
    Definition { name, description, mutability: Mutability::Live, field }
}

/// A parameter that can be changed while the node is not active.
const fn at_configure(name: &'static str, field: Field, description: &'static str) -> Definition {
    Definition { name, description, mutability: Mutability::AtConfigure, field }
}

/// A parameter that cannot be changed while the node runs.
const fn read_only(name: &'static str, field: Field, description: &'static str) -> Definition {
    Definition { name, description, mutability: Mutability::ReadOnly, field }
}

const ENABLED: &str = "Whether this attribute is classified at all.";
const MODEL: &str = "Path of the network's ONNX file; empty for the network that is built in.";
const MIN_CONFIDENCE: &str = "Probability below which the answer is unknown.";
const MARGIN: &str = "What is cropped around the face on each side, as a fraction of the face's size.";
const MIRROR: &str = "Whether the mirrored face is classified too and both answers are averaged: a little better for twice the \
                      network's time.";

const TIME_CONSTANT: &str = "Time constant in seconds of the filter over the answers about a person: larger is steadier and \
                             slower; 0 gives the answer for each image alone.";

/// Every parameter.
pub static TABLE: [Definition; 36] = [
    at_configure(
        "cameras",
        Field::Strings {
            get: |p| &p.cameras,
            set: |p, value| p.cameras = value.to_owned(),
            check: is_name,
            elements: "names of letters, digits and '_' that begin with no digit",
        },
        "Names of the cameras. Each is a namespace: NAME/image is received, ~/NAME/faces published. Empty for one camera: image, ~/faces.",
    ),
    read_only(
        "autostart",
        field!(bool, autostart),
        "Whether the node configures and activates itself at its start; otherwise a lifecycle manager does it.",
    ),
    live(
        "image.reliability",
        field!(choice Reliability, image.reliability),
        "Reliability asked of the camera: best_effort is QoS compatible with every camera, reliable only with those that \
         publish reliably; auto is reliable where every publisher of the topic is, and follows them when they change.",
    ),
    at_configure(
        "image_transport",
        field!(choice Transport, image.transport),
        "How the images come: raw on the topic image, or compressed (JPEG or PNG) on the topic image/compressed.",
    ),
    live(
        "max_rate_hz",
        field!(double(0.0, 240.0), image.max_rate_hz),
        "Largest number of images per second that are processed, by the times at which they were taken; 0 for all. The others are \
         dropped before they are decoded.",
    ),
    at_configure(
        "detector.cascade",
        field!(string, pipeline.faces.detector.cascade),
        "Path of a Haar cascade; empty for two frontal face cascades of OpenCV's data package, one of which checks the other.",
    ),
    live(
        "detector.min_face_size",
        field!(double(0.01, 1.0), pipeline.faces.detector.min_face_size),
        "Smallest face that the cascades search for, as a fraction of the image's shorter side: the main lever on their CPU time.",
    ),
    live(
        "detector.scale_factor",
        field!(double(1.05, 2.0), pipeline.faces.detector.scale_factor),
        "Ratio of one searched face size to the next: nearer to 1 finds more faces and costs more time.",
    ),
    live(
        "detector.min_neighbors",
        field!(integer(1, 50), pipeline.faces.detector.min_neighbors),
        "Neighbouring detections that make a face: more of them give fewer false faces and miss more true ones.",
    ),
    live(
        "detector.check_neighbors",
        field!(integer(0, 50), pipeline.faces.detector.check_neighbors),
        "Neighbouring detections of the second cascade that confirm a face: more of them give fewer false faces; 0 asks no second \
         cascade.",
    ),
    at_configure(
        "detector.threads",
        field!(integer(1, 64), pipeline.faces.detector.threads),
        "Threads that OpenCV may use in this process: more of them shorten the latency, not the CPU time.",
    ),
    at_configure("search.model", field!(string, pipeline.faces.search.model), MODEL),
    live(
        "search.rate",
        field!(double(0.0, 30.0), pipeline.faces.search.rate),
        "How often per second the search network sees the whole image: more often finds a new face sooner and costs more time; at 0, \
         the cascades find the faces.",
    ),
    live(
        "search.longer_side",
        field!(integer(64, 1280), pipeline.faces.search.longer_side),
        "Longer side in pixels of the picture that the search network sees: larger finds smaller faces, and the time grows with its \
         square.",
    ),
    live(
        "search.min_confidence",
        field!(double(0.0, 1.0), pipeline.faces.search.min_confidence),
        "Confidence below which the search network's face is none: higher gives fewer false faces and misses more true ones.",
    ),
    live(
        "tracking.max_age",
        field!(double(0.1, 10.0), pipeline.faces.tracking.max_age),
        "Longest time in seconds for which a face may be missed: until then its id is kept, and its place is predicted as far as \
         its motion is known.",
    ),
    live(
        "max_faces_per_frame",
        field!(integer(0, 30), pipeline.max_faces_per_frame),
        "Largest number of faces that are classified in one image, so that a crowd costs no more; 0 for all. New faces come first, \
         then those that wait longest, large ones up to twice as often. The others keep what holds of them for a moment.",
    ),
    live("emotion.enabled", field!(bool, pipeline.attributes.emotion.enabled), ENABLED),
    at_configure("emotion.model", field!(string, pipeline.attributes.emotion.model), MODEL),
    live(
        "emotion.min_confidence",
        field!(double(0.0, 1.0), pipeline.attributes.emotion.min_confidence),
        MIN_CONFIDENCE,
    ),
    live("emotion.margin", field!(double(0.0, 1.0), pipeline.attributes.emotion.margin), MARGIN),
    live("emotion.mirror", field!(bool, pipeline.attributes.emotion.mirror), MIRROR),
    live("emotion.time_constant", field!(double(0.0, 60.0), pipeline.attributes.emotion.time_constant), TIME_CONSTANT),
    live("gender.enabled", field!(bool, pipeline.attributes.gender.enabled), ENABLED),
    at_configure("gender.model", field!(string, pipeline.attributes.gender.model), MODEL),
    live("gender.min_confidence", field!(double(0.0, 1.0), pipeline.attributes.gender.min_confidence), MIN_CONFIDENCE),
    live("gender.margin", field!(double(0.0, 1.0), pipeline.attributes.gender.margin), MARGIN),
    live("gender.mirror", field!(bool, pipeline.attributes.gender.mirror), MIRROR),
    live("gender.time_constant", field!(double(0.0, 60.0), pipeline.attributes.gender.time_constant), TIME_CONSTANT),
    live(
        "saliency.method",
        field!(choice Method, saliency.method),
        "How saliency is computed: guided back-propagation, the plain gradient, or Grad-CAM.",
    ),
    live(
        "saliency.target",
        field!(choice SaliencyTarget, saliency.target),
        "The class that is explained: the predicted one of each network, or always this one.",
    ),
    live(
        "saliency.rate",
        field!(double(0.1, 100.0), saliency.rate),
        "How many images per second are explained at most.",
    ),
    live(
        "saliency.overlay",
        field!(bool, saliency.overlay),
        "Whether image_annotated shows the saliency over the faces; it then comes at saliency.rate.",
    ),
    live(
        "outputs.tf",
        field!(bool, outputs.tf),
        "Whether the places of faces are published on /tf, where tf2_msgs was found and the camera is calibrated.",
    ),
    live(
        "outputs.humans",
        field!(bool, outputs.humans),
        "Whether faces are published below /humans as REP-155 has it, while somebody listens to /humans/faces/tracked and where \
         hri_msgs was found.",
    ),
    live(
        "outputs.softbiometrics",
        field!(bool, outputs.softbiometrics),
        "Whether apparent gender is among that; libhri takes its age, which is always 0, for known.",
    ),
];
