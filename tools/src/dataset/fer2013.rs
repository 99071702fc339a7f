//! FER-2013 as its original table.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use clap::ValueEnum;
use opencv::core::Size;
use serde::{Deserialize, Serialize};

use super::{Dataset, DatasetError, Picture, Sample};
use face_attributes::attributes::{Attribute, Emotion};

/// Side of the pictures in pixels.
const SIDE_PX: i32 = 48;
const PIXELS: usize = (SIDE_PX * SIDE_PX) as usize;

const EXPECTED: &str = "the original fer2013.csv, with the columns emotion, pixels and Usage";

/// Which part of FER-2013.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Usage {
    /// 28,709 pictures to learn from.
    Training,
    /// 3,589 pictures, in the challenge for its public ranking: to choose models by.
    PublicTest,
    /// 3,589 pictures, on which the field reports its accuracy.
    PrivateTest,
}

impl Usage {
    /// Its name in the table.
    fn name(self) -> &'static str {
        match self {
            Self::Training => "Training",
            Self::PublicTest => "PublicTest",
            Self::PrivateTest => "PrivateTest",
        }
    }
}

/// The pictures of one part of FER-2013 (Goodfellow et al. 2013, arXiv:1307.0414), 48x48 grey, from its table.
///
/// The columns may have any order and the values may stand in quotes, as copies of the table differ in it. All pictures are held
/// in memory, 2.3 kB each.
///
/// # Errors
/// [`DatasetError`] names the file that cannot be read, is another table, or has no sound row of this part. A broken row is
/// refused with its line.
pub fn fer2013(path: &Path, usage: Usage) -> Result<Dataset<Emotion>, DatasetError> {
    let damaged = |reason: String| DatasetError::Damaged { path: path.to_owned(), expected: EXPECTED, reason };
    let unreadable = |error: io::Error| damaged(error.to_string());
    let mut lines = BufReader::new(File::open(path).map_err(unreadable)?).split(b'\n').zip(1..);
    let header = lines.next().map_or_else(|| Ok(Vec::new()), |(header, _)| header).map_err(unreadable)?;
    let columns = Columns::find(&String::from_utf8_lossy(&header)).map_err(damaged)?;

    let (mut samples, mut refused) = (Vec::new(), Vec::new());
    for (row, line) in lines {
        let row = row.map_err(unreadable)?;
        if row.trim_ascii().is_empty() {
            continue;
        }
        match columns.read(&row, usage) {
            Ok(Some((truth, pixels))) => {
                let name = format!("{}, line {line}", path.display());
                let picture = Picture::Pixels { name, size: Size::new(SIDE_PX, SIDE_PX), pixels };
                samples.push(Sample { picture, truth, person: None });
            }
            Ok(None) => {}
            Err(problem) => refused.push(DatasetError::Line { path: path.to_owned(), line, problem }),
        }
    }
    if samples.is_empty() {
        let what = format!("sound row with the Usage {}", usage.name());
        let nothing_left = DatasetError::NothingLeft { path: path.to_owned(), what };
        return Err(refused.into_iter().next().unwrap_or(nothing_left));
    }
    let description = format!(
        "FER-2013 {} (Goodfellow et al. 2013; published for a challenge without a licence, used for research)",
        usage.name()
    );
    Ok(Dataset { description, samples, refused, left_out: Vec::new() })
}

/// Where the columns are.
struct Columns {
    emotion: usize,
    pixels: usize,
    usage: usize,
}

impl Columns {
    fn find(header: &str) -> Result<Self, String> {
        // Some programs mark the beginning of a text.
        let names: Vec<_> = header.trim_start_matches('\u{feff}').split(',').map(unquoted).collect();
        let find = |wanted: &str| {
            let is_found = |name: &Result<&str, _>| name.is_ok_and(|name| name.eq_ignore_ascii_case(wanted));
            names.iter().position(is_found).ok_or_else(|| format!("no column '{wanted}'"))
        };
        Ok(Self { emotion: find("emotion")?, pixels: find("pixels")?, usage: find("Usage")? })
    }

    /// Label and pixels of a row, `None` for one of another part.
    ///
    /// No value holds a comma or the end of a line. So a quote without its partner damages its own line only.
    fn read(&self, row: &[u8], usage: Usage) -> Result<Option<(Emotion, Vec<u8>)>, String> {
        let row = str::from_utf8(row).map_err(|_| "not UTF-8".to_owned())?;
        let values: Vec<_> = row.split(',').collect();
        let field = |index: usize, name: &str| {
            let value = values.get(index).ok_or_else(|| format!("no value for '{name}'"))?;
            unquoted(value).map_err(|problem| format!("'{name}' {problem}"))
        };
        let got = field(self.usage, "Usage")?;
        let parts = Usage::value_variants();
        let part = parts.iter().find(|part| part.name() == got).ok_or_else(|| {
            let known: Vec<_> = parts.iter().map(|part| part.name()).collect();
            format!("Usage is '{got}', expected one of {}", known.join(", "))
        })?;
        if *part != usage {
            return Ok(None);
        }
        let got = field(self.emotion, "emotion")?;
        let class = got.parse().ok().and_then(|class: usize| Emotion::CLASSES.get(class));
        let emotion = class.ok_or_else(|| format!("emotion is '{got}', expected 0 to 6"))?;
        let pixels = field(self.pixels, "pixels")?.split_ascii_whitespace();
        let pixels: Vec<u8> = pixels
            .map(|pixel| pixel.parse().map_err(|_| format!("a pixel is '{pixel}', expected 0 to 255")))
            .collect::<Result<_, _>>()?;
        if pixels.len() != PIXELS {
            return Err(format!("{} pixels, expected {SIDE_PX} x {SIDE_PX} = {PIXELS}", pixels.len()));
        }
        Ok(Some((*emotion, pixels)))
    }
}

/// A value without blanks and quotes around it.
fn unquoted(value: &str) -> Result<&str, &'static str> {
    let value = value.trim();
    let inside = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let inside = inside.unwrap_or(value);
    if inside.contains('"') { Err("has a quote without its partner") } else { Ok(inside.trim()) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use opencv::prelude::*;
    use tempfile::{NamedTempFile, TempPath};

    use super::*;

    fn csv(rows: &[String]) -> TempPath {
        let file = NamedTempFile::with_suffix(".csv").unwrap();
        fs::write(&file, rows.join("\n")).unwrap();
        file.into_temp_path()
    }

    /// Pixels of which no two neighbours are equal, from `first` on.
    fn pixels(first: usize, count: usize) -> String {
        (first..first + count).map(|value| (value % 251).to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_rows_of_one_part_are_read() {
        let rows = [
            "emotion,pixels,Usage".to_owned(),
            format!("3,{},Training", pixels(5, PIXELS)),
            format!("6,{},PublicTest", pixels(7, PIXELS)),
            format!("0,{},PrivateTest", pixels(9, PIXELS)),
        ];
        let path = csv(&rows);
        for (usage, emotion, first) in [
            (Usage::Training, Emotion::Happy, 5),
            (Usage::PublicTest, Emotion::Neutral, 7),
            (Usage::PrivateTest, Emotion::Angry, 9),
        ] {
            let dataset = fer2013(&path, usage).unwrap();
            let [sample] = &dataset.samples[..] else { panic!("{dataset:?}") };
            assert_eq!(sample.truth, emotion);
            let gray = sample.picture.read_gray().unwrap();
            assert_eq!((gray.cols(), gray.rows()), (48, 48));
            assert_eq!(*gray.at_2d::<u8>(2, 1).unwrap(), (first + 2 * 48 + 1) as u8);
            assert!(dataset.description.contains(usage.name()) && dataset.refused.is_empty());
        }
    }

    #[test]
    fn the_columns_may_have_another_order_and_blanks_in_their_names() {
        let rows = ["emotion, Usage, pixels".to_owned(), format!("4,PublicTest,{}", pixels(0, PIXELS))];
        assert_eq!(fer2013(&csv(&rows), Usage::PublicTest).unwrap().samples[0].truth, Emotion::Sad);
    }

    #[test]
    fn values_may_stand_in_quotes() {
        let rows =
            [r#""emotion","pixels","Usage""#.to_owned(), format!(r#""4"," {} ", "PublicTest""#, pixels(0, PIXELS))];
        let dataset = fer2013(&csv(&rows), Usage::PublicTest).unwrap();
        assert_eq!((dataset.samples[0].truth, dataset.refused.len()), (Emotion::Sad, 0));
    }

    #[test]
    fn a_stray_quote_loses_one_row_wherever_it_stands() {
        let whole = pixels(0, PIXELS);
        let stray = r#"has a quote without its partner"#;
        let cases = [
            (format!(r#"3,"{whole},PublicTest"#), format!("line 3: 'pixels' {stray}")),
            (format!(r#"3,{whole}",PublicTest"#), format!("line 3: 'pixels' {stray}")),
            (format!(r#"3,1 "{whole},PublicTest"#), format!("line 3: 'pixels' {stray}")),
            (format!(r#"3,"1 "" {whole}",PublicTest"#), format!("line 3: 'pixels' {stray}")),
            (format!(r#""3,{whole},PublicTest"#), format!("line 3: 'emotion' {stray}")),
            (format!(r#"3,{whole},"PublicTest"#), format!("line 3: 'Usage' {stray}")),
            (format!(r#"3,{whole},""#), format!("line 3: 'Usage' {stray}")),
        ];
        for (row, reason) in cases {
            for end in ["\n", "\r\n"] {
                let sound = format!("1,{whole},PublicTest");
                let rows = ["emotion,pixels,Usage", &sound, &row, &sound, &sound, ""].join(end);
                let dataset = fer2013(&csv(&[rows]), Usage::PublicTest).unwrap();
                let refused: Vec<_> = dataset.refused.iter().map(ToString::to_string).collect();
                assert!(refused.len() == 1 && refused[0].ends_with(&reason), "{row:.20} {refused:?}");
                let lines: Vec<_> = dataset.samples.iter().map(|it| it.picture.to_string()).collect();
                assert_eq!(lines.len(), 3);
                assert!(
                    ["line 2", "line 4", "line 5"].iter().zip(&lines).all(|(end, line)| line.ends_with(end)),
                    "{lines:?}"
                );
            }
        }
    }

    #[test]
    fn a_broken_row_is_refused_with_its_line_and_the_others_are_read() {
        let whole = pixels(0, PIXELS);
        let cases = [
            (format!("7,{whole},PublicTest"), "line 3: emotion is '7', expected 0 to 6"),
            (format!("1,{},PublicTest", pixels(0, PIXELS - 1)), "line 3: 2303 pixels, expected 48 x 48 = 2304"),
            (format!("1,256 {whole},PublicTest"), "line 3: a pixel is '256', expected 0 to 255"),
            (format!("1,{whole},Test"), "line 3: Usage is 'Test', expected one of Training, PublicTest, PrivateTest"),
            (format!("1,{whole}"), "line 3: no value for 'Usage'"),
            ("1".to_owned(), "line 3: no value for 'Usage'"),
        ];
        for (row, reason) in cases {
            let sound = format!("1,{whole},PublicTest");
            let rows = ["emotion,pixels,Usage".to_owned(), sound.clone(), row, sound];
            let dataset = fer2013(&csv(&rows), Usage::PublicTest).unwrap();
            let refused: Vec<_> = dataset.refused.iter().map(ToString::to_string).collect();
            assert!(refused.len() == 1 && refused[0].ends_with(reason), "{refused:?}");
            assert_eq!(dataset.samples.len(), 2);
        }
    }

    #[test]
    fn another_file_is_refused_with_what_was_expected() {
        let wrong = csv(&["emotion,Usage".to_owned(), "1,PublicTest".to_owned()]);
        let unused = csv(&["emotion,pixels,Usage".to_owned(), format!("1,{},Training", pixels(0, PIXELS))]);
        let folder = tempfile::tempdir().unwrap();
        let cases = [
            (
                wrong.to_path_buf(),
                "not the original fer2013.csv, with the columns emotion, pixels and Usage (no column",
            ),
            (unused.to_path_buf(), "no sound row with the Usage PublicTest"),
            (folder.path().to_owned(), "not the original fer2013.csv"),
            ("no/such.csv".into(), "no/such.csv: not the original fer2013.csv"),
        ];
        for (path, reason) in cases {
            let message = fer2013(&path, Usage::PublicTest).unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
    }
}
