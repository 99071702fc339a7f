//! The recipe of a training: a YAML file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use face_attributes::network::MAX_INPUT_SIDE_PX;
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

impl Default for DataRecipe {
    fn default() -> Self {
        Self {
            description: None,
            format: Format::Folders,
            min_age_years: 0,
            balance: Balance::Images,
            validation_fraction: HeldOut::default(),
            validation_margin: 0.0,
        }
    }
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            margin: [0.0, 0.0],
            rotation_degrees: 10.0,
            shift: 0.1,
            zoom: 0.1,
            brightness: 0.0,
            contrast: 0.0,
            sharpness: [0.0, 0.0],
            mirror: true,
        }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::ReduceOnPlateau { factor: 0.1, patience: 12 }
    }
}

/// The values of the paper and of its authors' published code.
mod defaults {
    use std::collections::BTreeMap;

    pub fn architecture() -> String {
        "mini_xception".to_owned()
    }

    pub fn side_px() -> usize {
        64
    }

    pub fn epochs() -> usize {
        10_000
    }

    pub fn batch_size() -> usize {
        32
    }

    pub fn learning_rate() -> f64 {
        1e-3
    }

    pub fn temperature() -> f64 {
        1.0
    }

    pub fn l2_penalty(architecture: &str) -> BTreeMap<String, f64> {
        let names: &[&str] = if architecture == self::architecture() { &["conv_1", "conv_2"] } else { &[] };
        names.iter().map(|name| ((*name).to_owned(), 0.01)).collect()
    }

    pub fn early_stopping_patience() -> Option<usize> {
        Some(50)
    }
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

    fn check(&self) -> anyhow::Result<()> {
        let Augmentation {
            margin: [least_margin, margin],
            rotation_degrees,
            shift,
            zoom,
            brightness,
            contrast,
            sharpness: [least_sharpness, sharpness],
            ..
        } = self.augmentation;
        let in_range = |name: &str, value: f64, range: std::ops::RangeInclusive<f64>| {
            ensure!(range.contains(&value), "{name} is {value}, expected {} to {}", range.start(), range.end());
            Ok(())
        };
        in_range("learning_rate", self.learning_rate, 1e-9..=1.0)?;
        in_range("label_smoothing", self.label_smoothing, 0.0..=0.9)?;
        in_range("average_decay", self.average_decay.unwrap_or(0.0), 0.0..=0.999_999)?;
        in_range("data.validation_fraction", self.data.validation_fraction.fraction(), 0.0..=0.9)?;
        in_range("data.validation_margin", self.data.validation_margin, 0.0..=10.0)?;
        in_range("augmentation.margin", margin, 0.0..=10.0)?;
        in_range("augmentation.margin", least_margin, 0.0..=margin)?;
        in_range("augmentation.rotation_degrees", rotation_degrees, 0.0..=180.0)?;
        in_range("augmentation.shift", shift, 0.0..=1.0)?;
        in_range("augmentation.zoom", zoom, 0.0..=0.9)?;
        in_range("augmentation.brightness", brightness, 0.0..=1.0)?;
        in_range("augmentation.contrast", contrast, 0.0..=1.0)?;
        in_range("augmentation.sharpness", sharpness, -1.0..=10.0)?;
        in_range("augmentation.sharpness", least_sharpness, -1.0..=sharpness)?;
        if let Some(distillation) = &self.distillation {
            ensure!(!distillation.teachers.is_empty(), "distillation.teachers is empty");
            in_range("distillation.views", f64::from(distillation.views), 1.0..=1000.0)?;
            in_range("distillation.weight", distillation.weight, 0.0..=1.0)?;
            in_range("distillation.temperature", distillation.temperature, 0.1..=100.0)?;
        }
        for (name, factor) in self.l2_penalty.iter().flatten() {
            in_range(&format!("l2_penalty.{name}"), *factor, 0.0..=1000.0)?;
        }
        if self.choose_by == Figure::Last {
            let on_plateau = matches!(self.schedule, Schedule::ReduceOnPlateau { .. });
            ensure!(
                !on_plateau,
                "schedule is reduce_on_plateau, but with choose_by: last no epoch is worse than another"
            );
            let patience = self.early_stopping_patience;
            ensure!(
                patience.is_none(),
                "early_stopping_patience has to be null, as with choose_by: last none stops early"
            );
        }
        match self.schedule {
            Schedule::Constant => {}
            Schedule::ReduceOnPlateau { factor, .. } => in_range("schedule.factor", factor, 0.0..=1.0)?,
            Schedule::Cosine { warmup_epochs } => {
                in_range("schedule.warmup_epochs", warmup_epochs, 0.0..=self.epochs as f64)?;
            }
        }
        let positive = [
            ("side_px", self.side_px, MAX_INPUT_SIDE_PX),
            ("epochs", self.epochs, 1_000_000),
            ("batch_size", self.batch_size, 1_000_000),
        ];
        for (name, value, largest) in positive {
            ensure!((1..=largest).contains(&value), "{name} is {value}, expected 1 to {largest}");
        }
        let needs_races = self.data.balance == Balance::RacesAndClasses;
        let has_races = self.data.format == Format::Utkface;
        ensure!(has_races || !needs_races, "data.balance asks for races, but only the format utkface tells them");
        Ok(())
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
    fn what_is_wrong_is_named() {
        let message = |yaml: &str| format!("{:#}", Recipe::parse(yaml).unwrap_err());
        assert!(message("architecture: mini_xception").contains("missing field `task`"));
        assert!(message("task: emotion\nlearning_rat: 1").contains("unknown field `learning_rat`"));
        assert!(message("task: emotion\naugmentation: {zom: 1}").contains("unknown field `zom`"));
        let too_smooth = message("task: emotion\nlabel_smoothing: 1");
        assert_eq!(too_smooth, "label_smoothing is 1, expected 0 to 0.9");
        let margins = message("task: gender\naugmentation: {margin: [0.5, 0.2]}");
        assert_eq!(margins, "augmentation.margin is 0.5, expected 0 to 0.2");
        let sharpness = |range: &str| message(&format!("task: emotion\naugmentation: {{sharpness: {range}}}"));
        assert_eq!(sharpness("[0, 20]"), "augmentation.sharpness is 20, expected -1 to 10");
        assert_eq!(sharpness("[0, .nan]"), "augmentation.sharpness is NaN, expected -1 to 10");
        assert_eq!(sharpness("[0.7, 0.1]"), "augmentation.sharpness is 0.7, expected -1 to 0.1");
        assert!(message("task: emotion\nbatch_size: 0").starts_with("batch_size is 0"));
        assert_eq!(message("task: emotion\nside_px: 2000"), "side_px is 2000, expected 1 to 1024");
        assert_eq!(message("task: emotion\nl2_penalty: {conv_1: -1}"), "l2_penalty.conv_1 is -1, expected 0 to 1000");
        assert!(message("task: emotion\nchoose_by: last").starts_with("schedule is reduce_on_plateau"));
        let patient = message("task: emotion\nchoose_by: last\nschedule: constant");
        assert!(patient.starts_with("early_stopping_patience has to be null"), "{patient}");
        let races = message("task: emotion\ndata: {balance: races_and_classes}");
        assert_eq!(races, "data.balance asks for races, but only the format utkface tells them");
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
