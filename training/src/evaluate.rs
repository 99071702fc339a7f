//! The subcommand `evaluate`: how good the model of a run is on the images that its training did not learn from, with the
//! margin of the recipe and, where the robot does so, averaged with the mirrored image, which is a little better than what the
//! training says.

use std::path::{Path, PathBuf};

use face_attributes::attributes::{AttributeParameters, ClassifierParameters};
use face_attributes::attributes::{BuiltIn, Classifier};
use face_attributes::attributes::{Emotion, Gender};
use face_attributes_tools::dataset::{Dataset, DatasetSpec, Labelled};
use face_attributes_tools::evaluation::report::EvaluationReport;
use face_attributes_tools::evaluation::{Evaluation, evaluate};
use face_attributes_tools::task::Task;
use indicatif::ProgressBar;

use crate::recipe::Recipe;
use crate::train::RunFolder;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of a training.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The folder with the images, or the table, that it was trained with.
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
}

/// Prints accuracy, confusion matrix, calibration and, where the data tell of people, figures per group.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let recipe = Recipe::read(&arguments.run.join(RunFolder::RECIPE))?;
    match recipe.task {
        Task::Emotion => print_report::<Emotion>(arguments, &recipe),
        Task::Gender => print_report::<Gender>(arguments, &recipe),
    }
}

fn print_report<A: BuiltIn + Labelled>(arguments: &Arguments, recipe: &Recipe) -> anyhow::Result<()> {
    let images = held_out::<A>(recipe, &arguments.data)?;
    images.left_out.iter().filter(|it| it.count > 0).for_each(|left_out| eprintln!("left out: {left_out}"));
    let evaluation = answers(recipe, &arguments.run, &images)?;
    println!("{}", EvaluationReport::new(&evaluation));
    Ok(())
}

/// The images in a folder that a training by `recipe` does not learn from.
pub fn held_out<A: Labelled>(recipe: &Recipe, folder: &Path) -> anyhow::Result<Dataset<A>> {
    let data = &recipe.data;
    Ok(DatasetSpec { held_out: Some(data.validation_fraction), ..data.spec(folder) }.load()?)
}

/// What the model of a run by `recipe` says of images.
pub fn answers<A: BuiltIn>(recipe: &Recipe, run: &Path, images: &Dataset<A>) -> anyhow::Result<Evaluation<A>> {
    let classifier = Classifier::<A>::load(Some(&run.join(RunFolder::MODEL)))?;
    let of_robot = recipe.task.parameters(&AttributeParameters::default()).clone();
    let parameters = ClassifierParameters { margin: recipe.data.validation_margin, ..of_robot };
    let progress = ProgressBar::new(images.samples.len() as u64);
    images.refused.iter().for_each(|error| progress.suspend(|| eprintln!("skipped: {error}")));
    let evaluation = evaluate(&classifier, images, &parameters, |error| {
        error.iter().for_each(|error| progress.suspend(|| eprintln!("skipped: {error}")));
        progress.inc(1);
    });
    progress.finish_and_clear();
    Ok(evaluation)
}
