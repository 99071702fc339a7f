//! `face_attributes detect`: the pipeline on images, folders, videos and cameras.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use face_attributes::attributes::FaceAttributes;
use face_attributes::draw::draw_faces;
use face_attributes::faces::FaceIds;
use face_attributes::frame::Frame;
use face_attributes::pipeline::{Pipeline, Scene};
use face_attributes::runtime::set_opencv_threads;
use face_attributes_tools::parameters::read_parameters;
use face_attributes_tools::report::{FaceReport, FrameReport};
use face_attributes_tools::source::{Content, Entry, Folder, Picture, Source};
use face_attributes_tools::timeline::{Timeline, plot_timeline};
use indicatif::ProgressBar;
use opencv::core::Mat;
use opencv::imgcodecs::{have_image_writer, imwrite_def};
use opencv::prelude::*;

use crate::outcome::Outcome;
use crate::progress::{correct_length, print_left_out, progress_bar};

/// Find and classify the faces in images, video files, folders of them, and cameras.
#[derive(clap::Args)]
pub struct Args {
    /// ROS 2 parameter file, the same that the node reads.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// Print one JSON object per frame, each on a line of its own.
    #[arg(long)]
    json: bool,
    /// Write each picture with its faces drawn into this folder, which is made if need be.
    #[arg(long, value_name = "DIR")]
    annotate: Option<PathBuf>,
    /// Draw the probabilities of each person over time into this file: thick what holds, pale the answers for each picture. Takes
    /// one video file.
    #[arg(long, value_name = "FILE.png")]
    plot: Option<PathBuf>,
    /// Image files, video files, folders of them, or a camera such as /dev/video0.
    #[arg(required = true, value_name = "PATH")]
    inputs: Vec<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let parameters = read_parameters(args.params.as_deref())?;
    if let Some(plot) = &args.plot {
        ensure_has_times(&args.inputs)?;
        ensure_writable(plot)?;
    }
    if let Some(folder) = &args.annotate {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    set_opencv_threads(parameters.pipeline.faces.detector.threads)?;
    let mut detection = Detection {
        args,
        pipeline: Pipeline::load(parameters.pipeline)?,
        progress: progress_bar("pictures"),
        written: HashSet::new(),
        timeline: Timeline::default(),
        failed: false,
    };
    for input in &args.inputs {
        if !input.is_dir() {
            detection.files(std::slice::from_ref(input))?;
            continue;
        }
        match Folder::files(input, &[Entry::Image, Entry::Video]) {
            Ok((files, left_out)) => {
                print_left_out(&detection.progress, &left_out);
                detection.files(&files)?;
            }
            Err(error) => detection.fail(&error.into()),
        }
    }
    detection.progress.finish_and_clear();
    if let (Some(plot), [input]) = (&args.plot, args.inputs.as_slice()) {
        detection.plot(input, plot)?;
    }
    Ok(if detection.failed { Outcome::AnInputFailed } else { Outcome::Done })
}

/// Only a video file has times, and an end.
fn ensure_has_times(inputs: &[PathBuf]) -> anyhow::Result<()> {
    let [input] = inputs else { bail!("--plot takes one video file, got {} inputs", inputs.len()) };
    let name = input.display();
    ensure!(!input.is_dir(), "--plot takes one video file, and {name} is a folder");
    // What is missing or unreadable is an input that fails.
    ensure!(input.is_file() || !input.exists(), "--plot takes one video file, and {name} has no end");
    let is_image = input.is_file() && Content::of(input).is_ok_and(|content| content == Content::Image);
    ensure!(!is_image, "--plot takes one video file, and {name} is a still picture, which has no time axis");
    Ok(())
}

/// Finds most reasons why a picture cannot be written before the work is done.
fn ensure_writable(picture: &Path) -> anyhow::Result<()> {
    let name = picture.display();
    ensure!(!picture.is_dir(), "cannot write {name}: it is a folder");
    let folder = picture.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(folder.is_dir(), "cannot write {name}: there is no folder {}", folder.display());
    let is_format_known = have_image_writer(picture).unwrap_or(false);
    ensure!(is_format_known, "cannot write {name}: its ending is not that of a picture, for example .png");
    Ok(())
}

struct Detection<'a> {
    args: &'a Args,
    pipeline: Pipeline,
    progress: ProgressBar,
    /// Annotated pictures written so far: files of the same name in different folders must not overwrite each other.
    written: HashSet<PathBuf>,
    /// Filled where a plot is wanted.
    timeline: Timeline,
    failed: bool,
}

impl Detection<'_> {
    fn files(&mut self, files: &[PathBuf]) -> anyhow::Result<()> {
        self.progress.inc_length(files.len() as u64);
        for file in files {
            // Each file is a recording of its own, whose ids begin at 1.
            self.pipeline.begin_recording(FaceIds::of_camera(0));
            match Source::open(file) {
                Ok(source) => self.pictures(file, source)?,
                Err(error) => {
                    self.fail(&error.into());
                    self.progress.inc(1);
                }
            }
        }
        Ok(())
    }

    fn pictures(&mut self, file: &Path, source: Source) -> anyhow::Result<()> {
        let (is_image, count) = (source.is_image(), source.picture_count().unwrap_or(1));
        // Of each file, one picture is counted already.
        self.progress.inc_length(count.saturating_sub(1));
        let mut pictures = 0;
        for (number, picture) in (0..).zip(source) {
            // A file that fails is skipped. An output that fails ends the work.
            match picture
                .map_err(Into::into)
                .and_then(|picture| Ok((self.process(file, &picture, is_image)?, picture.bgr)))
            {
                Ok((scene, bgr)) => {
                    self.print(file, number, &bgr, &scene.faces)?;
                    if self.args.plot.is_some() {
                        self.timeline.add(&scene);
                    }
                    self.annotate(file, (!is_image).then_some(number), bgr, &scene)?;
                    for failure in &scene.failures {
                        self.fail(&anyhow!("{} frame {number}: {failure}", file.display()));
                    }
                }
                Err(error) => self.fail(&error),
            }
            self.progress.inc(1);
            pictures += 1;
        }
        correct_length(&self.progress, count.max(1), pictures);
        Ok(())
    }

    fn process(&mut self, file: &Path, picture: &Picture, is_still: bool) -> anyhow::Result<Scene> {
        let frame = Frame::from_bgr(&picture.bgr).with_context(|| file.display().to_string())?;
        let pipeline = &mut self.pipeline;
        let scene = if is_still { pipeline.process_still(&frame) } else { pipeline.process(&frame, picture.time) };
        scene.with_context(|| file.display().to_string())
    }

    fn print(&self, file: &Path, number: u64, bgr: &Mat, faces: &[FaceAttributes]) -> anyhow::Result<()> {
        let report = FrameReport {
            file: file.display().to_string(),
            frame: number,
            width: bgr.cols() as usize,
            height: bgr.rows() as usize,
            faces: faces.iter().map(FaceReport::from).collect(),
        };
        let line = if self.args.json { serde_json::to_string(&report)? } else { report.to_string() };
        self.progress.suspend(|| writeln!(io::stdout(), "{line}"))?;
        Ok(())
    }

    fn annotate(&mut self, file: &Path, number: Option<u64>, mut bgr: Mat, scene: &Scene) -> anyhow::Result<()> {
        let Some(folder) = &self.args.annotate else { return Ok(()) };
        draw_faces(&mut bgr, &scene.faces, scene.time)?;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let stem = number.map_or_else(|| stem.to_string(), |number| format!("{stem}_{number:06}"));
        let names = (1..).map(|n| if n == 1 { format!("{stem}_faces.png") } else { format!("{stem}_faces_{n}.png") });
        let path = names.map(|name| folder.join(name)).find(|path| !self.written.contains(path)).unwrap_or_default();
        let written = imwrite_def(&path, &bgr).with_context(|| format!("cannot write {}", path.display()))?;
        anyhow::ensure!(written, "cannot write {}", path.display());
        self.written.insert(path);
        Ok(())
    }

    /// Draws what was found in `video`. Where nothing could be read, the reason was said.
    fn plot(&mut self, video: &Path, plot: &Path) -> anyhow::Result<()> {
        let name = video.display();
        if self.timeline.is_empty() {
            return Ok(());
        }
        if self.timeline.duration().is_zero() {
            self.fail(&anyhow!("{name}: nothing to plot, as no time passes from its first picture to its last one"));
            return Ok(());
        }
        let title = video.file_name().unwrap_or_default().to_string_lossy();
        Ok(plot_timeline(&self.timeline, &title, plot)?)
    }

    fn fail(&mut self, error: &anyhow::Error) {
        self.failed = true;
        self.progress.suspend(|| eprintln!("error: {error:#}"));
    }
}
