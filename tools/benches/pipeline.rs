//! Time that each stage takes, and the whole pipeline on a frame with one face: `cargo bench -p face_attributes_tools --bench
//! pipeline`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use criterion::Criterion;
use face_attributes::attributes::BuiltIn;
use face_attributes::attributes::crop::crop_face;
use face_attributes::attributes::{Attribute, Emotion, Gender};
use face_attributes::faces::{BoundingBox, Cascades, SearchNetwork};
use face_attributes::frame::Frame;
use face_attributes::network::Model;
use face_attributes::parameters::Parameters;
use face_attributes::pipeline::Pipeline;
use face_attributes::saliency::{Explainer, Method, Neuron};
use face_attributes_tools::moving_picture::MovingPicture;
use face_attributes_tools::source::read_bgr;
use opencv::core::{Mat, Size, set_num_threads};

/// Time from one frame to the next of a camera at 30 Hz.
const FRAME_TIME: Duration = Duration::from_micros(33_333);

const FRAME_SIZES: [(i32, i32); 2] = [(640, 480), (1280, 720)];

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let parameters = Parameters::default();
    set_num_threads(parameters.pipeline.faces.detector.threads)?;
    for size in FRAME_SIZES {
        let scene = Scene::new(size, &parameters)?;
        bench_detection(&mut criterion, &scene, &parameters)?;
        bench_crop(&mut criterion, &scene, &parameters)?;
        bench_pipeline(&mut criterion, &scene, &parameters)?;
    }
    bench_network::<Emotion>(&mut criterion)?;
    bench_network::<Gender>(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

/// A frame of a camera that looks at one face.
struct Scene {
    bgr: Mat,
    gray: Mat,
    face: BoundingBox,
    name: String,
}

impl Scene {
    fn new((width, height): (i32, i32), parameters: &Parameters) -> anyhow::Result<Self> {
        let portrait = read_bgr(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/astronaut.jpg"))?;
        let bgr = MovingPicture::new(portrait, Size::new(width, height)).next().context("no frame")??;
        let gray = Frame::from_bgr(&bgr)?.to_gray()?;
        let detector = &parameters.pipeline.faces.detector;
        let faces = Cascades::load(detector)?.detect(&gray, detector)?;
        ensure!(faces.len() == 1, "the frame of {width}x{height} shows {} faces", faces.len());
        Ok(Self { bgr, gray, face: faces[0].roi, name: format!("{width}x{height}") })
    }
}

/// The search of the whole frame, which is spread over several frames, that in the window about a known face, and the cascades.
fn bench_detection(criterion: &mut Criterion, scene: &Scene, parameters: &Parameters) -> anyhow::Result<()> {
    let parameters = &parameters.pipeline.faces;
    let (longer_side_px, min_confidence) = (parameters.search.longer_side, parameters.search.min_confidence as f32);
    let mut network = SearchNetwork::load(None)?;
    criterion.bench_function(&format!("search/{}", scene.name), |bencher| {
        bencher.iter(|| network.search(&scene.bgr, longer_side_px, min_confidence));
    });
    let window = scene.face.square_with_margin(0.5);
    criterion.bench_function(&format!("search_in_window/{}", scene.name), |bencher| {
        bencher.iter(|| network.search_in(&scene.bgr, window, min_confidence));
    });
    let mut cascades = Cascades::load(&parameters.detector)?;
    criterion.bench_function(&format!("cascades/{}", scene.name), |bencher| {
        bencher.iter(|| cascades.detect(&scene.gray, &parameters.detector));
    });
    Ok(())
}

fn bench_crop(criterion: &mut Criterion, scene: &Scene, parameters: &Parameters) -> anyhow::Result<()> {
    let size = Model::from_bytes("built-in gender", Gender::MODEL, &Gender::outputs())?.input_size();
    criterion.bench_function(&format!("crop/{}", scene.name), |bencher| {
        bencher.iter(|| crop_face(&scene.gray, scene.face, parameters.pipeline.attributes.gender.margin, size));
    });
    Ok(())
}

fn bench_network<A: BuiltIn>(criterion: &mut Criterion) -> anyhow::Result<()> {
    let model = Model::from_bytes(&format!("built-in {}", A::TASK), A::MODEL, &A::outputs())?;
    let pixels: Vec<u8> = (0..model.input_size().area()).map(|pixel| (pixel % 251) as u8).collect();
    model.run(&pixels)?;
    criterion.bench_function(&format!("network/{}", A::TASK), |bencher| bencher.iter(|| model.run(&pixels)));
    for method in [Method::Guided, Method::Gradient, Method::GradCam] {
        let explainer = Explainer::of_classes(&model, method)?;
        explainer.explain(&pixels, Neuron::class(0))?;
        let name = format!("saliency/{}/{method:?}", A::TASK);
        criterion.bench_function(&name, |bencher| bencher.iter(|| explainer.explain(&pixels, Neuron::class(0))));
    }
    Ok(())
}

fn bench_pipeline(criterion: &mut Criterion, scene: &Scene, parameters: &Parameters) -> anyhow::Result<()> {
    let mut pipeline = Pipeline::load(parameters.pipeline.clone())?;
    let frame = Frame::from_bgr(&scene.bgr)?;
    let mut time = Duration::ZERO;
    criterion.bench_function(&format!("process/{}", scene.name), |bencher| {
        bencher.iter(|| {
            time += FRAME_TIME;
            pipeline.process(&frame, time)
        });
    });
    Ok(())
}
