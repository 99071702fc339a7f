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

/// The network, the data and the method of a training. All fields but the task have a default: the paper's recipe for
/// mini-Xception.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Task of the network: `emotion` or `gender`.
    pub task: Task,
    /// Name of the network in `src/architecture/tables.rs`.
    #[serde(default = "defaults::architecture")]
    pub architecture: String,
    /// Side of the square grey input image of the network, in pixels.
    #[serde(default = "defaults::side_px")]
    pub side_px: usize,
    /// Initial weights: an ONNX file of this project with the same network. Of one that was trained for the other task, the last
    /// convolution begins anew. Without it, they are random.
    #[serde(default)]
    pub initial_weights: Option<PathBuf>,
    /// Whether filters of the initial weights that give 0 for every image begin anew, so that they learn too.
    // Left out where it is not set, so that the recipe of an earlier training keeps its checksum.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revive_dead_filters: bool,
    /// Terms under which the weights may be used; written into the model.
    #[serde(default)]
    pub license: Option<String>,
    /// Seed of all random numbers.
    #[serde(default)]
    pub seed: u64,
    /// The images.
    #[serde(default)]
    pub data: DataRecipe,
    /// Random changes of an image each time it is shown.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// Largest number of passes over the training images.
    #[serde(default = "defaults::epochs")]
    pub epochs: usize,
    /// Number of images per step.
    #[serde(default = "defaults::batch_size")]
    pub batch_size: usize,
    /// Initial learning rate of Adam (Kingma and Ba 2014).
    #[serde(default = "defaults::learning_rate")]
    pub learning_rate: f64,
    /// Schedule of the learning rate.
    #[serde(default)]
    pub schedule: Schedule,
    /// Label smoothing: the share of the target that is spread evenly over all classes, 0 to 1 (Szegedy et al. 2016).
    #[serde(default)]
    pub label_smoothing: f64,
    /// Networks whose answers are learned beside the labels. Without it, only the labels are learned.
    #[serde(default)]
    pub distillation: Option<Distillation>,
    /// Factors of the sum of squared weights in the loss, by the name of a convolution. Without it, mini-Xception has the
    /// paper's factors, 0.01 for `conv_1` and `conv_2`, and another network has none.
    #[serde(default)]
    pub l2_penalty: Option<BTreeMap<String, f64>>,
    /// Decay of a running average of the weights, in which each step has the weight `1 - average_decay`. The average is
    /// validated and exported (Polyak and Juditsky 1992). Without it, the weights themselves are used.
    #[serde(default)]
    pub average_decay: Option<f64>,
    /// The figure on the validation images that selects the best epoch, reduces the learning rate and ends the training.
    #[serde(default)]
    pub choose_by: Figure,
    /// Training ends after more epochs than this without a better one. Without it, all epochs are run.
    #[serde(default = "defaults::early_stopping_patience")]
    pub early_stopping_patience: Option<usize>,
}

/// The images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataRecipe {
    /// Name and terms of the images; written into the model.
    pub description: Option<String>,
    /// Form of the labels: folders, fer2013 (of which the part Training is used), utkface or imdb-wiki.
    pub format: Format,
    /// Smallest age in years, for utkface.
    pub min_age_years: u32,
    /// Weights of the images in the loss.
    pub balance: Balance,
    /// Share of the images for validation, 0 to 0.9, or a range as `0.25..0.5`. The file names decide which images are in it.
    pub validation_fraction: HeldOut,
    /// Margin around a validation image on each side, as a fraction of its longer side. Its border is replicated.
    pub validation_margin: f64,
}

impl DataRecipe {
    /// The images at `path`, including those for validation.
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

/// Weights of the images. Rare images have a higher weight; the mean weight is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// All images have the same weight.
    #[default]
    Images,
    /// Each class has the same total weight.
    Classes,
    /// Each class of each race has the same total weight (UTKFace only), so that a race with few images counts as much as the
    /// others.
    RacesAndClasses,
}

/// Random changes of an image each time it is shown. Amounts are drawn from uniform distributions. Lengths are fractions of the
/// side of the cropped square.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Smallest and largest margin around the image, in the unit of `validation_margin`.
    pub margin: [f64; 2],
    /// Largest rotation to either side, in degrees.
    pub rotation_degrees: f64,
    /// Largest shift along each axis.
    pub shift: f64,
    /// Largest relative change of the image's size.
    pub zoom: f64,
    /// Largest change of brightness; 1 is the range from black to white.
    pub brightness: f64,
    /// Largest relative change of the contrast.
    pub contrast: f64,
    /// Smallest and largest amount of sharpening, for training images that are softer than those in use. The amount is a factor
    /// of the difference from a blurred image (Gaussian of 0.6 pixels; a larger image is scaled down to about twice `side_px`
    /// first). A negative amount blurs. Validation images are not sharpened.
    pub sharpness: [f64; 2],
    /// Whether an image is mirrored with probability 0.5.
    pub mirror: bool,
    /// Share of the images on which random glasses are drawn, 0 to 1. Targets are those of the face without them.
    pub glasses: f64,
    /// Faults of a robot's camera. Without it, there are none. Targets are those of the face without them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera: Option<CameraRecipe>,
}

/// Random faults of a robot's camera. The amounts are the largest ones; 0 (the default) is none. Each kind occurs in half of the
/// images that have faults. `src/camera/` has their forms, which are not those of `face_attributes evaluate --corrupt`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CameraRecipe {
    /// Share of the images that have faults, 0 to 1.
    pub share: f64,
    /// Radius of the blur, as a fraction of the image's longer side.
    pub blur: f64,
    /// Amplitude of the noise; 1 is the range from black to white.
    pub noise: f64,
    /// Step to which the cosine coefficients of blocks of 8x8 pixels are rounded; 1 is the range from black to white.
    pub compression: f64,
    /// Loss of light: with 1, white has 0.4 of its brightness, and darker tones lose more.
    pub low_light: f64,
    /// Light from one side, and shade on the other.
    pub back_light: f64,
    /// Smallest size of the face in the camera's image, in pixels of its longer side. Sizes are drawn up to three times this.
    pub smallest_face_px: u32,
    /// Shift of the face's box along each axis, and change of its side, as fractions of the side.
    pub box_offset: f64,
    /// Turn of the head to either side (yaw), in degrees. `rotation_degrees` of the augmentation is for tilts.
    pub turn_degrees: f64,
}

/// Networks whose answers are learned beside the labels (Hinton, Vinyals, Dean 2015). They answer once, before the first epoch.
/// So an image has the same target in each augmentation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distillation {
    /// ONNX files of this project for the same task. Their probabilities are averaged.
    pub teachers: Vec<PathBuf>,
    /// Number of augmented views of an image over which a teacher's probabilities are averaged.
    pub views: u32,
    /// Share of the teachers' answer in the target, 0 to 1; the label has the rest.
    pub weight: f64,
    /// Temperature of the teachers' probabilities; above 1, it flattens them.
    #[serde(default = "defaults::temperature")]
    pub temperature: f64,
}

/// Schedule of the learning rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// It is constant.
    Constant,
    /// It is multiplied by `factor` after more than `patience` epochs without a better figure.
    ReduceOnPlateau {
        /// Factor of the learning rate.
        factor: f64,
        /// Number of epochs.
        patience: usize,
    },
    /// It rises linearly over the first `warmup_epochs` and then falls along half a cosine to 0 at the end of the last epoch
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
    /// Cross-entropy without label smoothing; smaller is better.
    #[default]
    Loss,
    /// Share of right answers.
    Accuracy,
    /// None: the last epoch is the best. For a schedule that ends at 0, and for initial weights that have learned from the
    /// validation images. Requires a constant or cosine `schedule` and no `early_stopping_patience`.
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
