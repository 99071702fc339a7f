//! The subcommand `train`: a network learns from labelled images, by a recipe.

mod batches;
mod curves;
mod learner;
mod run_folder;
mod state;
mod targets;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use anyhow::{Context, ensure};
use face_attributes::attributes::{Attribute, Emotion, Gender};
use face_attributes_tools::evaluation::metrics::ConfusionMatrix;
use face_attributes_tools::evaluation::plot::plot_confusion_matrix;
use face_attributes_tools::task::Task;
use face_attributes_training::architecture::{Architecture, Network, Node, Op, Shape, architecture};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};

use crate::data::{Dataset, hex};
use crate::model_file::{ModelFile, weights_from_onnx};
use crate::recipe::Recipe;
use crate::weights::Weights;
use learner::{Learner, Validation};
pub use run_folder::RunFolder;
use state::{EpochMetrics, State};
use targets::Targets;

/// What is trained, on which images.
#[derive(clap::Args)]
pub struct Inputs {
    /// The recipe, a YAML file.
    pub recipe: PathBuf,
    /// Folder with the images, or FER-2013's table, as the recipe's data.format says.
    #[arg(long, value_name = "DATA")]
    pub data: PathBuf,
}

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    inputs: Inputs,
    /// Folder of the run. Where the same training left one, it goes on from there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Trains until the recipe's end.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Inputs { recipe, data } = &arguments.inputs;
    train_by(&Recipe::read(recipe)?, data, &arguments.out)
}

/// Trains by a recipe until its end, or goes on where a training by the same one was killed.
pub fn train_by(recipe: &Recipe, data: &Path, out: &Path) -> anyhow::Result<()> {
    let input = Shape { channels: 1, height: recipe.side_px, width: recipe.side_px };
    let table = architecture(&recipe.architecture, input, recipe.task.labels().len())?;
    match recipe.task {
        Task::Emotion => train::<Emotion>(recipe, &table, data, out),
        Task::Gender => train::<Gender>(recipe, &table, data, out),
    }
}

/// Trains the network of a table until the recipe's end.
fn train<A: Attribute>(recipe: &Recipe, table: &Architecture, data: &Path, out: &Path) -> anyhow::Result<()> {
    let network = Network::build(table).with_context(|| format!("{} for {} pixels", table.name, recipe.side_px))?;
    for name in recipe.l2_penalty.iter().flatten().map(|(name, _)| name) {
        let is_conv = |node: &Node| node.name == *name && matches!(node.op, Op::Conv { .. });
        ensure!(network.nodes().iter().any(is_conv), "l2_penalty: {} has no convolution '{name}'", network.name());
    }
    let initial = InitialWeights::of(recipe, &network)?;
    let progress = ProgressBar::new(0).with_style(style("{bar:40} {pos}/{len} images read, {eta} left"));
    let dataset = Dataset::load(recipe, data, &progress)?;
    progress.finish_and_clear();
    let folder = RunFolder::open(out, recipe, &dataset.checksums)?;
    if let (Some(path), Some(sha256)) = (&recipe.initial_weights, &initial.sha256) {
        let line = format!("{sha256}  {}\n", path.display());
        folder.expect_or_write(RunFolder::INITIAL_WEIGHTS_CHECKSUM, &line, "initial model")?;
    }
    let learner = match folder.read_checkpoint(&network)? {
        Some(snapshot) => Learner::resume(recipe, &network, snapshot)?,
        None => Learner::new(recipe, &network, &initial.weights)?,
    };
    println!(
        "{}: {} parameters; {} images to train with, {} to validate with",
        network.name(),
        network.parameter_count(),
        dataset.training.len(),
        dataset.validation.len()
    );
    let targets = targets::<A>(recipe, &dataset, &folder)?;
    let mut training = Training {
        recipe,
        network: &network,
        initial_sha256: initial.sha256,
        dataset: &dataset,
        targets: &targets,
        folder,
        learner,
    };
    // Killed between the last checkpoint and its figures, a training is finished, but for these.
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

/// What is to be learned; asks the teachers, if the recipe has some that were not asked before.
fn targets<A: Attribute>(recipe: &Recipe, dataset: &Dataset, folder: &RunFolder) -> anyhow::Result<Targets> {
    let class_count = A::CLASSES.len();
    let Some(distillation) = &recipe.distillation else {
        return Ok(Targets::new(dataset, recipe, class_count, None));
    };
    folder.expect_or_write(RunFolder::TEACHERS_CHECKSUMS, &targets::checksums(distillation)?, "teacher")?;
    let path = folder.path(RunFolder::TEACHERS);
    let answers = if path.exists() {
        targets::read_answers(&path, dataset.training.len(), class_count)?
    } else {
        let progress =
            ProgressBar::new(0).with_style(style("{bar:40} {pos}/{len} images shown to the teachers, {eta} left"));
        let answers = targets::ask_teachers::<A>(recipe, distillation, dataset, &progress)?;
        progress.finish_and_clear();
        folder.replace(RunFolder::TEACHERS, |partial| targets::write_answers(&answers, partial))?;
        answers
    };
    Ok(Targets::new(dataset, recipe, class_count, Some(&answers)))
}

/// What a training starts from.
struct InitialWeights {
    weights: Weights,
    /// Checksum of the file that they are in, `None` where they are random.
    sha256: Option<String>,
}

impl InitialWeights {
    fn of(recipe: &Recipe, network: &Network) -> anyhow::Result<Self> {
        let Some(path) = &recipe.initial_weights else {
            return Ok(Self { weights: Weights::random(network, recipe.seed)?, sha256: None });
        };
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let weights = weights_from_onnx(&bytes, network).with_context(|| path.display().to_string())?;
        Ok(Self { weights, sha256: Some(hex(&Sha256::digest(&bytes))) })
    }
}

struct Training<'a> {
    recipe: &'a Recipe,
    network: &'a Network,
    initial_sha256: Option<String>,
    dataset: &'a Dataset,
    targets: &'a Targets,
    folder: RunFolder,
    learner: Learner<'a>,
}

impl Training<'_> {
    fn epoch<A: Attribute>(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        let learning_rate = self.learner.state.learning_rate(self.recipe, 0.0);
        let (training_loss, training_accuracy) = self.learn()?;
        let Validation { loss, answers } = self.learner.validate(&self.dataset.validation)?;
        let mut matrix = ConfusionMatrix::<A>::default();
        for (example, answer) in self.dataset.validation.iter().zip(answers) {
            matrix.add(A::CLASSES[example.class], A::CLASSES[answer]);
        }
        let metrics = EpochMetrics {
            epoch: self.learner.state.epochs.len() + 1,
            learning_rate,
            training_loss,
            training_accuracy,
            validation_loss: loss,
            validation_accuracy: matrix.accuracy().unwrap_or(0.0),
            seconds: start.elapsed().as_secs_f64(),
        };
        println!("{}", line(&metrics));
        let is_best = self.learner.state.complete(metrics, self.recipe);
        self.write(is_best.then_some(&matrix))
    }

    /// Shows every training image once; gives the mean loss and the accuracy.
    fn learn(&mut self) -> anyhow::Result<(f64, f64)> {
        let (dataset, targets, recipe) = (self.dataset, self.targets, self.recipe);
        let epoch = self.learner.state.epochs.len() as u32;
        let count = dataset.training.len();
        let progress = ProgressBar::new(count as u64);
        progress.set_style(style("{bar:40} {pos}/{len} images of {msg}, {eta} left"));
        thread::scope(|scope| {
            let batches = batches::augmented(scope, dataset, targets, recipe, epoch)?;
            let (mut loss_sum, mut right, mut shown) = (0.0, 0, 0);
            for (number, batch) in (0..).zip(batches) {
                let batch = batch?;
                let batch_size = batch.classes.len();
                let step = self.learner.step(batch, epoch, number, shown as f64 / count as f64)?;
                shown += batch_size;
                loss_sum += step.loss * batch_size as f64;
                right += step.right;
                let (loss, accuracy) = (loss_sum / shown as f64, 100.0 * right as f64 / shown as f64);
                progress.set_message(format!("epoch {}, loss {loss:.4}, accuracy {accuracy:.1} %", epoch + 1));
                progress.inc(batch_size as u64);
            }
            progress.finish_and_clear();
            Ok((loss_sum / count as f64, right as f64 / count as f64))
        })
    }

    /// Writes what a completed epoch leaves; `matrix` where it is the best.
    fn write<A: Attribute>(&self, matrix: Option<&ConfusionMatrix<A>>) -> anyhow::Result<()> {
        let state = &self.learner.state;
        if let Some(matrix) = matrix {
            let model = self.model(state)?;
            self.folder.replace(RunFolder::MODEL, |partial| model.write(partial))?;
            let plot = |partial: &Path| Ok(plot_confusion_matrix(matrix, partial)?);
            self.folder.replace(RunFolder::CONFUSION_MATRIX, plot)?;
        }
        self.folder.write_checkpoint(self.network, self.recipe.task, &self.learner.snapshot()?)?;
        self.write_figures()
    }

    fn write_figures(&self) -> anyhow::Result<()> {
        let state = &self.learner.state;
        if state.epochs.is_empty() {
            return Ok(());
        }
        self.folder.write_metrics(state)?;
        let plot = |partial: &Path| Ok(curves::plot_learning_curves(&state.epochs, partial)?);
        self.folder.replace(RunFolder::LEARNING_CURVES, plot)
    }

    /// The network as it is, with its provenance.
    fn model(&self, state: &State) -> anyhow::Result<ModelFile> {
        let weights = self.learner.result()?;
        let mut provenance =
            vec![("source", format!("trained by {} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")))];
        let data = &self.recipe.data;
        provenance.extend(data.description.iter().map(|it| ("training_data", it.clone())));
        provenance.push(("training_data_sha256", self.dataset.sha256_hex()));
        provenance.extend(self.initial_sha256.iter().map(|it| ("initial_weights_sha256", it.clone())));
        provenance.push(("recipe_sha256", hex(&Sha256::digest(serde_yaml::to_string(self.recipe)?))));
        if let Some(best) = state.best(self.recipe) {
            let count = self.dataset.validation.len();
            provenance.push(("epoch", best.epoch.to_string()));
            provenance.push(("validation_accuracy", format!("{:.4} of {count} images", best.validation_accuracy)));
        }
        provenance.push(("weights_sha256", weights.sha256_hex()));
        provenance.extend(self.recipe.license.iter().map(|it| ("license", it.clone())));
        let provenance = provenance.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Ok(ModelFile { task: self.recipe.task, network: self.network.clone(), weights, provenance })
    }
}

fn line(metrics: &EpochMetrics) -> String {
    format!(
        "epoch {}: learning rate {:.2e}, training loss {:.4}, accuracy {:.2} %, validation loss {:.4}, accuracy {:.2} %, \
         {:.0} s",
        metrics.epoch,
        metrics.learning_rate,
        metrics.training_loss,
        100.0 * metrics.training_accuracy,
        metrics.validation_loss,
        100.0 * metrics.validation_accuracy,
        metrics.seconds
    )
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
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

    use super::*;

    const SIDE_PX: usize = 8;

    /// Images of one shade each: bright ones for one class, dark ones for the other.
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

    /// Trains a network; gives the figures and the model's answers for black and for white.
    fn trained(table: &Architecture, learning_rate: f64, epochs: usize) -> (State, [Vec<f32>; 2]) {
        let (data, out) = (shades(), tempfile::tempdir().unwrap());
        let recipe = format!(
            "{{task: gender, side_px: {SIDE_PX}, epochs: {epochs}, batch_size: 4, l2_penalty: {{}}, \
             learning_rate: {learning_rate}, data: {{validation_fraction: 0.2}}}}"
        );
        let recipe: Recipe = serde_yaml::from_str(&recipe).unwrap();
        train::<Gender>(&recipe, table, data.path(), out.path()).unwrap();
        let network = Network::build(table).unwrap();
        let folder = RunFolder::open(out.path(), &recipe, &fs::read_to_string(out.path().join("data.sha256")).unwrap());
        let state = folder.unwrap().read_checkpoint(&network).unwrap().unwrap().state;
        let model = Model::load(&out.path().join("model.onnx", &Gender::outputs())).unwrap();
        (state, [40, 200].map(|shade| model.run(&[shade; SIDE_PX * SIDE_PX]).unwrap()))
    }

    /// Whether the last epoch was better than the first, and the robot's answers are right. Of the validation images: what is
    /// dropped out makes the training loss of so few images a matter of chance.
    fn assert_learned((state, [dark, bright]): (State, [Vec<f32>; 2])) {
        let [first, .., last] = &state.epochs[..] else { panic!("{state:?}") };
        assert!(last.validation_loss < first.validation_loss && last.validation_accuracy > 0.9, "{state:?}");
        assert!(bright[0] > 0.5 && dark[1] > 0.5, "{dark:?} {bright:?}");
    }

    // A network that nothing but this table knows of.
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

    #[test]
    fn a_new_network_is_a_new_table() {
        assert_learned(trained(&of_this_test(), 3e-3, 8));
    }

    // The labels are exchanged: what the student gets right, it has from the teacher.
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
        train::<Gender>(&recipe(""), &network, data.path(), teacher.path()).unwrap();
        fs::rename(data.path().join("woman"), data.path().join("bright")).unwrap();
        fs::rename(data.path().join("man"), data.path().join("woman")).unwrap();
        fs::rename(data.path().join("bright"), data.path().join("man")).unwrap();
        let file = teacher.path().join("model.onnx");
        let distillation = format!("distillation: {{teachers: ['{}'], views: 3, weight: 1}}", file.display());
        train::<Gender>(&recipe(&distillation), &network, data.path(), out.path()).unwrap();
        let student = Model::load(&out.path().join("model.onnx", &Gender::outputs())).unwrap();
        let [dark, bright] = [40, 200].map(|shade| student.run(&[shade; SIDE_PX * SIDE_PX]).unwrap());
        assert!(bright[0] > 0.5 && dark[1] > 0.5, "{dark:?} {bright:?}");
    }

    #[test]
    fn the_sequential_network_learns() {
        assert_learned(trained(&sequential_fully_cnn(image(), 2), 3e-3, 5));
    }
}
