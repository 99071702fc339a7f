//! Defaults of the fields of a recipe: the values of the paper and of its authors' published code.

use std::collections::BTreeMap;

use face_attributes_tools::dataset::{Format, HeldOut};

use super::{Augmentation, Balance, DataRecipe, Schedule};

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
            glasses: 0.0,
            camera: None,
        }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::ReduceOnPlateau { factor: 0.1, patience: 12 }
    }
}

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
