//! The state of a training, with learning rate, best epoch and end.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use crate::recipe::{Figure, Recipe, Schedule};

/// Advice for a training that has diverged.
pub const REMEDY: &str = "lower learning_rate in the recipe, and give another --out";

/// Refuses a loss that is not finite. It cannot be compared with that of other epochs.
pub fn ensure_finite(name: &str, loss: f64, epoch: usize) -> anyhow::Result<()> {
    ensure!(loss.is_finite(), "epoch {epoch}: the {name} is {loss}, so the training has diverged; {REMEDY}");
    Ok(())
}

/// Figures of one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Learning rate at its first step.
    pub learning_rate: f64,
    /// Mean loss over the epoch's augmented images, while the weights changed.
    pub training_loss: f64,
    /// Share of right answers on these, 0 to 1.
    pub training_accuracy: f64,
    /// Cross-entropy on the validation images.
    pub validation_loss: f64,
    /// Share of right answers on these, 0 to 1.
    pub validation_accuracy: f64,
    /// How long the epoch took.
    pub seconds: f64,
}

impl EpochMetrics {
    fn check(&self) -> anyhow::Result<()> {
        ensure_finite("training loss", self.training_loss, self.epoch)?;
        ensure_finite("validation loss", self.validation_loss, self.epoch)
    }

    /// The figure by which epochs are compared; larger is better.
    fn merit(&self, figure: Figure) -> f64 {
        match figure {
            Figure::Loss => -self.validation_loss,
            Figure::Accuracy => self.validation_accuracy,
            Figure::Last => self.epoch as f64,
        }
    }
}

/// The state of a training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The completed epochs.
    pub epochs: Vec<EpochMetrics>,
    /// Number of steps of the optimizer.
    pub steps: u64,
    /// Number of reductions of the learning rate.
    reductions: i32,
    /// Number of epochs since the last better one or the last reduction of the learning rate.
    epochs_on_plateau: usize,
}

impl State {
    /// The best epoch: the earliest of those with the best figure.
    pub fn best(&self, recipe: &Recipe) -> Option<&EpochMetrics> {
        let merit = |metrics: &&EpochMetrics| metrics.merit(recipe.choose_by);
        self.epochs.iter().rev().max_by(|a, b| merit(a).total_cmp(&merit(b)))
    }

    /// Refuses epochs of a training that has diverged.
    pub fn check(&self) -> anyhow::Result<()> {
        self.epochs.iter().try_for_each(EpochMetrics::check)
    }

    /// Adds a completed epoch. Returns whether it is the best so far. An epoch with a loss that is not finite is refused.
    pub fn complete(&mut self, metrics: EpochMetrics, recipe: &Recipe) -> anyhow::Result<bool> {
        metrics.check()?;
        let epoch = metrics.epoch;
        self.epochs.push(metrics);
        let is_best = self.best(recipe).is_some_and(|best| best.epoch == epoch);
        self.epochs_on_plateau = if is_best { 0 } else { self.epochs_on_plateau + 1 };
        if let Schedule::ReduceOnPlateau { patience, .. } = recipe.schedule
            && self.epochs_on_plateau > patience
        {
            self.reductions += 1;
            self.epochs_on_plateau = 0;
        }
        Ok(is_best)
    }

    /// Whether the training has ended.
    pub fn is_finished(&self, recipe: &Recipe) -> bool {
        let since_best = self.best(recipe).map_or(0, |best| self.epochs.len() - best.epoch);
        self.epochs.len() >= recipe.epochs
            || recipe.early_stopping_patience.is_some_and(|patience| since_best > patience)
    }

    /// The learning rate after the fraction `progress` of the current epoch.
    pub fn learning_rate(&self, recipe: &Recipe, progress: f64) -> f64 {
        let factor = match recipe.schedule {
            Schedule::Constant => 1.0,
            Schedule::ReduceOnPlateau { factor, .. } => factor.powi(self.reductions),
            Schedule::Cosine { warmup_epochs } => {
                let (now, all) = (self.epochs.len() as f64 + progress, recipe.epochs as f64);
                if now < warmup_epochs {
                    now / warmup_epochs
                } else {
                    0.5 * (1.0 + (std::f64::consts::PI * (now - warmup_epochs) / (all - warmup_epochs)).cos())
                }
            }
        };
        recipe.learning_rate * factor
    }

    /// The fraction by which the running average moves towards the weights at the next step. It is larger at the start, so that
    /// the average forgets the initial weights.
    pub fn average_step(&self, average_decay: f64) -> f64 {
        let steps = self.steps as f64;
        1.0 - average_decay.min((1.0 + steps) / (10.0 + steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(yaml: &str) -> Recipe {
        serde_yaml::from_str(&format!("task: emotion\n{yaml}")).unwrap()
    }

    fn after(losses: &[f64], recipe: &Recipe) -> State {
        let mut state = State::default();
        for (position, loss) in losses.iter().enumerate() {
            let metrics = EpochMetrics {
                epoch: position + 1,
                learning_rate: 0.0,
                training_loss: 0.0,
                training_accuracy: 0.0,
                validation_loss: *loss,
                validation_accuracy: 1.0 - loss / 10.0,
                seconds: 0.0,
            };
            let is_best = losses[..position].iter().all(|earlier| earlier > loss);
            assert_eq!(state.complete(metrics, recipe).unwrap(), is_best || recipe.choose_by == Figure::Last);
        }
        state
    }

    #[test]
    fn a_plateau_reduces_the_learning_rate() {
        let recipe = recipe("learning_rate: 0.5\nschedule: !reduce_on_plateau {factor: 0.1, patience: 1}");
        let rate = |losses: &[f64]| after(losses, &recipe).learning_rate(&recipe, 0.5);
        assert_eq!(rate(&[]), 0.5);
        assert_eq!(rate(&[3.0, 4.0, 2.0, 2.0]), 0.5);
        assert!((rate(&[3.0, 4.0, 3.0]) - 0.05).abs() < 1e-12);
        assert!((rate(&[3.0, 4.0, 3.0, 3.0]) - 0.05).abs() < 1e-12);
        assert!((rate(&[3.0, 4.0, 3.0, 3.0, 3.0]) - 0.005).abs() < 1e-12);
    }

    #[test]
    fn the_best_epoch_is_the_earliest_of_equals() {
        for figure in ["loss", "accuracy"] {
            let recipe = recipe(&format!("choose_by: {figure}"));
            assert_eq!(after(&[3.0, 2.0, 2.5, 2.0], &recipe).best(&recipe).unwrap().epoch, 2);
        }
    }

    #[test]
    fn an_epoch_with_a_loss_that_is_not_finite_is_refused() {
        for figure in ["loss", "accuracy", "last"] {
            let recipe = recipe(&format!("choose_by: {figure}"));
            for (loss, shown) in
                [(f64::NAN, "NaN"), (-f64::NAN, "NaN"), (f64::INFINITY, "inf"), (-f64::INFINITY, "-inf")]
            {
                let before = after(&[3.0], &recipe);
                let metrics = EpochMetrics { epoch: 2, validation_accuracy: 1.0, ..before.epochs[0].clone() };
                let epochs = [
                    ("training", EpochMetrics { training_loss: loss, ..metrics.clone() }),
                    ("validation", EpochMetrics { validation_loss: loss, ..metrics }),
                ];
                for (name, metrics) in epochs {
                    let mut state = before.clone();
                    let message = state.complete(metrics.clone(), &recipe).unwrap_err().to_string();
                    assert!(message.starts_with(&format!("epoch 2: the {name} loss is {shown}, ")), "{message}");
                    assert!(message.contains("lower learning_rate in the recipe"), "{message}");
                    assert_eq!(state, before);
                    state.epochs.push(metrics);
                    assert_eq!(state.check().unwrap_err().to_string(), message);
                }
            }
        }
    }

    #[test]
    fn training_ends_early_or_at_the_last_epoch() {
        let recipe = recipe("epochs: 5\nearly_stopping_patience: 2");
        assert!(!after(&[3.0, 4.0, 4.0], &recipe).is_finished(&recipe));
        assert!(after(&[3.0, 4.0, 4.0, 4.0], &recipe).is_finished(&recipe));
        assert!(after(&[5.0, 4.0, 3.0, 2.0, 1.0], &recipe).is_finished(&recipe));
    }

    #[test]
    fn a_cosine_rises_and_falls() {
        let recipe = recipe("epochs: 5\nlearning_rate: 0.5\nschedule: !cosine {warmup_epochs: 1}");
        let rate = |epochs: usize, progress| {
            let losses: Vec<_> = (0..epochs).map(|epoch| 9.0 - epoch as f64).collect();
            after(&losses, &recipe).learning_rate(&recipe, progress)
        };
        for (epochs, progress, expected) in [(0, 0.5, 0.25), (1, 0.0, 0.5), (3, 0.0, 0.25), (4, 1.0, 0.0)] {
            assert!((rate(epochs, progress) - expected).abs() < 1e-12, "{epochs} {progress}");
        }
    }

    #[test]
    fn the_average_forgets_its_start() {
        assert_eq!(State::default().average_step(0.99), 0.9);
        assert!((State { steps: 100_000, ..State::default() }.average_step(0.99) - 0.01).abs() < 1e-12);
    }
}
