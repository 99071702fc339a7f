//! Which data, as the command line and configuration files say it.

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{Dataset, DatasetError, Usage, class_folders, fer2013, imdb_wiki, utkface};
use crate::attributes::{Attribute, Emotion, Gender};

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
    /// What to add around the pictures on each side, as a fraction of their longer side, where nothing else is said.
    ///
    /// UTKFace's pictures are cut close to the face, and the released gender network was trained on whole heads;
    /// models/README.md has its accuracy for each margin.
    pub fn default_margin(self) -> f64 {
        match self {
            Self::Folders | Self::Fer2013 | Self::ImdbWiki => 0.0,
            Self::Utkface => 0.4,
        }
    }
}

/// Which labelled data.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
pub struct DatasetSpec {
    /// The folder or file with the labelled pictures.
    #[arg(value_name = "DATA")]
    pub path: PathBuf,
    /// How the pictures are labelled.
    #[arg(long, default_value = "folders")]
    pub format: Format,
    /// Which part of fer2013; private-test where nothing is given.
    #[arg(long)]
    #[serde(default)]
    pub usage: Option<Usage>,
    /// Smallest age in years, for utkface; 18 where nothing is given, 0 for children as well.
    #[arg(long, value_name = "YEARS")]
    #[serde(default)]
    pub min_age: Option<u32>,
}

impl DatasetSpec {
    /// Finds the pictures.
    ///
    /// # Errors
    /// [`DatasetError`] where the data are other ones, say nothing of `A`, or cannot be chosen as asked for.
    pub fn load<A: Labelled>(&self) -> Result<Dataset<A>, DatasetError> {
        let no_choice = |what| Err(DatasetError::NoChoice { format: self.format, what });
        if self.usage.is_some() && self.format != Format::Fer2013 {
            return no_choice("usage");
        }
        if self.min_age.is_some() && self.format != Format::Utkface {
            return no_choice("age");
        }
        A::load(self)
    }
}

/// An attribute that data can be had for.
pub trait Labelled: Attribute {
    /// See [`DatasetSpec::load`], which checks the choices first.
    ///
    /// # Errors
    /// [`DatasetError`] where the data are other ones, or say nothing of this attribute.
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
    use super::*;

    fn refusal<A: Labelled>(format: Format, usage: Option<Usage>, min_age: Option<u32>) -> String {
        let spec = DatasetSpec { path: "no/such".into(), format, usage, min_age };
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
    fn formats_are_called_the_same_everywhere() {
        for format in Format::value_variants() {
            let argument = format.to_possible_value().unwrap();
            assert_eq!(argument.get_name(), format.to_string());
            assert_eq!(serde_json::to_value(format).unwrap(), format.to_string());
        }
    }
}
