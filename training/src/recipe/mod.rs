//! The recipe of a training: a YAML file.

mod check;
mod defaults;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use face_attributes_tools::dataset::{DatasetSpec, Format, HeldOut, Usage};
use face_attributes_tools::task::Task;
use serde::{Deserialize, Serialize};

/// What is trained, on what and how. Everything but the task has a default: the paper's recipe for mini-Xception.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What the network decides: `emotion` or `gender`.
    pub task: Task,
    /// Name of the network, one of the library's tables.
    #[serde(default = "defaults::architecture")]
    pub architecture: String,
    /// Side of the square grey image that the network takes, in pixels.
    #[serde(default = "defaults::side_px")]
    pub side_px: usize,
    /// Where the weights start: an ONNX file of this project with the same network. Without it, they are random.
    #[serde(default)]
    pub initial_weights: Option<PathBuf>,
    /// Terms under which the weights may be used; written into the model.
    #[serde(default)]
    pub license: Option<String>,
    /// Number that every random draw derives from.
    #[serde(default)]
    pub seed: u64,
    /// The images.
    #[serde(default)]
    pub data: DataRecipe,
    /// What is done to an image each time it is shown.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// Most passes over the training images.
    #[serde(default = "defaults::epochs")]
    pub epochs: usize,
    /// Number of images per step.
    #[serde(default = "defaults::batch_size")]
    pub batch_size: usize,
    /// Step size of Adam (Kingma and Ba 2014) at the start.
    #[serde(default = "defaults::learning_rate")]
    pub learning_rate: f64,
    /// What becomes of the learning rate.
    #[serde(default)]
    pub schedule: Schedule,
    /// Share of the truth that is spread evenly over all classes, 0 to 1 (Szegedy et al. 2016).
    #[serde(default)]
    pub label_smoothing: f64,
    /// Networks whose answers are learned beside the labels. Without it, only the labels are.
    #[serde(default)]
    pub distillation: Option<Distillation>,
    /// Factors of the sum of squared weights in the loss, by the name of a convolution. Without it, mini-Xception has the
    /// paper's, 0.01 for `conv_1` and `conv_2`, and another network none.
    #[serde(default)]
    pub l2_penalty: Option<BTreeMap<String, f64>>,
    /// Keep a running average of the weights, in which each step weighs `1 - average_decay`, and validate and export that
    /// (Polyak and Juditsky 1992). Without it, the weights themselves are used.
    #[serde(default)]
    pub average_decay: Option<f64>,
    /// The figure on the validation images by which the best epoch is chosen, the learning rate reduced, and training ended.
    #[serde(default)]
    pub choose_by: Figure,
    /// Training ends where more epochs than this have not brought a better one. Without it, all epochs are run.
    #[serde(default = "defaults::early_stopping_patience")]
    pub early_stopping_patience: Option<usize>,
}

/// The images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataRecipe {
    /// Which images they are and on what terms they may be used; written into the model.
    pub description: Option<String>,
    /// How the images are labelled: folders, fer2013 (of which the part Training is taken), utkface or imdb-wiki.
    pub format: Format,
    /// Smallest age in years, for utkface.
    pub min_age_years: u32,
    /// Which images weigh more than others in what is minimized.
    pub balance: Balance,
    /// Share of the images that are kept for validation, 0 to 0.9, or from one to another as `0.25..0.5`; which ones, only
    /// their file names decide.
    pub validation_fraction: HeldOut,
    /// What is added around a validation image on each side, as a fraction of its longer side, by continuing its border.
    pub validation_margin: f64,
}

impl DataRecipe {
    /// The images at `path`, those for validation included.
    pub fn spec(&self, path: &Path) -> DatasetSpec {
        DatasetSpec {
            path: path.to_owned(),
            format: self.format,
            usage: (self.format == Format::Fer2013).then_some(Usage::Training),
            min_age: (self.format == Format::Utkface).then_some(self.min_age_years),
            held_out: None,
        }
    }
}

/// Which images weigh more than others. Rare ones weigh more, the mean weight is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// All weigh the same.
    #[default]
    Images,
    /// Each class weighs the same.
    Classes,
    /// Each class of each race weighs the same (UTKFace only), so that a race with few images counts as much as one with many.
    RacesAndClasses,
}

/// What is done to an image each time it is shown, each amount drawn evenly and anew. Lengths are fractions of the side of
/// the square that is cut out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Least and largest margin around the image, as `validation_margin`.
    pub margin: [f64; 2],
    /// Largest rotation to either side, in degrees.
    pub rotation_degrees: f64,
    /// Largest shift along each axis.
    pub shift: f64,
    /// Largest share by which the image grows or shrinks.
    pub zoom: f64,
    /// Largest change of brightness; 1 is from black to white.
    pub brightness: f64,
    /// Largest share by which the contrast grows or shrinks.
    pub contrast: f64,
    /// Least and largest amount of sharpening, for images that are softer than those to come: how many times what a blur takes
    /// away (Gaussian, of 0.6 pixels of the image, scaled down to about twice `side_px` where it is larger) is added. Below 0,
    /// the image is blurred. Validation images are taken as they are.
    pub sharpness: [f64; 2],
    /// Whether every other image is mirrored.
    pub mirror: bool,
}

/// Networks whose answers are learned beside the labels (Hinton, Vinyals, Dean 2015). They are asked once, before the first
/// epoch: an image's target is the same however it is augmented.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distillation {
    /// ONNX files of this project for the same task. Their probabilities are averaged.
    pub teachers: Vec<PathBuf>,
    /// Number of augmented views of an image over which a teacher's probabilities are averaged.
    pub views: u32,
    /// Share of the target that the teachers' answer makes up, 0 to 1; the label makes up the rest.
    pub weight: f64,
    /// Flattens the teachers' probabilities where it is above 1.
    #[serde(default = "defaults::temperature")]
    pub temperature: f64,
}

/// What becomes of the learning rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// It stays.
    Constant,
    /// It is multiplied by `factor` whenever more than `patience` epochs have not brought a better figure.
    ReduceOnPlateau {
        /// What it is multiplied by.
        factor: f64,
        /// Number of epochs.
        patience: usize,
    },
    /// It rises evenly over the first `warmup_epochs` and then falls along half a cosine to 0 at the last epoch's end
    /// (Loshchilov and Hutter 2017).
    Cosine {
        /// Number of epochs.
        warmup_epochs: f64,
    },
}

/// A figure on the validation images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Cross-entropy, without label smoothing; the smaller the better.
    #[default]
    Loss,
    /// Share of right answers.
    Accuracy,
    /// None: the last epoch is the best. For a schedule that ends at 0, and where the initial weights have seen the
    /// validation images, on which they look better than they are. Needs a constant or cosine `schedule` and no
    /// `early_stopping_patience`.
    Last,
}

impl Recipe {
    /// Reads a recipe and checks it.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("recipe {}", path.display()))
    }

    fn parse(yaml: &str) -> anyhow::Result<Self> {
        let mut recipe: Self = serde_yaml::from_str(yaml)?;
        recipe.l2_penalty.get_or_insert_with(|| defaults::l2_penalty(&recipe.architecture));
        recipe.check()?;
        Ok(recipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_task_is_needed() {
        let recipe = Recipe::parse("task: emotion").unwrap();
        assert_eq!((recipe.batch_size, recipe.learning_rate), (32, 1e-3));
        assert_eq!(recipe.schedule, Schedule::ReduceOnPlateau { factor: 0.1, patience: 12 });
        let text = serde_yaml::to_string(&recipe).unwrap();
        assert_eq!(Recipe::parse(&text).unwrap(), recipe);
        let penalty = |yaml: &str| Recipe::parse(yaml).unwrap().l2_penalty.unwrap();
        assert_eq!(penalty("task: emotion"), [("conv_1".to_owned(), 0.01), ("conv_2".to_owned(), 0.01)].into());
        assert_eq!(penalty("task: emotion\narchitecture: residual_cnn"), [].into());
    }

    #[test]
    fn the_recipes_of_the_repository_can_be_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let mut count = 0;
        for entry in folder.read_dir().unwrap() {
            Recipe::read(&entry.unwrap().path()).unwrap();
            count += 1;
        }
        assert!(count > 0);
    }
}
