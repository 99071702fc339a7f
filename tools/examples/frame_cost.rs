//! CPU time of the pipeline per frame: `render` writes frames that any program can read (for scripts/compare_with_python),
//! `measure` processes them, or those of a video.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use cpu_time::ProcessTime;
use face_attributes::faces::FaceIds;
use face_attributes::frame::Frame;
use face_attributes::pipeline::Pipeline;
use face_attributes::runtime::set_opencv_threads;
use face_attributes_tools::moving_picture::{MovingPicture, PERIOD_FRAMES};
use face_attributes_tools::parameters::read_parameters;
use face_attributes_tools::source::{Entry, Folder, Picture, Source, read_bgr};
use opencv::core::Size;
use opencv::imgcodecs::imwrite_def;
use serde_json::json;

/// Time from one frame to the next of a camera at 30 Hz.
const FRAME_TIME: Duration = Duration::from_micros(33_333);

/// Render frames with one face, or measure the pipeline's CPU time on them.
#[derive(Parser)]
enum Command {
    /// Write a picture that moves as a camera's frames.
    Render {
        /// Picture with one face.
        picture: PathBuf,
        /// Folder for the frames, which is made if need be.
        folder: PathBuf,
        /// Number of frames, evenly spread over the motion.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=i64::from(PERIOD_FRAMES)))]
        frames: u32,
        /// Width of the frames in pixels.
        #[arg(long, default_value_t = 640)]
        width: i32,
        /// Height of the frames in pixels.
        #[arg(long, default_value_t = 480)]
        height: i32,
    },
    /// Process all frames and print the CPU time of all threads as a JSON object.
    Measure {
        /// Folder of frames of a camera at 30 Hz, or a video.
        frames: PathBuf,
        /// Parameter file (YAML), as for the node.
        #[arg(long)]
        params: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Render { picture, folder, frames, width, height } => {
            let scene = MovingPicture::new(read_bgr(&picture)?, Size::new(width, height));
            render(scene, &folder, frames)
        }
        Command::Measure { frames, params } => measure(&frames, params.as_deref()),
    }
}

fn render(scene: MovingPicture, folder: &Path, frames: u32) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let step = (PERIOD_FRAMES / frames) as usize;
    for (number, frame) in scene.step_by(step).take(frames as usize).enumerate() {
        let path = folder.join(format!("{number:04}.png"));
        ensure!(imwrite_def(&path, &frame?)?, "cannot write {}", path.display());
    }
    Ok(())
}

fn measure(frames: &Path, params: Option<&Path>) -> anyhow::Result<()> {
    let parameters = read_parameters(params)?;
    set_opencv_threads(parameters.pipeline.faces.detector.threads)?;
    let mut pipeline = Pipeline::load(parameters.pipeline)?;
    let pictures = pictures(frames)?;
    let frames = pictures.iter().map(|picture| Frame::from_bgr(&picture.bgr)).collect::<Result<Vec<_>, _>>()?;
    ensure!(!frames.is_empty(), "no frame");
    // A new recording of the same camera does not pay for memory that was taken once.
    pipeline.process(&frames[0], pictures[0].time)?;
    pipeline.begin_recording(FaceIds::of_camera(0));

    let (mut faces, mut times_ms) = (0, Vec::new());
    for (frame, picture) in frames.iter().zip(&pictures) {
        let start = ProcessTime::now();
        faces += pipeline.process(frame, picture.time)?.faces.len();
        times_ms.push(1e3 * start.elapsed().as_secs_f64());
    }
    let mean = times_ms.iter().sum::<f64>() / times_ms.len() as f64;
    let first = times_ms[0];
    times_ms.sort_by(f64::total_cmp);
    let quantile = |share: f64| times_ms[((times_ms.len() - 1) as f64 * share).round() as usize];
    let report = json!({
        "cpu_ms_per_frame": mean, "p50": quantile(0.5), "p99": quantile(0.99), "max": quantile(1.0), "first": first,
        "frames": times_ms.len(), "faces": faces,
    });
    println!("{report}");
    Ok(())
}

/// The frames of a folder, which follow one another at 30 Hz, or of a video.
fn pictures(path: &Path) -> anyhow::Result<Vec<Picture>> {
    if !path.is_dir() {
        return Ok(Source::open(path)?.collect::<Result<_, _>>()?);
    }
    let (files, _) = Folder::files(path, &[Entry::Image])?;
    let picture = |(number, file): (u32, &PathBuf)| Ok(Picture { bgr: read_bgr(file)?, time: number * FRAME_TIME });
    (0..).zip(&files).map(picture).collect()
}
