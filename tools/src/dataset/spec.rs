//! The choice of data on the command line and in configuration files.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{Dataset, DatasetError, HeldOut, LeftOut, Usage, class_folders, fer2013, imdb_wiki, utkface};
use face_attributes::attributes::{Attribute, Emotion, Gender};

/// The age in years from which people are adults.
pub const ADULT_YEARS: u32 = 18;

/// The form of labelled data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A folder with a folder of images for each class.
    Folders,
    /// The original table fer2013.csv (emotion).
    Fer2013,
    /// A folder with `<age>_<gender>_<race>_<date>.jpg.chip.jpg`, also in folders directly below it (gender).
    Utkface,
    /// The folder of wiki_crop.tar or imdb_crop.tar, with wiki.mat or imdb.mat in it (gender).
    ImdbWiki,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folders => "folders",
            Self::Fer2013 => "fer2013",
            Self::Utkface => "utkface",
            Self::ImdbWiki => "imdb-wiki",
        })
    }
}

impl Format {
    /// The default margin around the pictures on each side, as a fraction of their longer side.
    ///
    /// UTKFace's pictures are cropped tightly, and gender networks need a part of the head. models/README.md has the accuracy
    /// for each margin.
    pub fn default_margin(self) -> f64 {
        match self {
            Self::Folders | Self::Fer2013 | Self::ImdbWiki => 0.0,
            Self::Utkface => 0.4,
        }
    }
}

/// A choice of labelled data.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
pub struct DatasetSpec {
    /// The folder or file with the labelled pictures.
    #[arg(value_name = "DATA")]
    pub path: PathBuf,
    /// How the pictures are labelled.
    #[arg(long, default_value = "folders")]
    pub format: Format,
    /// The part of fer2013; the default is private-test.
    #[arg(long)]
    #[serde(default)]
    pub usage: Option<Usage>,
    /// Smallest age in years, for utkface; the default is 18, and 0 includes children.
    #[arg(long, value_name = "YEARS")]
    #[serde(default)]
    pub min_age: Option<u32>,
    /// Only this share of the pictures, 0 to 1, or a range as 0.25..0.5: those that a training with this
    /// `validation_fraction` does not learn from.
    #[arg(long, value_name = "SHARE")]
    #[serde(default)]
    pub held_out: Option<HeldOut>,
}

impl DatasetSpec {
    /// Finds the pictures.
    ///
    /// # Errors
    /// [`DatasetError`] where the data have another form, have no labels for `A`, or cannot be selected as requested.
    pub fn load<A: Labelled>(&self) -> Result<Dataset<A>, DatasetError> {
        let no_choice = |what| Err(DatasetError::NoChoice { format: self.format, what });
        if self.usage.is_some() && self.format != Format::Fer2013 {
            return no_choice("usage");
        }
        if self.min_age.is_some() && self.format != Format::Utkface {
            return no_choice("age");
        }
        let mut dataset = A::load(self)?;
        if let Some(share) = self.held_out {
            self.keep_held_out(&mut dataset, share)?;
        }
        Ok(dataset)
    }

    fn keep_held_out<A>(&self, dataset: &mut Dataset<A>, share: HeldOut) -> Result<(), DatasetError> {
        let count = dataset.samples.len();
        dataset.samples.retain(|sample| share.contains(Path::new(&sample.picture.to_string())));
        if dataset.samples.is_empty() {
            let what = format!("picture among the share {share} that is held out");
            return Err(DatasetError::NothingLeft { path: self.path.clone(), what });
        }
        let what = format!("pictures that a training with validation_fraction {share} learns from");
        let count = (count - dataset.samples.len()) as u64;
        dataset.left_out.push(LeftOut { what, count, names: Vec::new() });
        Ok(())
    }
}

/// An attribute for which there are labelled data.
pub trait Labelled: Attribute {
    /// See [`DatasetSpec::load`], which checks the choices first.
    ///
    /// # Errors
    /// [`DatasetError`] where the data have another form, or no labels for this attribute.
    fn load(spec: &DatasetSpec) -> Result<Dataset<Self>, DatasetError>;
}

impl Labelled for Emotion {
    fn load(spec: &DatasetSpec) -> Result<Dataset<Self>, DatasetError> {
        match spec.format {
            Format::Folders => class_folders(&spec.path),
            Format::Fer2013 => fer2013(&spec.path, spec.usage.unwrap_or(Usage::PrivateTest)),
            format @ (Format::Utkface | Format::ImdbWiki) => Err(DatasetError::Unlabelled { format, task: Self::TASK }),
        }
    }
}

impl Labelled for Gender {
    fn load(spec: &DatasetSpec) -> Result<Dataset<Self>, DatasetError> {
        match spec.format {
            Format::Folders => class_folders(&spec.path),
            Format::Utkface => utkface(&spec.path, spec.min_age.unwrap_or(ADULT_YEARS)),
            Format::ImdbWiki => imdb_wiki(&spec.path),
            format @ Format::Fer2013 => Err(DatasetError::Unlabelled { format, task: Self::TASK }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_folder::folder_with;
    use super::*;

    fn refusal<A: Labelled>(format: Format, usage: Option<Usage>, min_age: Option<u32>) -> String {
        let spec = DatasetSpec { path: "no/such".into(), format, usage, min_age, held_out: None };
        spec.load::<A>().unwrap_err().to_string()
    }

    #[test]
    fn what_the_data_do_not_say_is_refused() {
        let cases = [
            (refusal::<Emotion>(Format::Utkface, None, None), "utkface data do not say the emotion"),
            (refusal::<Emotion>(Format::ImdbWiki, None, None), "imdb-wiki data do not say the emotion"),
            (refusal::<Gender>(Format::Fer2013, None, None), "fer2013 data do not say the gender"),
            (refusal::<Emotion>(Format::Folders, None, Some(3)), "folders data do not say the age"),
            (refusal::<Gender>(Format::Utkface, Some(Usage::Training), None), "utkface data do not say the usage"),
        ];
        for (message, reason) in cases {
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn what_trainings_learn_from_is_left_out() {
        let names: Vec<_> = (0..200).map(|number| format!("{}_1_0_{number}.jpg", 18 + number % 50)).collect();
        let folder = folder_with(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let load = |share: Option<&str>| {
            let held_out = share.map(|share| share.parse().unwrap());
            let path = folder.path().to_owned();
            let spec = DatasetSpec { path, format: Format::Utkface, usage: None, min_age: Some(30), held_out };
            spec.load::<Gender>()
        };
        let (all, held_out) = (load(None).unwrap(), load(Some("0.3")).unwrap());
        let share: HeldOut = "0.3".parse().unwrap();
        let expected: Vec<_> =
            all.samples.iter().filter(|it| share.contains(Path::new(&it.picture.to_string()))).cloned().collect();
        assert!(!expected.is_empty() && expected.len() < all.samples.len());
        assert_eq!(held_out.samples, expected);
        let left_out = held_out.left_out.last().unwrap();
        assert_eq!(left_out.count as usize, all.samples.len() - expected.len());
        let nothing = load(Some("0")).unwrap_err().to_string();
        assert!(nothing.contains("no picture among the share 0 that is held out"), "{nothing}");
    }

    #[test]
    fn formats_are_called_the_same_everywhere() {
        for format in Format::value_variants() {
            let argument = format.to_possible_value().unwrap();
            assert_eq!(argument.get_name(), format.to_string());
            assert_eq!(serde_json::to_value(format).unwrap(), format.to_string());
        }
    }
}
