//! The subcommand `evaluate`: measures the model of a run on the images that its training did not learn from. It uses the
//! margin of the recipe. Where the robot averages with the mirrored image, it does so too. Its accuracy is then a little higher
//! than that of the training.

use std::path::{Path, PathBuf};

use face_attributes::attributes::{AttributeParameters, ClassifierParameters};
use face_attributes::attributes::{BuiltIn, Classifier};
use face_attributes::attributes::{Emotion, Gender};
use face_attributes_tools::dataset::{Dataset, DatasetSpec, Labelled};
use face_attributes_tools::evaluation::report::EvaluationReport;
use face_attributes_tools::evaluation::{Evaluation, evaluate};
use face_attributes_tools::task::Task;

use crate::progress::{Progress, ProgressOptions};
use crate::recipe::Recipe;
use crate::train::RunFolder;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of a run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The folder with the images of the training, or its table.
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    #[command(flatten)]
    progress: ProgressOptions,
}

/// Prints accuracy, confusion matrix and calibration, and where the data describe people, figures per group.
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
    let evaluation = answers(recipe, &arguments.run, &images, arguments.progress)?;
    println!("{}", EvaluationReport::new(&evaluation));
    Ok(())
}

/// The images in a folder that a training by `recipe` does not learn from.
pub fn held_out<A: Labelled>(recipe: &Recipe, folder: &Path) -> anyhow::Result<Dataset<A>> {
    let data = &recipe.data;
    Ok(DatasetSpec { held_out: Some(data.validation_fraction), ..data.spec(folder) }.load()?)
}

/// The answers of the model of a run by `recipe` for images.
pub fn answers<A: BuiltIn>(
    recipe: &Recipe,
    run: &Path,
    images: &Dataset<A>,
    options: ProgressOptions,
) -> anyhow::Result<Evaluation<A>> {
    let classifier = Classifier::<A>::load(Some(&run.join(RunFolder::MODEL)))?;
    let of_robot = recipe.task.parameters(&AttributeParameters::default()).clone();
    let parameters = ClassifierParameters { margin: recipe.data.validation_margin, ..of_robot };
    images.refused.iter().for_each(|error| eprintln!("skipped: {error}"));
    let progress = Progress::start("evaluating", images.samples.len(), options);
    let evaluation = evaluate(&classifier, images, &parameters, |error| {
        error.iter().for_each(|error| progress.warn(&format!("skipped: {error}")));
        progress.advance(1);
    });
    progress.finish();
    Ok(evaluation)
}
