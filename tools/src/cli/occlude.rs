//! `face_attributes occlude`: how a network's answers change when parts of the faces are hidden.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use face_attributes::attributes::crop::crop_face;
use face_attributes::attributes::{BuiltIn, Classifier};
use face_attributes::attributes::{Emotion, Gender};
use face_attributes::draw::{Row, Tile, draw_sheet};
use face_attributes::draw::{heat_map, picture_of, stretched};
use face_attributes::faces::BoundingBox;
use face_attributes::parameters::Parameters;
use face_attributes_tools::dataset::{DatasetSpec, Labelled, Picture, Sample};
use face_attributes_tools::mean_picture::MeanPicture;
use face_attributes_tools::occlusion::figures::{Mean, OcclusionFigures, Trial};
use face_attributes_tools::occlusion::map::sensitivity;
use face_attributes_tools::occlusion::mask::{FaceLayout, Mask, Occlusion, place_in_crop};
use face_attributes_tools::parameters::read_parameters;
use face_attributes_tools::task::Task;
use indicatif::ProgressBar;
use opencv::core::{Mat, Size};
use opencv::imgcodecs::imwrite_def;
use opencv::prelude::*;
use serde::Serialize;

use crate::outcome::Outcome;
use crate::progress::{print_left_out, progress_bar};
use crate::selection::spread;

/// Measure how a network's answers change when parts of faces are hidden or glasses are drawn on.
///
/// The images each show one face and little else. What is hidden is where the eyes, brows or mouth are in the mean face of
/// such images: roughly, for any one face.
#[derive(clap::Args)]
pub struct Args {
    /// What is classified.
    #[arg(long)]
    task: Task,
    #[command(flatten)]
    data: DatasetSpec,
    /// What is hidden; glasses are drawn on, with clear and with dark lenses, and in shapes that training never draws.
    #[arg(long, default_value = "all")]
    region: Region,
    /// What to add around the image on each side, as a fraction of its longer side, by continuing its border; 0.4 for
    /// utkface and 0 for the others where nothing is given.
    #[arg(long, value_name = "FRACTION")]
    margin: Option<f64>,
    /// ROS 2 parameter file, the same that the node reads; only the network is taken from it. Each picture counts as it is,
    /// without its mirror image.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// ONNX file of the network, in place of the one built in and of the parameter file's.
    #[arg(long, value_name = "FILE")]
    model: Option<String>,
    /// Draw where each class's probability is sensitive into this file: how far it falls when a window that slides over the
    /// face hides the place, in the mean over faces of the class.
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Faces of each class for that picture, spread evenly over its files: each costs some 200 runs of the network.
    #[arg(long, value_name = "N", default_value_t = 50, requires = "out")]
    average: usize,
    /// Print the figures as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Region {
    Eyes,
    Brows,
    Mouth,
    Glasses,
    All,
}

impl Region {
    fn occlusions(self) -> &'static [Occlusion] {
        match self {
            Self::Eyes => &[Occlusion::Eyes],
            Self::Brows => &[Occlusion::Brows],
            Self::Mouth => &[Occlusion::Mouth],
            Self::Glasses => Occlusion::GLASSES,
            Self::All => &Occlusion::ALL,
        }
    }
}

pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    match args.task {
        Task::Emotion => run_task::<Emotion>(args),
        Task::Gender => run_task::<Gender>(args),
    }
}

fn run_task<A: BuiltIn + Labelled>(args: &Args) -> anyhow::Result<Outcome> {
    let parameters = parameters(args)?;
    let parameters = args.task.parameters(&parameters.pipeline.attributes);
    let dataset = args.data.load::<A>()?;
    let layout = FaceLayout::of(args.data.format)
        .with_context(|| format!("it is not known where eyes and mouths are in {} pictures", args.data.format))?;
    dataset.refused.iter().for_each(|error| eprintln!("error: {error}"));
    let occlusions = args.region.occlusions();
    let mut study = Study {
        classifier: Classifier::load(parameters.model_path())?,
        margin: parameters.margin,
        layout,
        occlusions,
        masks: None,
        trials: vec![Vec::new(); occlusions.len()],
        progress: progress_bar("faces"),
        failed: dataset.refused.len() as u64,
    };
    print_left_out(&study.progress, &dataset.left_out);
    study.hide_regions(&dataset.samples);
    let report = study.report();
    let text = if args.json { serde_json::to_string(&report)? } else { report.to_text() };
    writeln!(io::stdout(), "{text}")?;
    if let Some(path) = &args.out {
        let sheet = draw_sheet(&study.maps(&dataset.samples, args.average)?)?;
        let written = imwrite_def(path, &sheet).with_context(|| format!("cannot write {}", path.display()))?;
        anyhow::ensure!(written, "cannot write {}", path.display());
    }
    Ok(if study.failed > 0 { Outcome::AnInputFailed } else { Outcome::Done })
}

/// The parameters with the options in place of what the file says.
fn parameters(args: &Args) -> anyhow::Result<Parameters> {
    let task = args.task.name();
    let margin = args.margin.unwrap_or(args.data.format.default_margin());
    let mut parameters = read_parameters(args.params.as_deref())?;
    parameters.set(&format!("{task}.margin"), &margin.into())?;
    if let Some(model) = &args.model {
        parameters.set(&format!("{task}.model"), &model.as_str().into())?;
    }
    Ok(parameters)
}

struct Study<A> {
    classifier: Classifier<A>,
    margin: f64,
    layout: FaceLayout,
    occlusions: &'static [Occlusion],
    /// One per occlusion, and the size of the pictures that they fit: mostly, that is the same for all.
    masks: Option<(Size, Vec<Mask>)>,
    /// By occlusion, one per face.
    trials: Vec<Vec<Trial>>,
    progress: ProgressBar,
    failed: u64,
}

impl<A: BuiltIn> Study<A> {
    fn hide_regions(&mut self, samples: &[Sample<A>]) {
        self.progress.set_length(samples.len() as u64);
        for sample in samples {
            if let Err(error) = self.hide_regions_in(sample) {
                self.fail(&sample.picture, &error);
            }
            self.progress.inc(1);
        }
        self.progress.finish_and_clear();
    }

    fn hide_regions_in(&mut self, sample: &Sample<A>) -> anyhow::Result<()> {
        let truth = sample.truth.position();
        let (crop, size) = self.crop(&sample.picture)?;
        let pixels = crop.data_bytes()?;
        let model = self.classifier.model();
        let before = model.run(pixels)?;
        let masks = self.masks.take().filter(|(of, _)| *of == size).map_or_else(|| self.new_masks(size), Ok)?;
        let after: Result<Vec<_>, _> = masks.1.iter().map(|mask| model.run(&mask.cover(pixels))).collect();
        self.masks = Some(masks);
        for (trials, after) in self.trials.iter_mut().zip(after?) {
            trials.push(Trial { truth, before: before.clone(), after });
        }
        Ok(())
    }

    fn new_masks(&self, picture: Size) -> anyhow::Result<(Size, Vec<Mask>)> {
        let size = self.classifier.model().input_size();
        let place = place_in_crop(picture, self.margin, size);
        let masks: Result<_, _> =
            self.occlusions.iter().map(|occlusion| Mask::new(*occlusion, self.layout, size, place)).collect();
        Ok((picture, masks?))
    }

    /// The crop that the network takes, and the size of the picture that it was made of.
    fn crop(&self, picture: &Picture) -> anyhow::Result<(Mat, Size)> {
        let gray = picture.read_gray()?;
        let whole = BoundingBox::of_image(gray.cols(), gray.rows());
        Ok((crop_face(&gray, whole, self.margin, self.classifier.model().input_size())?, gray.size()?))
    }

    /// By class, the mean face and how far the class's probability falls where it is hidden.
    fn maps(&mut self, samples: &[Sample<A>], count: usize) -> anyhow::Result<Vec<Row>> {
        let size = self.classifier.model().input_size();
        let (mut faces, mut falls, mut all) = (Vec::new(), Vec::new(), MeanPicture::default());
        for class in A::CLASSES {
            let of_class: Vec<_> = samples.iter().filter(|sample| sample.truth == *class).collect();
            let (mut face, mut fall) = (MeanPicture::default(), MeanPicture::default());
            for sample in spread(&of_class, count) {
                match self.sensitivity(sample) {
                    Ok((crop, map)) => {
                        let pixels = crop.data_bytes()?.iter().map(|pixel| f32::from(*pixel));
                        face.add(pixels.clone());
                        all.add(pixels);
                        fall.add(map.into_iter());
                    }
                    Err(error) => self.fail(&sample.picture, &error),
                }
            }
            if face.count() > 0 {
                faces.push(Tile { picture: stretched(&face.mean(), size)?, caption: class.name().to_owned() });
                let largest = fall.mean().into_iter().fold(0.0, f32::max);
                let caption = format!("falls by 0 to {:.0}%", 100.0 * largest);
                falls.push(Tile { picture: heat_map(&fall.mean(), size)?, caption });
            }
        }
        let row = |name: &str, tiles| Row { name: name.to_owned(), tiles };
        let hidden = if all.count() > 0 { self.hidden(&stretched(&all.mean(), size)?)? } else { Vec::new() };
        Ok(vec![row("mean face", faces), row("probability", falls), row("hidden", hidden)])
    }

    /// What the trials hid, shown on a face.
    fn hidden(&self, face: &Mat) -> anyhow::Result<Vec<Tile>> {
        let masks = self.masks.iter().flat_map(|(_, masks)| masks);
        let tile = |(occlusion, mask): (&Occlusion, &Mask)| {
            let picture = picture_of(&mask.cover(face.data_bytes()?), face.size()?)?;
            anyhow::Ok(Tile { picture, caption: occlusion.name().to_owned() })
        };
        self.occlusions.iter().zip(masks).map(tile).collect()
    }

    fn sensitivity(&self, sample: &Sample<A>) -> anyhow::Result<(Mat, Vec<f32>)> {
        let class = sample.truth.position();
        let (crop, _) = self.crop(&sample.picture)?;
        let model = self.classifier.model();
        let map = sensitivity(crop.data_bytes()?, model.input_size(), |pixels| {
            anyhow::Ok(model.run(pixels)?.get(class).copied().unwrap_or(0.0))
        })?;
        Ok((crop, map))
    }

    fn fail(&mut self, picture: &Picture, error: &anyhow::Error) {
        self.failed += 1;
        self.progress.suspend(|| eprintln!("error: {picture}: {error:#}"));
    }

    fn report(&self) -> Report {
        let occlusions = self.occlusions.iter().zip(&self.trials).map(|(occlusion, trials)| OcclusionReport {
            hidden: occlusion.name(),
            figures: OcclusionFigures::new(trials, A::CLASSES.len()),
        });
        Report {
            task: A::TASK,
            classes: A::CLASSES.iter().map(|class| class.name()).collect(),
            occlusions: occlusions.collect(),
            failed: self.failed,
        }
    }
}

#[derive(Serialize)]
struct Report {
    task: &'static str,
    classes: Vec<&'static str>,
    occlusions: Vec<OcclusionReport>,
    /// Image files that are not in the figures, as they could not be read or their names say too little.
    failed: u64,
}

#[derive(Serialize)]
struct OcclusionReport {
    hidden: &'static str,
    #[serde(flatten)]
    figures: OcclusionFigures,
}

impl Report {
    fn to_text(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        let columns = ["hidden", "answer changes", "its probability", "accuracy", "change"];
        let recalls = self.classes.iter().map(|class| format!("of {class}"));
        table.set_header(columns.map(str::to_owned).into_iter().chain(recalls));
        for OcclusionReport { hidden, figures } in &self.occlusions {
            let of_all = [
                (*hidden).to_owned(),
                with_margin(&figures.answer_changes, false),
                with_margin(&figures.probability_change, true),
                with_margin(&figures.accuracy, false),
                with_margin(&figures.accuracy_change, true),
            ];
            let recalls = figures.recall_change.iter().map(|change| with_margin(change, true));
            table.add_row(of_all.into_iter().chain(recalls));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let count = self.occlusions.first().map_or(0, |occlusion| occlusion.figures.count);
        format!("{table}\nin percent, with 95 % intervals; {count} faces, {} failed", self.failed)
    }
}

fn with_margin(figure: &Mean, is_change: bool) -> String {
    match (figure.mean, figure.margin) {
        (None, _) => "-".to_owned(),
        (Some(mean), margin) => {
            let mean = if is_change { format!("{:+.1}", 100.0 * mean) } else { format!("{:.1}", 100.0 * mean) };
            margin.map_or(mean.clone(), |margin| format!("{mean} ± {:.1}", 100.0 * margin))
        }
    }
}
