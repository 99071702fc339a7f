//! The pictures that a training does not learn from.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::DatasetError;

/// A share of all pictures, 0 to 1, that a training does not learn from, written `0.15` or, as one part of several,
/// `0.25..0.5`. Shares that do not overlap have no picture in common. Other texts are refused with [`DatasetError::NoShare`].
///
/// Only the name of a picture's file, or of its row in a table, decides. So the selection is the same in every training and on
/// every machine, and does not change when pictures are added.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Text", into = "Text")]
pub struct HeldOut {
    from: f64,
    to: f64,
}

impl HeldOut {
    fn new(from: f64, to: f64) -> Result<Self, DatasetError> {
        let share = Self { from, to };
        let is_one = (0.0..=1.0).contains(&from) && (from..=1.0).contains(&to);
        is_one.then_some(share).ok_or_else(|| DatasetError::NoShare { text: share.to_string() })
    }

    /// All pictures in `count` parts of about the same size. There is no part where `count` is 0.
    pub fn parts(count: u32) -> impl Iterator<Item = Self> {
        let end = move |part: u32| f64::from(part) / f64::from(count);
        (0..count).map(move |part| Self { from: end(part), to: end(part + 1) })
    }

    /// The share of all pictures, 0 to 1.
    pub fn fraction(self) -> f64 {
        self.to - self.from
    }

    /// Whether a picture belongs to the share.
    pub fn contains(self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default();
        let digest = Sha256::digest(name.as_encoded_bytes());
        let first = digest.iter().take(4).fold(0, |number, byte| number << 8 | u64::from(*byte));
        let end = |share: f64| share * (1_u64 << 32) as f64;
        (end(self.from)..end(self.to)).contains(&(first as f64))
    }
}

/// A tenth.
impl Default for HeldOut {
    fn default() -> Self {
        Self { from: 0.0, to: 0.1 }
    }
}

impl fmt::Display for HeldOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        if *from == 0.0 { write!(f, "{to}") } else { write!(f, "{from}..{to}") }
    }
}

impl FromStr for HeldOut {
    type Err = DatasetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (from, to) = text.split_once("..").unwrap_or(("0", text));
        let (Ok(from), Ok(to)) = (from.parse(), to.parse()) else {
            return Err(DatasetError::NoShare { text: text.to_owned() });
        };
        Self::new(from, to)
    }
}

/// The form in a configuration file, where a single number is a number and not a text.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Fraction(f64),
    Range(String),
}

impl TryFrom<Text> for HeldOut {
    type Error = DatasetError;

    fn try_from(text: Text) -> Result<Self, Self::Error> {
        match text {
            Text::Fraction(to) => Self::new(0.0, to),
            Text::Range(text) => text.parse(),
        }
    }
}

impl From<HeldOut> for Text {
    fn from(share: HeldOut) -> Self {
        if share.from == 0.0 { Self::Fraction(share.to) } else { Self::Range(share.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_out(share: &str, path: &str) -> bool {
        share.parse::<HeldOut>().unwrap().contains(Path::new(path))
    }

    #[test]
    fn the_name_alone_decides() {
        let count = (0..1000).filter(|number| held_out("0.3", &format!("{number}.png"))).count();
        assert!((250..350).contains(&count), "{count}");
        for number in 0..100 {
            let [one, other] = ["a", "b/c"].map(|folder| held_out("0.3", &format!("{folder}/{number}.png")));
            assert_eq!(one, other);
        }
    }

    #[test]
    fn a_smaller_share_is_part_of_a_larger_one() {
        let names = || (0..1000).map(|number| format!("{number}.png"));
        assert!(names().all(|name| held_out("0.3", &name) || !held_out("0.1", &name)));
        assert!(names().all(|name| held_out("0.3", &name) == (held_out("0.1", &name) || held_out("0.1..0.3", &name))));
        assert!(names().all(|name| held_out("1", &name) && !held_out("0", &name)));
    }

    #[test]
    fn every_picture_is_in_one_part() {
        let parts: Vec<_> = HeldOut::parts(3).collect();
        for number in 0..1000 {
            let name = format!("{number}.png");
            assert_eq!(parts.iter().filter(|part| part.contains(Path::new(&name))).count(), 1);
        }
    }

    #[test]
    fn shares_are_read_as_they_are_written() {
        for text in ["0.15", "0.25..0.5"] {
            let share: HeldOut = text.parse().unwrap();
            assert_eq!(share.to_string(), text);
            assert_eq!(serde_yaml::to_string(&share).unwrap().trim(), text);
            assert_eq!(serde_yaml::from_str::<HeldOut>(text).unwrap(), share);
        }
        for text in ["15", "-0.1", "NaN", "0.5..0.25", "0.5..", "half"] {
            let message = text.parse::<HeldOut>().unwrap_err().to_string();
            assert_eq!(message, format!("a share is 0 to 1, or from one to another as 0.25..0.5; got {text}"));
        }
        assert!(serde_yaml::from_str::<HeldOut>("15").unwrap_err().to_string().contains("a share is 0 to 1"));
    }
}
