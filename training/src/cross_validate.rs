//! The subcommand `cross-validate`: measures a recipe on all images, not only on a held-out part, so that small groups have a
//! figure too (Stone 1974). Each image is classified by a network that did not learn from it.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use face_attributes::attributes::BuiltIn;
use face_attributes::attributes::{Emotion, Gender};
use face_attributes_tools::dataset::{HeldOut, Labelled};
use face_attributes_tools::evaluation::Evaluation;
use face_attributes_tools::evaluation::plot::plot_selective;
use face_attributes_tools::evaluation::report::{EvaluationReport, percent};
use face_attributes_tools::evaluation::selective::SelectiveReport;
use face_attributes_tools::task::Task;

use crate::evaluate::{answers, held_out};
use crate::recipe::{Figure, Recipe};
use crate::train::{Inputs, train_by};

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    inputs: Inputs,
    /// Folder for the runs, `part_1` and so on. Runs of the same trainings in it are resumed.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number of parts, and of trainings, 2 to 100.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=100))]
    parts: u32,
    /// Find the confidence from which at most this share of the answers is wrong, 0 to 1, also in every group of people.
    #[arg(long, value_name = "SHARE")]
    max_error: Option<f64>,
    /// Smaller groups do not decide on that confidence.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "max_error")]
    min_group: u64,
    /// Draw the share of wrong answers over the share of images that are answered into this file, for each group.
    #[arg(long, value_name = "FILE.png", requires = "max_error")]
    plot_selective: Option<PathBuf>,
}

/// Trains a network for each part, and prints one report of their answers.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let path = &arguments.inputs.recipe;
    let recipe = Recipe::read(path)?;
    let is_share = arguments.max_error.is_none_or(|max_error| (0.0..=1.0).contains(&max_error));
    ensure!(is_share, "--max-error takes a share of 0 to 1");
    ensure!(
        recipe.choose_by == Figure::Last,
        "recipe {}: choose_by has to be last; anything else would choose on the images that are reported",
        path.display()
    );
    match recipe.task {
        Task::Emotion => cross_validate::<Emotion>(arguments, recipe),
        Task::Gender => cross_validate::<Gender>(arguments, recipe),
    }
}

fn cross_validate<A: BuiltIn + Labelled>(arguments: &Arguments, mut recipe: Recipe) -> anyhow::Result<()> {
    let inputs = &arguments.inputs;
    let mut all = Evaluation::<A> { predictions: Vec::new(), failed: 0 };
    for (number, part) in (1..).zip(HeldOut::parts(arguments.parts)) {
        recipe.data.validation_fraction = part;
        let run = arguments.out.join(format!("part_{number}"));
        println!("part {number} of {}", arguments.parts);
        train_by(&recipe, inputs, &run).with_context(|| format!("part {number} of {}", arguments.parts))?;
        let images = held_out::<A>(&recipe, &inputs.data)?;
        let evaluation = answers(&recipe, &run, &images, inputs.progress)?;
        let accuracy = evaluation.confusion().accuracy();
        println!("part {number}: accuracy {} of {} images", percent(accuracy), evaluation.predictions.len());
        all.predictions.extend(evaluation.predictions);
        // A file that is refused for its name is refused for every part, but counted once.
        let refused_before = if number == 1 { 0 } else { images.refused.len() as u64 };
        all.failed += evaluation.failed - refused_before;
    }
    println!("{}", EvaluationReport::new(&all));
    if let Some(max_error) = arguments.max_error {
        let report = SelectiveReport::new(&all.predictions, max_error, arguments.min_group);
        println!("{report}");
        if let Some(path) = &arguments.plot_selective {
            plot_selective(A::TASK, &report, path)?;
        }
    }
    Ok(())
}
