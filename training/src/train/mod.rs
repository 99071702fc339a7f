//! The subcommand `train`: trains a network on labelled images by a recipe.

mod batches;
mod curves;
mod learner;
mod run_folder;
mod state;
mod targets;
mod training;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use face_attributes::attributes::{Attribute, Emotion, Gender};
use face_attributes_tools::task::Task;
use face_attributes_training::architecture::{Architecture, Network, Node, Op, Shape, architecture};
use sha2::{Digest, Sha256};

use crate::data::{Dataset, hex};
use crate::dead_filters;
use crate::model_file::{weights_from_onnx, weights_of_another_task};
use crate::progress::ProgressOptions;
use crate::recipe::Recipe;
use crate::weights::Weights;
use learner::Learner;
pub use run_folder::RunFolder;
use targets::Targets;
use training::Training;

/// The recipe and the images of a training.
#[derive(clap::Args)]
pub struct Inputs {
    /// The recipe, a YAML file.
    pub recipe: PathBuf,
    /// Folder with the images, or FER-2013's table, by the recipe's data.format.
    #[arg(long, value_name = "DATA")]
    pub data: PathBuf,
    #[command(flatten)]
    pub progress: ProgressOptions,
}

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    inputs: Inputs,
    /// Folder of the run. An existing run of the same training is resumed.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Trains until the recipe's end.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    train_by(&Recipe::read(&arguments.inputs.recipe)?, &arguments.inputs, &arguments.out)
}

/// Trains by a recipe on the images of `inputs` until its end. Resumes a training by the same recipe that was killed.
pub fn train_by(recipe: &Recipe, inputs: &Inputs, out: &Path) -> anyhow::Result<()> {
    let input = Shape { channels: 1, height: recipe.side_px, width: recipe.side_px };
    let table = architecture(&recipe.architecture, input, recipe.task.labels().len())?;
    match recipe.task {
        Task::Emotion => train::<Emotion>(recipe, &table, &inputs.data, out, inputs.progress),
        Task::Gender => train::<Gender>(recipe, &table, &inputs.data, out, inputs.progress),
    }
}

/// Trains the network of a table until the recipe's end.
fn train<A: Attribute>(
    recipe: &Recipe,
    table: &Architecture,
    data: &Path,
    out: &Path,
    options: ProgressOptions,
) -> anyhow::Result<()> {
    let network = Network::build(table).with_context(|| format!("{} for {} pixels", table.name, recipe.side_px))?;
    for name in recipe.l2_penalty.iter().flatten().map(|(name, _)| name) {
        let is_conv = |node: &Node| node.name == *name && matches!(node.op, Op::Conv { .. });
        ensure!(network.nodes().iter().any(is_conv), "l2_penalty: {} has no convolution '{name}'", network.name());
    }
    let initial = InitialWeights::of(recipe, &network)?;
    let dataset = Dataset::load(recipe, data, options)?;
    let folder = RunFolder::open(out, recipe, &dataset.checksums)?;
    if let (Some(path), Some(sha256)) = (&recipe.initial_weights, &initial.sha256) {
        let line = format!("{sha256}  {}\n", path.display());
        folder.expect_or_write(RunFolder::INITIAL_WEIGHTS_CHECKSUM, &line, "initial model")?;
    }
    let learner = match folder.read_checkpoint(&network)? {
        Some(snapshot) => Learner::resume(recipe, &network, snapshot)?,
        None => {
            initial.notes.iter().for_each(|note| println!("{note}"));
            Learner::new(recipe, &network, &initial.weights)?
        }
    };
    println!(
        "{}: {} parameters; {} images to train with, {} to validate with",
        network.name(),
        network.parameter_count(),
        dataset.training.len(),
        dataset.validation.len()
    );
    let targets = targets::<A>(recipe, &dataset, &folder, options)?;
    let mut training = Training {
        recipe,
        network: &network,
        initial_sha256: initial.sha256,
        dataset: &dataset,
        targets: &targets,
        folder,
        learner,
        options,
    };
    // A training that was killed between its last checkpoint and its figures lacks only the figures.
    training.write_figures()?;
    while !training.learner.state.is_finished(recipe) {
        training.epoch::<A>()?;
    }
    if let Some(best) = training.learner.state.best(recipe) {
        let model = training.folder.path(RunFolder::MODEL);
        let accuracy = 100.0 * best.validation_accuracy;
        println!("{}: epoch {}, validation accuracy {accuracy:.2} %", model.display(), best.epoch);
    }
    Ok(())
}

/// The targets. Runs the teachers, if the recipe has some whose answers are not stored yet.
fn targets<A: Attribute>(
    recipe: &Recipe,
    dataset: &Dataset,
    folder: &RunFolder,
    options: ProgressOptions,
) -> anyhow::Result<Targets> {
    let class_count = A::CLASSES.len();
    let Some(distillation) = &recipe.distillation else {
        return Ok(Targets::new(dataset, recipe, class_count, None));
    };
    folder.expect_or_write(RunFolder::TEACHERS_CHECKSUMS, &targets::checksums(distillation)?, "teacher")?;
    let path = folder.path(RunFolder::TEACHERS);
    let answers = if path.exists() {
        targets::read_answers(&path, dataset.training.len(), class_count)?
    } else {
        let answers = targets::ask_teachers::<A>(recipe, distillation, dataset, options)?;
        folder.replace(RunFolder::TEACHERS, |partial| targets::write_answers(&answers, partial))?;
        answers
    };
    Ok(Targets::new(dataset, recipe, class_count, Some(&answers)))
}

/// The initial weights of a training.
struct InitialWeights {
    weights: Weights,
    /// Checksum of their file, `None` where they are random.
    sha256: Option<String>,
    /// What was done with those of the file.
    notes: Vec<String>,
}

impl InitialWeights {
    fn of(recipe: &Recipe, network: &Network) -> anyhow::Result<Self> {
        let fresh = Weights::random(network, recipe.seed)?;
        let Some(path) = &recipe.initial_weights else {
            return Ok(Self { weights: fresh, sha256: None, notes: Vec::new() });
        };
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut notes = Vec::new();
        let of_path = || path.display().to_string();
        let of_another_task = weights_of_another_task(&bytes, network, recipe.task, &fresh).with_context(of_path)?;
        let mut weights = if let Some((weights, task)) = of_another_task {
            notes.push(format!("{} is for {task}: the last convolution begins anew", path.display()));
            weights
        } else {
            weights_from_onnx(&bytes, network).with_context(of_path)?
        };
        if recipe.revive_dead_filters {
            let revived = dead_filters::revive(network, &mut weights, &fresh)?;
            notes.push(format!("{}: {revived} dead filters begin anew", path.display()));
        }
        Ok(Self { weights, sha256: Some(hex(&Sha256::digest(&bytes))), notes })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use face_attributes::network::Model;
    use face_attributes_training::architecture::Layer::*;
    use face_attributes_training::architecture::Padding::Same;
    use face_attributes_training::architecture::sequential_fully_cnn;
    use opencv::core::{Mat, Scalar};
    use opencv::imgcodecs::imwrite_def;
    use tempfile::TempDir;

    use super::state::State;
    use super::*;

    const SIDE_PX: usize = 8;

    /// Images of one shade each: bright for one class, dark for the other.
    fn shades() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (class, shade) in [("woman", 180), ("man", 60)] {
            fs::create_dir(folder.path().join(class)).unwrap();
            for number in 0..16 {
                let shade = Scalar::all(f64::from(shade + number));
                let picture = Mat::new_rows_cols_with_default(9, 7, opencv::core::CV_8UC1, shade).unwrap();
                assert!(imwrite_def(folder.path().join(format!("{class}/{number}.png")), &picture).unwrap());
            }
        }
        folder
    }

    fn image() -> Shape {
        Shape { channels: 1, height: SIDE_PX, width: SIDE_PX }
    }

    /// The state of the training in the folder `out`.
    fn state(out: &Path, recipe: &Recipe, table: &Architecture) -> State {
        let checksums = fs::read_to_string(out.join("data.sha256")).unwrap();
        let folder = RunFolder::open(out, recipe, &checksums).unwrap();
        folder.read_checkpoint(&Network::build(table).unwrap()).unwrap().unwrap().state
    }

    /// Trains a network. Returns the figures and the model's answers for black and for white.
    fn trained(table: &Architecture, learning_rate: f64, epochs: usize) -> (State, [Vec<f32>; 2]) {
        let (data, out) = (shades(), tempfile::tempdir().unwrap());
        let recipe = format!(
            "{{task: gender, side_px: {SIDE_PX}, epochs: {epochs}, batch_size: 4, l2_penalty: {{}}, \
             learning_rate: {learning_rate}, data: {{validation_fraction: 0.2}}}}"
        );
        let recipe: Recipe = serde_yaml::from_str(&recipe).unwrap();
        train::<Gender>(&recipe, table, data.path(), out.path(), ProgressOptions::default()).unwrap();
        let state = state(out.path(), &recipe, table);
        let model = Model::load(&out.path().join("model.onnx"), &Gender::outputs()).unwrap();
        (state, [40, 200].map(|shade| model.run(&[shade; SIDE_PX * SIDE_PX]).unwrap()))
    }

    /// Whether the last epoch is better than the first, and the robot's answers are right. It compares the validation images,
    /// because dropout makes the training loss of so few images random.
    fn assert_learned((state, [dark, bright]): (State, [Vec<f32>; 2])) {
        let [first, .., last] = &state.epochs[..] else { panic!("{state:?}") };
        assert!(last.validation_loss < first.validation_loss && last.validation_accuracy > 0.9, "{state:?}");
        assert!(bright[0] > 0.5 && dark[1] > 0.5, "{dark:?} {bright:?}");
    }

    // A network that only this table defines.
    fn of_this_test() -> Architecture {
        let conv = |filters| Conv { filters, kernel: 3, stride: 1, padding: Same, bias: true };
        let separable = SeparableConv { filters: 6, kernel: 4, padding: Same, bias: true };
        Architecture {
            name: "of_this_test",
            input: image(),
            layers: vec![
                conv(6),
                Relu,
                Residual { main: vec![separable, BatchNorm, Relu], shortcut: Vec::new() },
                AveragePool { kernel: 3, stride: 2, padding: Same },
                MaxPool { kernel: 2, stride: 2, padding: Same },
                Dropout { rate: 0.1 },
                conv(2),
                GlobalAveragePool,
                Softmax,
            ],
        }
    }

    // In the first epoch, the only step has the learning rate 0. In the second, the rate makes every network diverge.
    #[test]
    fn a_training_that_diverges_stops_and_leaves_the_epochs_before() {
        for figure in ["loss", "accuracy", "last"] {
            let (table, data, out) = (of_this_test(), shades(), tempfile::tempdir().unwrap());
            let recipe = format!(
                "{{task: gender, side_px: {SIDE_PX}, epochs: 4, batch_size: 100, l2_penalty: {{}}, learning_rate: 1e12, \
                 schedule: !cosine {{warmup_epochs: 1}}, choose_by: {figure}, data: {{validation_fraction: 0.2}}}}"
            );
            let recipe: Recipe = serde_yaml::from_str(&recipe).unwrap();
            // The second time, it resumes from the first epoch's checkpoint.
            for _ in 0..2 {
                let result = train::<Gender>(&recipe, &table, data.path(), out.path(), ProgressOptions::default());
                let message = result.unwrap_err().to_string();
                assert!(message.starts_with("epoch 2: the validation loss is "), "{message}");
                assert_eq!(state(out.path(), &recipe, &table).epochs.len(), 1);
                let model = Model::load(&out.path().join(RunFolder::MODEL), &Gender::outputs()).unwrap();
                model.run(&[40; SIDE_PX * SIDE_PX]).unwrap();
            }
        }
    }

    #[test]
    fn a_new_network_is_a_new_table() {
        assert_learned(trained(&of_this_test(), 3e-3, 8));
    }

    // The labels are exchanged, so the student learns right answers only from the teacher.
    #[test]
    fn a_student_learns_what_its_teacher_answers() {
        let network = of_this_test();
        let (data, teacher, out) = (shades(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let recipe = |more: &str| -> Recipe {
            let text = format!(
                "{{task: gender, side_px: {SIDE_PX}, epochs: 12, batch_size: 4, l2_penalty: {{}}, learning_rate: 1e-2, \
                 choose_by: last, data: {{validation_fraction: 0.2}}, {more}}}"
            );
            serde_yaml::from_str(&text).unwrap()
        };
        train::<Gender>(&recipe(""), &network, data.path(), teacher.path(), ProgressOptions::default()).unwrap();
        fs::rename(data.path().join("woman"), data.path().join("bright")).unwrap();
        fs::rename(data.path().join("man"), data.path().join("woman")).unwrap();
        fs::rename(data.path().join("bright"), data.path().join("man")).unwrap();
        let file = teacher.path().join("model.onnx");
        let distillation = format!("distillation: {{teachers: ['{}'], views: 3, weight: 1}}", file.display());
        train::<Gender>(&recipe(&distillation), &network, data.path(), out.path(), ProgressOptions::default()).unwrap();
        let student = Model::load(&out.path().join("model.onnx"), &Gender::outputs()).unwrap();
        let [dark, bright] = [40, 200].map(|shade| student.run(&[shade; SIDE_PX * SIDE_PX]).unwrap());
        assert!(bright[0] > 0.5 && dark[1] > 0.5, "{dark:?} {bright:?}");
    }

    #[test]
    fn the_sequential_network_learns() {
        assert_learned(trained(&sequential_fully_cnn(image(), 2), 3e-3, 5));
    }
}
