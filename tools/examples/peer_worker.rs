//! This project as one of the programs that `benches/peers/run` measures side by side.
//!
//! It reads one JSON object per line from standard input, does the work, and writes one JSON object with the wall time and the
//! CPU time of the work. Reading the input is not part of the measured time. benches/peers/README.md describes the objects.

use std::fs;
use std::io::{BufRead, Write, stdin, stdout};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use cpu_time::ProcessTime;
use face_attributes::attributes::{BuiltIn, Emotion, Estimate, Gender};
use face_attributes::faces::{BoundingBox, FaceFinder, FaceIds, SearchNetwork};
use face_attributes::frame::Frame;
use face_attributes::network::Model;
use face_attributes::parameters::Parameters;
use face_attributes::pipeline::{Networks, Pipeline, PipelineParameters};
use face_attributes::runtime::set_opencv_threads;
use opencv::core::{CV_8UC3, Mat};
use opencv::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use tract_onnx::prelude::*;

/// What is measured.
#[derive(Parser)]
enum Work {
    /// Finding faces and classifying them, as the node does it.
    Pipeline,
    /// Finding and following faces alone.
    Finder,
    /// One pass through a network.
    Network {
        /// The network.
        task: Task,
        /// What runs it.
        engine: Engine,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Task {
    Emotion,
    Gender,
    Search,
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    /// As the node runs it.
    Kernels,
    /// In tract alone.
    Tract,
}

/// One line of standard input.
#[derive(Deserialize)]
struct Request {
    /// File of the frame or of the network's picture: blue, green, red, or grey; 8 bits, row by row.
    picture: PathBuf,
    width: i32,
    height: i32,
    /// When the frame was taken.
    #[serde(default)]
    time_us: u64,
    /// Number of the camera.
    #[serde(default)]
    camera: u16,
    /// Whether the frame begins another recording.
    #[serde(default)]
    begins: bool,
    /// Number of passes through a network.
    #[serde(default = "one")]
    runs: usize,
    /// Where the network's outputs go, as 32-bit numbers.
    outputs: Option<PathBuf>,
}

fn one() -> usize {
    1
}

impl Request {
    fn bgr(&self) -> anyhow::Result<Mat> {
        let bytes = self.bytes(3)?;
        let mut bgr = Mat::new_rows_cols_with_default(self.height, self.width, CV_8UC3, 0.0.into())?;
        bgr.data_bytes_mut()?.copy_from_slice(&bytes);
        Ok(bgr)
    }

    fn bytes(&self, channels: usize) -> anyhow::Result<Vec<u8>> {
        let bytes = fs::read(&self.picture).with_context(|| format!("cannot read {}", self.picture.display()))?;
        let expected = (self.width * self.height) as usize * channels;
        ensure!(bytes.len() == expected, "{}: {} bytes, expected {expected}", self.picture.display(), bytes.len());
        Ok(bytes)
    }
}

fn main() -> anyhow::Result<()> {
    let work = Work::parse();
    let parameters = Parameters::default().pipeline;
    set_opencv_threads(1)?;
    match work {
        Work::Pipeline => serve(pipeline(parameters)?),
        Work::Finder => serve(finder(parameters)),
        Work::Network { task: Task::Emotion, engine } => serve(classifier::<Emotion>(engine)?),
        Work::Network { task: Task::Gender, engine } => serve(classifier::<Gender>(engine)?),
        Work::Network { task: Task::Search, engine: Engine::Kernels } => serve(search_in_kernels()?),
        Work::Network { task: Task::Search, engine: Engine::Tract } => serve(search_in_tract()),
    }
}

/// Answers all requests.
fn serve(mut answer: impl FnMut(&Request) -> anyhow::Result<Value>) -> anyhow::Result<()> {
    println!("{}", json!({ "ready": true }));
    for line in stdin().lock().lines() {
        let answer = answer(&serde_json::from_str(&line?)?)?;
        println!("{answer}");
        stdout().flush()?;
    }
    Ok(())
}

/// Wall times and CPU times of some runs of the same work, in milliseconds.
#[derive(Default)]
struct Times {
    wall_ms: Vec<f64>,
    cpu_ms: Vec<f64>,
}

impl Times {
    fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (wall, cpu) = (Instant::now(), ProcessTime::now());
        let result = work();
        self.cpu_ms.push(1e3 * cpu.elapsed().as_secs_f64());
        self.wall_ms.push(1e3 * wall.elapsed().as_secs_f64());
        result
    }

    fn answer(self, faces: Vec<Value>) -> Value {
        json!({ "wall_ms": self.wall_ms, "cpu_ms": self.cpu_ms, "faces": faces })
    }
}

/// Pipelines of several cameras, which share their networks as in the node.
fn pipeline(parameters: PipelineParameters) -> anyhow::Result<impl FnMut(&Request) -> anyhow::Result<Value>> {
    let networks = Networks::load(&parameters)?;
    let mut cameras: Vec<Pipeline> = Vec::new();
    Ok(move |request: &Request| {
        for camera in cameras.len()..=usize::from(request.camera) {
            let ids = FaceIds::of_camera(u16::try_from(camera)?);
            cameras.push(Pipeline::with_networks(parameters.clone(), &networks, ids)?);
        }
        let camera = &mut cameras[usize::from(request.camera)];
        if request.begins {
            camera.begin_recording(FaceIds::of_camera(request.camera));
        }
        let bgr = request.bgr()?;
        let mut times = Times::default();
        let scene = times.measure(|| -> anyhow::Result<_> {
            Ok(camera.process(&Frame::from_bgr(&bgr)?, Duration::from_micros(request.time_us))?)
        })?;
        let faces = scene.faces.iter().map(|face| {
            json!({
                "box": corners(face.roi),
                "emotion": face.emotion.as_ref().map(Estimate::name),
                "gender": face.gender.as_ref().map(Estimate::name),
            })
        });
        Ok(times.answer(faces.collect()))
    })
}

fn finder(parameters: PipelineParameters) -> impl FnMut(&Request) -> anyhow::Result<Value> {
    let parameters = parameters.faces;
    let (mut finder, mut gray) = (None, Mat::default());
    move |request| {
        let finder = match &mut finder {
            Some(finder) => finder,
            empty => empty.insert(FaceFinder::load(&parameters, FaceIds::of_camera(0))?),
        };
        if request.begins {
            finder.begin_recording(FaceIds::of_camera(0));
        }
        let bgr = request.bgr()?;
        let mut times = Times::default();
        let found = times.measure(|| -> anyhow::Result<_> {
            let frame = Frame::from_bgr(&bgr)?;
            frame.write_gray(&mut gray)?;
            Ok(finder.find(&frame, &gray, Duration::from_micros(request.time_us), &parameters)?)
        })?;
        Ok(times.answer(found.iter().map(|face| json!({ "box": corners(face.roi) })).collect()))
    }
}

/// Left, top, right and bottom in pixels.
fn corners(roi: BoundingBox) -> [i32; 4] {
    [roi.x, roi.y, roi.x + roi.width, roi.y + roi.height]
}

type Answer = Box<dyn FnMut(&Request) -> anyhow::Result<Value>>;

/// A classifier's pass from 8-bit pixels to probabilities.
fn classifier<A: BuiltIn>(engine: Engine) -> anyhow::Result<Answer> {
    let model = Model::from_bytes(&format!("built-in {}", A::TASK), A::MODEL, &A::outputs())?;
    if matches!(engine, Engine::Tract) {
        return Ok(Box::new(in_tract(A::MODEL, 1, |pixel| (f32::from(pixel) / 255.0 - 0.5) * 2.0)));
    }
    Ok(Box::new(move |request| {
        let pixels = request.bytes(1)?;
        let mut times = Times::default();
        let mut probabilities = Vec::new();
        for _ in 0..request.runs {
            probabilities = times.measure(|| model.run(&pixels))?;
        }
        write_outputs(request, &probabilities)?;
        Ok(times.answer(Vec::new()))
    }))
}

/// The search of a picture of the network's own size, from 8-bit pixels to faces. The faces carry their confidence.
fn search_in_kernels() -> anyhow::Result<Answer> {
    let mut network = SearchNetwork::load(None)?;
    Ok(Box::new(move |request| {
        let bgr = request.bgr()?;
        let mut times = Times::default();
        let mut found = Vec::new();
        for _ in 0..request.runs {
            found = times.measure(|| network.search(&bgr, request.width.max(request.height), LEAST_CONFIDENCE))?;
        }
        let faces = found.iter().map(|face| json!({ "box": corners(face.roi), "confidence": face.confidence }));
        Ok(times.answer(faces.collect()))
    }))
}

/// Low enough for the most probable face of any picture to be among the answers.
const LEAST_CONFIDENCE: f32 = 0.01;

/// The search network takes red, green and blue from 0 to 255.
fn search_in_tract() -> Answer {
    Box::new(in_tract(SearchNetwork::BUILT_IN, 3, f32::from))
}

/// A pass in tract alone, from numbers to numbers.
fn in_tract(
    file: &'static [u8],
    channels: usize,
    scale: impl Fn(u8) -> f32,
) -> impl FnMut(&Request) -> anyhow::Result<Value> {
    let mut plan = None;
    move |request| {
        let shape = [1, channels, request.height as usize, request.width as usize];
        let plan = match &mut plan {
            Some((planned, plan)) if *planned == shape => plan,
            other => {
                let network = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
                let network = network.model_for_read(&mut &*file)?.with_input_fact(0, f32::fact(shape).into())?;
                &mut other.insert((shape, network.into_optimized()?.into_runnable()?)).1
            }
        };
        let pixels = request.bytes(channels)?;
        // From blue, green and red in each pixel to planes of red, green and blue.
        let planes = (0..channels).rev().flat_map(|channel| pixels.iter().skip(channel).step_by(channels));
        let values: Vec<f32> = planes.map(|pixel| scale(*pixel)).collect();
        let input = Tensor::from_shape(&shape, &values)?;
        let mut times = Times::default();
        let mut outputs = tvec!();
        for _ in 0..request.runs {
            outputs = times.measure(|| plan.run(tvec!(input.clone().into())))?;
        }
        let views = outputs.iter().map(|output| Ok(output.to_plain_array_view::<f32>()?.iter().copied().collect()));
        write_outputs(request, &views.collect::<anyhow::Result<Vec<Vec<f32>>>>()?.concat())?;
        Ok(times.answer(Vec::new()))
    }
}

fn write_outputs(request: &Request, outputs: &[f32]) -> anyhow::Result<()> {
    let Some(path) = &request.outputs else { return Ok(()) };
    let bytes: Vec<u8> = outputs.iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
