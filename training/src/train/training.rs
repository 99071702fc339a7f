//! The epochs of a training, and the files that each writes into the folder of the run.

use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::Context;
use face_attributes::attributes::Attribute;
use face_attributes_tools::evaluation::metrics::ConfusionMatrix;
use face_attributes_tools::evaluation::plot::plot_confusion_matrix;
use face_attributes_training::architecture::Network;
use sha2::{Digest, Sha256};

use super::learner::{Learner, Validation};
use super::run_folder::RunFolder;
use super::state::{EpochMetrics, REMEDY, State};
use super::targets::Targets;
use super::{batches, curves};
use crate::data::{Dataset, hex};
use crate::model_file::ModelFile;
use crate::progress::{Progress, ProgressOptions};
use crate::recipe::Recipe;

/// A running training.
pub struct Training<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// The network.
    pub network: &'a Network,
    /// Checksum of the file with the initial weights.
    pub initial_sha256: Option<String>,
    /// The images.
    pub dataset: &'a Dataset,
    /// The targets of the images.
    pub targets: &'a Targets,
    /// The folder for the results.
    pub folder: RunFolder,
    /// The network with its optimizer.
    pub learner: Learner<'a>,
    /// Options of the progress lines.
    pub options: ProgressOptions,
}

impl Training<'_> {
    /// Trains on each image once, validates, and writes the files of the epoch.
    pub fn epoch<A: Attribute>(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        let learning_rate = self.learner.state.learning_rate(self.recipe, 0.0);
        let (training_loss, training_accuracy) = self.learn()?;
        let Validation { loss, answers } = self.validate()?;
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
        let is_best = self.learner.state.complete(metrics, self.recipe)?;
        self.write(is_best.then_some(&matrix))
    }

    /// Trains on each image once. Returns the mean loss and the accuracy.
    fn learn(&mut self) -> anyhow::Result<(f64, f64)> {
        let (dataset, targets, recipe) = (self.dataset, self.targets, self.recipe);
        let epoch = self.learner.state.epochs.len() as u32;
        let count = dataset.training.len();
        let progress = Progress::start(format!("epoch {}/{}", epoch + 1, recipe.epochs), count, self.options);
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
                progress.set_figures(&format!("loss {loss:.4}, accuracy {accuracy:.1} %"));
                progress.advance(batch_size);
            }
            progress.finish();
            Ok((loss_sum / count as f64, right as f64 / count as f64))
        })
    }

    fn validate(&self) -> anyhow::Result<Validation> {
        let images = &self.dataset.validation;
        let task = format!("validating epoch {}", self.learner.state.epochs.len() + 1);
        let progress = Progress::start(task, images.len(), self.options);
        let validation = self.learner.validate(images, &progress)?;
        progress.finish();
        Ok(validation)
    }

    /// Writes the files of a completed epoch; `matrix` where it is the best.
    fn write<A: Attribute>(&self, matrix: Option<&ConfusionMatrix<A>>) -> anyhow::Result<()> {
        let state = &self.learner.state;
        // Before the model is replaced: weights can be infinite or NaN although the losses are finite.
        let snapshot = self.learner.snapshot().with_context(|| {
            format!("the network cannot be saved after epoch {}; if it has diverged, {REMEDY}", state.epochs.len())
        })?;
        if let Some(matrix) = matrix {
            let model = self.model(state)?;
            self.folder.replace(RunFolder::MODEL, |partial| model.write(partial))?;
            let plot = |partial: &Path| Ok(plot_confusion_matrix(matrix, partial)?);
            self.folder.replace(RunFolder::CONFUSION_MATRIX, plot)?;
        }
        self.folder.write_checkpoint(self.network, self.recipe.task, &snapshot)?;
        self.write_figures()
    }

    /// Writes the figures of all epochs, and their curves.
    pub fn write_figures(&self) -> anyhow::Result<()> {
        let state = &self.learner.state;
        if state.epochs.is_empty() {
            return Ok(());
        }
        self.folder.write_metrics(state)?;
        let plot = |partial: &Path| Ok(curves::plot_learning_curves(&state.epochs, partial)?);
        self.folder.replace(RunFolder::LEARNING_CURVES, plot)
    }

    /// The current network, with its provenance.
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
