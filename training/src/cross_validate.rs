//! The subcommand `cross-validate`: measures a recipe on all images, not only on a held-out part, so that small groups have a
//! figure too (Stone 1974). Each image is classified by a network that did not learn from it.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use face_attributes::attributes::BuiltIn;
use face_attributes::attributes::{Emotion, Gender};
use face_attributes_tools::dataset::{HeldOut, Labelled};
use face_attributes_tools::evaluation::Evaluation;
use face_attributes_tools::evaluation::report::{EvaluationReport, percent};
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
}

/// Trains a network for each part, and prints one report of their answers.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let path = &arguments.inputs.recipe;
    let recipe = Recipe::read(path)?;
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
    Ok(())
}
