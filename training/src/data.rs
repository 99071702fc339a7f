//! The images of a training, which are decoded once and kept in memory.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use face_attributes::attributes::crop::crop_face;
use face_attributes::attributes::{Emotion, Gender};
use face_attributes::faces::BoundingBox;
use face_attributes_tools::dataset::{DatasetSpec, Labelled, Picture, Race};
use face_attributes_tools::task::Task;
use opencv::core::{Mat, Size};
use opencv::imgproc::{INTER_AREA, resize};
use opencv::prelude::*;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::progress::{Progress, ProgressOptions};
use crate::recipe::{Balance, Recipe};

/// An image with the position of its class in the task.
pub struct Example<T> {
    /// The image.
    pub image: T,
    /// Position of its class in [`CLASSES`](face_attributes::attributes::Attribute::CLASSES).
    pub class: usize,
    /// Race, where the data have it.
    pub race: Option<Race>,
    /// Weight in the loss.
    pub weight: f32,
}

/// A picture, the position of its class, and the race where the data have it.
type LabelledPicture = (Picture, usize, Option<Race>);

/// The images of a training.
pub struct Dataset {
    /// Whole grey pictures for training, each scaled down to the resolution that augmentation can use.
    pub training: Vec<Example<Mat>>,
    /// Grey pixels for validation, as the robot gives them to the network.
    pub validation: Vec<Example<Vec<u8>>>,
    /// SHA-256 of each file and its path in the folder, one per line, in the format of `sha256sum`. Where pictures are rows of
    /// a table, SHA-256 of the pixels.
    pub checksums: String,
}

impl Dataset {
    /// Reads the images in `folder`. A file that is not an image, or has no label, is named on stderr and skipped.
    pub fn load(recipe: &Recipe, folder: &Path, options: ProgressOptions) -> anyhow::Result<Self> {
        let mut pictures = labelled_pictures(recipe, folder)?;
        pictures.sort_by_cached_key(|(picture, ..)| picture.to_string());
        let progress = Progress::start("reading", pictures.len(), options);
        // The names of a table's rows begin with the name of the table.
        let named_from = if folder.is_dir() { folder } else { folder.parent().unwrap_or(folder) };
        let loaded: Vec<_> = pictures
            .into_par_iter()
            .filter_map(|picture| {
                let loaded = load_picture(recipe, named_from, &picture);
                progress.advance(1);
                loaded.inspect_err(|error| progress.warn(&skipped(error))).ok()
            })
            .collect();
        progress.finish();
        let mut dataset = Self { training: Vec::new(), validation: Vec::new(), checksums: String::new() };
        for picture in loaded {
            writeln!(dataset.checksums, "{}  {}", picture.sha256, picture.name)?;
            match picture.example {
                Half::Training(example) => dataset.training.push(example),
                Half::Validation(example) => dataset.validation.push(example),
            }
        }
        balance(&mut dataset.training, recipe.data.balance);
        let count = dataset.training.len() + dataset.validation.len();
        let share = recipe.data.validation_fraction;
        let none = |purpose| {
            let folder = folder.display();
            format!("{folder}: no image to {purpose} with, of {count} with data.validation_fraction {share}")
        };
        ensure!(!dataset.training.is_empty(), none("train"));
        ensure!(!dataset.validation.is_empty(), none("validate"));
        Ok(dataset)
    }

    /// SHA-256 of [`Dataset::checksums`].
    pub fn sha256_hex(&self) -> String {
        hex(&Sha256::digest(&self.checksums))
    }
}

struct LoadedPicture {
    name: String,
    sha256: String,
    example: Half,
}

enum Half {
    Training(Example<Mat>),
    Validation(Example<Vec<u8>>),
}

fn load_picture(
    recipe: &Recipe,
    folder: &Path,
    (picture, class, race): &LabelledPicture,
) -> anyhow::Result<LoadedPicture> {
    let (class, race, weight) = (*class, *race, 1.0);
    let sha256 = match picture {
        Picture::File(path) => {
            Sha256::digest(fs::read(path).with_context(|| format!("cannot read {}", path.display()))?)
        }
        Picture::Pixels { pixels, .. } => Sha256::digest(pixels),
    };
    let path = PathBuf::from(picture.to_string());
    let gray = picture.read_gray()?;
    let example = if recipe.data.validation_fraction.contains(&path) {
        let side = recipe.side_px as i32;
        let face = BoundingBox::of_image(gray.cols(), gray.rows());
        let crop = crop_face(&gray, face, recipe.data.validation_margin, Size::new(side, side))?;
        Half::Validation(Example { image: crop.data_bytes()?.to_vec(), class, race, weight })
    } else {
        Half::Training(Example { image: scaled_down(gray, recipe)?, class, race, weight })
    };
    let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
    Ok(LoadedPicture { name, sha256: hex(&sha256), example })
}

/// The picture, scaled down by area to twice the resolution of its least enlarged crop.
fn scaled_down(picture: Mat, recipe: &Recipe) -> anyhow::Result<Mat> {
    let largest = 2.0 * recipe.side_px as f64 / (1.0 + 2.0 * recipe.augmentation.margin[0]);
    let factor = largest / f64::from(picture.cols().max(picture.rows()));
    if factor >= 1.0 {
        return Ok(picture);
    }
    let side = |length: i32| (f64::from(length) * factor).round().max(1.0) as i32;
    let size = Size::new(side(picture.cols()), side(picture.rows()));
    let mut scaled = Mat::default();
    resize(&picture, &mut scaled, size, 0.0, 0.0, INTER_AREA)?;
    Ok(scaled)
}

fn labelled_pictures(recipe: &Recipe, path: &Path) -> anyhow::Result<Vec<LabelledPicture>> {
    let spec = recipe.data.spec(path);
    match recipe.task {
        Task::Emotion => pictures_of::<Emotion>(&spec),
        Task::Gender => pictures_of::<Gender>(&spec),
    }
}

fn pictures_of<A: Labelled>(spec: &DatasetSpec) -> anyhow::Result<Vec<LabelledPicture>> {
    let dataset = spec.load::<A>()?;
    for error in &dataset.refused {
        eprintln!("{}", skipped(error));
    }
    for left_out in dataset.left_out.iter().filter(|left_out| left_out.count > 0) {
        eprintln!("left out: {left_out}");
    }
    let samples = dataset.samples.into_iter();
    Ok(samples.map(|it| (it.picture, it.truth.position(), it.person.map(|person| person.race))).collect())
}

/// Sets the weights of images by [`Balance`].
fn balance(examples: &mut [Example<Mat>], balance: Balance) {
    let group = |example: &Example<Mat>| match balance {
        Balance::Images => (None, None),
        Balance::Classes => (None, Some(example.class)),
        Balance::RacesAndClasses => (example.race, Some(example.class)),
    };
    let mut counts: HashMap<_, usize> = HashMap::new();
    for example in examples.iter() {
        *counts.entry(group(example)).or_default() += 1;
    }
    let mean = examples.len() as f32 / counts.len() as f32;
    for example in examples {
        example.weight = mean / counts[&group(example)] as f32;
    }
}

fn skipped(error: &impl std::fmt::Display) -> String {
    format!("skipped: {error:#}")
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use opencv::imgcodecs::imwrite_def;

    use super::*;

    #[test]
    fn broken_images_are_skipped_and_the_others_split_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let pixels: Vec<u8> = (0..30 * 20).map(|it| (it % 251) as u8).collect();
        let picture = Mat::from_slice(&pixels).unwrap();
        let picture = picture.reshape(1, 20).unwrap();
        for class in ["woman", "man"] {
            fs::create_dir(folder.path().join(class)).unwrap();
            for number in 0..20 {
                assert!(imwrite_def(folder.path().join(format!("{class}/{number}.png")), &picture).unwrap());
            }
        }
        fs::write(folder.path().join("man/broken.png"), "no image").unwrap();
        let recipe = "{task: gender, side_px: 8, data: {validation_fraction: 0.5}}";
        let recipe: Recipe = serde_yaml::from_str(recipe).unwrap();
        let dataset = Dataset::load(&recipe, folder.path(), ProgressOptions::default()).unwrap();
        let counts = (dataset.training.len(), dataset.validation.len());
        assert!(counts.0 + counts.1 == 40 && counts.0 > 5 && counts.1 > 5, "{counts:?}");
        assert_eq!(dataset.checksums.lines().count(), 40);
        assert!(dataset.checksums.lines().next().unwrap().ends_with("  man/0.png"));
        // Twice the side, and the picture's shape.
        let size = dataset.training[0].image.size().unwrap();
        assert_eq!((size.width, size.height), (16, 11));
        assert_eq!(dataset.validation[0].image.len(), 64);
        // man comes first in the folder's order, but is the second class.
        assert_eq!(dataset.training[0].class, 1);
        let again = Dataset::load(&recipe, folder.path(), ProgressOptions::default()).unwrap();
        assert_eq!(dataset.sha256_hex(), again.sha256_hex());
    }

    #[test]
    fn the_checksums_of_a_table_do_not_depend_on_where_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let pixels = vec!["7"; 48 * 48].join(" ");
        let rows: String = (0..20).map(|row| format!("{},{pixels},Training\n", row % 7)).collect();
        let recipe = "{task: emotion, side_px: 8, data: {format: fer2013, validation_fraction: 0.5}}";
        let recipe: Recipe = serde_yaml::from_str(recipe).unwrap();
        let [one, other] = ["a", "b/c"].map(|below| {
            let folder = folder.path().join(below);
            fs::create_dir_all(&folder).unwrap();
            let table = folder.join("fer2013.csv");
            fs::write(&table, format!("emotion,pixels,Usage\n{rows}")).unwrap();
            Dataset::load(&recipe, &table, ProgressOptions::default()).unwrap().checksums
        });
        assert_eq!(one, other);
        assert!(one.lines().next().unwrap().ends_with("  fer2013.csv, line 10"), "{one}");
    }

    #[test]
    fn a_balance_makes_rare_images_weigh_more() {
        let labels = [
            (0, Race::Asian),
            (0, Race::Asian),
            (0, Race::Asian),
            (1, Race::Asian),
            (0, Race::Black),
            (1, Race::Black),
        ];
        let weights = |mode| {
            let example = |(class, race)| Example { image: Mat::default(), class, race: Some(race), weight: 0.0 };
            let mut examples = labels.map(example);
            balance(&mut examples, mode);
            examples.map(|example| example.weight)
        };
        assert_eq!(weights(Balance::Images), [1.0; 6]);
        assert_eq!(weights(Balance::Classes), [0.75, 0.75, 0.75, 1.5, 0.75, 1.5]);
        assert_eq!(weights(Balance::RacesAndClasses), [0.5, 0.5, 0.5, 1.5, 1.5, 1.5]);
    }
}
