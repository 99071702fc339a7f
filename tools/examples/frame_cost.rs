//! CPU time of the pipeline per frame, for scripts/compare_with_python: `render` writes frames that any program can read,
//! `measure` processes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use cpu_time::ProcessTime;
use face_attributes::frame::Frame;
use face_attributes::parameters::Parameters;
use face_attributes::pipeline::Pipeline;
use face_attributes_tools::moving_picture::{MovingPicture, PERIOD_FRAMES};
use face_attributes_tools::source::{Entry, Folder, read_bgr};
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
    /// Process all frames of a folder and print the CPU time of all threads as a JSON object.
    Measure {
        /// Folder of frames.
        folder: PathBuf,
        /// The parameter detector.min_face_size.
        #[arg(long)]
        min_face_size: Option<f64>,
    },
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Render { picture, folder, frames, width, height } => {
            let scene = MovingPicture::new(read_bgr(&picture)?, Size::new(width, height));
            render(scene, &folder, frames)
        }
        Command::Measure { folder, min_face_size } => measure(&folder, min_face_size),
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

fn measure(folder: &Path, min_face_size: Option<f64>) -> anyhow::Result<()> {
    let mut parameters = Parameters::default();
    if let Some(fraction) = min_face_size {
        parameters.set("detector.min_face_size", &fraction.into())?;
    }
    let mut pipeline = Pipeline::load(parameters.pipeline)?;
    let (files, _) = Folder::files(folder, &[Entry::Image])?;
    let pictures = files.iter().map(|path| read_bgr(path)).collect::<Result<Vec<_>, _>>()?;
    let frames = pictures.iter().map(Frame::from_bgr).collect::<Result<Vec<_>, _>>()?;
    // The first frame pays for memory that the others use again.
    pipeline.process(&frames[0], Duration::ZERO)?;

    let start = ProcessTime::now();
    let mut faces = 0;
    for (frame, number) in frames.iter().zip(1..) {
        faces += pipeline.process(frame, number * FRAME_TIME)?.faces.len();
    }
    let cpu_ms = 1e3 * start.elapsed().as_secs_f64();
    println!("{}", json!({"cpu_ms_per_frame": cpu_ms / frames.len() as f64, "faces": faces}));
    Ok(())
}
