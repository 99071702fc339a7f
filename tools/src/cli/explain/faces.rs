//! The faces in pictures, each explained.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use face_attributes::attributes::BuiltIn;
use face_attributes::attributes::crop::TiltedFace;
use face_attributes::draw::{Row, Tile, draw_sheet};
use face_attributes::draw::{display, draw_saliency};
use face_attributes::faces::{BoundingBox, FaceFinder, FaceIds, FinderParameters};
use face_attributes::frame::Frame;
use face_attributes_tools::report::RoiReport;
use face_attributes_tools::source::{Entry, Folder, read_bgr, read_gray};
use indicatif::ProgressBar;
use opencv::core::Mat;
use opencv::imgproc::{COLOR_GRAY2BGR, cvt_color_def};
use opencv::prelude::*;
use serde::Serialize;

use super::explanation::{Explained, Explanation};
use super::{Args, write_picture};
use crate::outcome::Outcome;
use crate::progress::print_left_out;

/// What is known of one face, as data for other programs.
#[derive(Serialize)]
struct FaceReport<'a> {
    file: String,
    roi: RoiReport,
    task: &'static str,
    method: &'static str,
    /// The class that is explained, `null` where it is a neuron.
    target: Option<&'static str>,
    layer: Option<&'a str>,
    /// Channel, row, column.
    neuron: Option<[usize; 3]>,
    label: &'static str,
    probabilities: &'a [f32],
    width: i32,
    height: i32,
    pixels: &'a [u8],
    saliency: &'a [f32],
}

pub fn run<A: BuiltIn>(
    args: &Args,
    parameters: &FinderParameters,
    explanation: &Explanation<A>,
) -> anyhow::Result<Outcome> {
    let finder = if args.cropped { None } else { Some(FaceFinder::load(parameters, FaceIds::of_camera(0))?) };
    let mut faces = Faces { args, parameters, explanation, finder, rows: Vec::new(), failed: false };
    for path in &args.images {
        if !path.is_dir() {
            faces.files(std::slice::from_ref(path))?;
            continue;
        }
        match Folder::files(path, &[Entry::Image]) {
            Ok((files, left_out)) => {
                print_left_out(&ProgressBar::hidden(), &left_out);
                faces.files(&files)?;
            }
            Err(error) => faces.fail(&error.into()),
        }
    }
    if !faces.rows.is_empty() {
        write_picture(args, &draw_sheet(&faces.rows)?)?;
    } else if faces.draws() {
        let out = args.picture_path();
        faces.fail(&anyhow!("no face was found, so {} is not written", out.display()));
    }
    Ok(if faces.failed { Outcome::AnInputFailed } else { Outcome::Done })
}

struct Faces<'a, A> {
    args: &'a Args,
    parameters: &'a FinderParameters,
    explanation: &'a Explanation<A>,
    /// `None` where each picture is a face.
    finder: Option<FaceFinder>,
    rows: Vec<Row>,
    failed: bool,
}

impl<A: BuiltIn> Faces<'_, A> {
    fn files(&mut self, files: &[PathBuf]) -> anyhow::Result<()> {
        for file in files {
            // A file that fails is skipped. An output that fails ends the work.
            match self.explain(file).with_context(|| file.display().to_string()) {
                Ok(faces) => {
                    if faces.is_empty() {
                        eprintln!("no face: {}", file.display());
                    }
                    for (face, explained) in faces {
                        self.report(file, face, &explained)?;
                    }
                }
                Err(error) => self.fail(&error),
            }
        }
        Ok(())
    }

    fn explain(&mut self, file: &Path) -> anyhow::Result<Vec<(BoundingBox, Explained<A>)>> {
        let (gray, faces) = match &mut self.finder {
            None => {
                let gray = read_gray(file)?;
                let whole = BoundingBox::of_image(gray.cols(), gray.rows());
                (gray, vec![whole.into()])
            }
            Some(finder) => {
                let bgr = read_bgr(file)?;
                let frame = Frame::from_bgr(&bgr)?;
                let gray = frame.to_gray()?;
                let found = finder.find_in_still(&frame, &gray, self.parameters)?;
                (gray, found.iter().map(|face| TiltedFace::new(face.roi, face.landmarks.as_ref())).collect())
            }
        };
        faces.into_iter().map(|face| Ok((face.roi, self.explanation.explain(&gray, face)?))).collect()
    }

    fn report(&mut self, file: &Path, face: BoundingBox, explained: &Explained<A>) -> anyhow::Result<()> {
        if self.args.json {
            let report = self.json(file, face, explained)?;
            writeln!(io::stdout(), "{report}")?;
        }
        if self.draws() {
            self.rows.push(self.row(file, explained)?);
        }
        Ok(())
    }

    /// Whether a picture is wanted.
    fn draws(&self) -> bool {
        self.args.out.is_some() || !self.args.json
    }

    fn json(&self, file: &Path, face: BoundingBox, explained: &Explained<A>) -> anyhow::Result<String> {
        let Explained { crop, estimate, class, saliency } = explained;
        let BoundingBox { x, y, width, height } = face;
        let report = FaceReport {
            file: file.display().to_string(),
            roi: RoiReport { x, y, width, height },
            task: A::TASK,
            method: self.args.method.name(),
            target: class.map(A::name),
            layer: self.args.layer.as_deref(),
            neuron: self.args.neuron.map(|neuron| [neuron.channel, neuron.row, neuron.column]),
            label: estimate.name(),
            probabilities: &estimate.probabilities,
            width: crop.cols(),
            height: crop.rows(),
            pixels: crop.data_bytes()?,
            saliency: &saliency.values,
        };
        Ok(serde_json::to_string(&report)?)
    }

    /// The crop, its saliency, and both in one.
    fn row(&self, file: &Path, explained: &Explained<A>) -> anyhow::Result<Row> {
        let Explained { crop, estimate, class, saliency } = explained;
        let mut both = Mat::default();
        cvt_color_def(crop, &mut both, COLOR_GRAY2BGR)?;
        draw_saliency(&mut both, BoundingBox::of_image(crop.cols(), crop.rows()), 0.0, saliency)?;
        let answer = format!("{} {:.0}%", estimate.name(), 100.0 * estimate.confidence);
        let target = class.map_or_else(|| self.args.layer.clone().unwrap_or_default(), |class| class.name().to_owned());
        Ok(Row {
            name: short_name(file),
            tiles: vec![
                Tile { picture: crop.clone(), caption: answer },
                Tile { picture: display(saliency)?, caption: target },
                Tile { picture: both, caption: String::new() },
            ],
        })
    }

    fn fail(&mut self, error: &anyhow::Error) {
        self.failed = true;
        eprintln!("error: {error:#}");
    }
}

/// As much of a file's name as a sheet has room for.
fn short_name(file: &Path) -> String {
    const CHARACTERS: usize = 10;
    file.file_stem().unwrap_or_default().to_string_lossy().chars().take(CHARACTERS).collect()
}
