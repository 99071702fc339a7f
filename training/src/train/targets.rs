//! Target probabilities: the smoothed label, and the answers of the teachers.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use face_attributes::attributes::Attribute;
use face_attributes::network::Model;
use opencv::core::Mat;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::augment::View;
use crate::data::{Dataset, hex};
use crate::progress::{Progress, ProgressOptions};
use crate::random::{Purpose, numbers};
use crate::recipe::{Distillation, Recipe};

/// A row for each training image, a column for each class.
pub struct Targets {
    values: Vec<f32>,
    class_count: usize,
}

impl Targets {
    /// Target probabilities, multiplied by the weight of the image. `answers` are those of [`ask_teachers`], where the recipe
    /// has teachers.
    pub fn new(dataset: &Dataset, recipe: &Recipe, class_count: usize, answers: Option<&[Vec<f32>]>) -> Self {
        let smoothing = recipe.label_smoothing as f32;
        let weight = recipe.distillation.as_ref().map_or(0.0, |distillation| distillation.weight) as f32;
        let target = |position: usize, class: usize| {
            let example = &dataset.training[position];
            let label = smoothing / class_count as f32 + if class == example.class { 1.0 - smoothing } else { 0.0 };
            let answer = answers.map_or(label, |answers| answers[position][class]);
            (label + weight * (answer - label)) * example.weight
        };
        let positions = 0..dataset.training.len();
        let values = positions.flat_map(|position| (0..class_count).map(move |class| (position, class)));
        let values = values.map(|(position, class)| target(position, class)).collect();
        Self { values, class_count }
    }

    /// The row of the training image at `position`.
    pub fn row(&self, position: usize) -> &[f32] {
        &self.values[position * self.class_count..][..self.class_count]
    }
}

/// The answers of a recipe's teachers on each training image: probabilities, averaged over the teachers and over augmented
/// views, and flattened by the temperature.
pub fn ask_teachers<A: Attribute>(
    recipe: &Recipe,
    distillation: &Distillation,
    dataset: &Dataset,
    options: ProgressOptions,
) -> anyhow::Result<Vec<Vec<f32>>> {
    let teachers = distillation.teachers.iter().map(|path| anyhow::Ok((path, Model::load(path, &A::outputs())?)));
    let teachers = teachers.collect::<anyhow::Result<Vec<_>>>()?;
    let answer_count = (teachers.len() * distillation.views as usize) as f32;
    let progress = Progress::start("asking the teachers", dataset.training.len(), options);
    let examples = dataset.training.par_iter().enumerate();
    let answers = examples.map(|(position, example)| {
        let mut sum = vec![0.0; A::CLASSES.len()];
        for view in 0..distillation.views {
            let mut numbers = numbers(recipe.seed, view, Purpose::Teachers(position as u32));
            let view = View::draw(&recipe.augmentation, &mut numbers);
            for (path, teacher) in &teachers {
                let answer = ask(teacher, &view, &example.image).with_context(|| path.display().to_string())?;
                sum.iter_mut().zip(answer).for_each(|(sum, probability)| *sum += probability / answer_count);
            }
        }
        progress.advance(1);
        Ok(softened(sum, distillation.temperature as f32))
    });
    let answers = answers.collect();
    progress.finish();
    answers
}

fn ask(teacher: &Model, view: &View, picture: &Mat) -> anyhow::Result<Vec<f32>> {
    let size = teacher.input_size();
    ensure!(size.width == size.height, "it takes {} x {} pixels, not a square", size.width, size.height);
    Ok(teacher.run(&view.pixels(picture, size.width as usize)?)?)
}

/// Probabilities proportional to the `1 / temperature`-th power of the given ones (Hinton, Vinyals, Dean 2015, section 2).
fn softened(mut shares: Vec<f32>, temperature: f32) -> Vec<f32> {
    shares.iter_mut().for_each(|share| *share = share.powf(1.0 / temperature));
    let sum: f32 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= sum);
    shares
}

/// SHA-256 and path of each teacher, one per line, in the format of `sha256sum`.
pub fn checksums(distillation: &Distillation) -> anyhow::Result<String> {
    let line = |path: &PathBuf| {
        let bytes = fs::read(path).with_context(|| format!("cannot read the teacher {}", path.display()))?;
        Ok(format!("{}  {}\n", hex(&Sha256::digest(bytes)), path.display()))
    };
    distillation.teachers.iter().map(line).collect()
}

/// Writes the teachers' answers, a line for each training image.
pub fn write_answers(answers: &[Vec<f32>], path: &Path) -> anyhow::Result<()> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_path(path)?;
    answers.iter().try_for_each(|answer| writer.serialize(answer))?;
    Ok(writer.flush()?)
}

/// Reads the answers that [`write_answers`] wrote for `count` images.
pub fn read_answers(path: &Path, count: usize, class_count: usize) -> anyhow::Result<Vec<Vec<f32>>> {
    let name = || path.display().to_string();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(path).with_context(name)?;
    let answers = reader.deserialize().collect::<Result<Vec<Vec<f32>>, _>>().with_context(name)?;
    let is_answer = |answer: &Vec<f32>| answer.len() == class_count && answer.iter().all(|it| it.is_finite());
    let is_complete = answers.len() == count && answers.iter().all(is_answer);
    ensure!(is_complete, "{}: expected {count} lines of {class_count} numbers; remove it to ask anew", path.display());
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Example;

    fn targets(recipe: &str, answers: Option<&[Vec<f32>]>) -> Vec<Vec<f32>> {
        let example = |class, weight| Example { image: Mat::default(), class, race: None, weight };
        let training = vec![example(0, 1.0), example(1, 2.0)];
        let dataset = Dataset { training, validation: Vec::new(), checksums: String::new() };
        let recipe: Recipe = serde_yaml::from_str(&format!("task: gender\n{recipe}")).unwrap();
        let targets = Targets::new(&dataset, &recipe, 2, answers);
        [0, 1].map(|position| targets.row(position).to_vec()).into()
    }

    #[test]
    fn a_target_is_the_label_softened_and_the_teachers_answer_in_its_share() {
        let close = |got: Vec<Vec<f32>>, expected: [[f32; 2]; 2]| {
            let pairs = got.iter().flatten().zip(expected.iter().flatten());
            assert!(pairs.clone().all(|(got, expected)| (got - expected).abs() < 1e-6), "{got:?}");
        };
        close(targets("", None), [[1.0, 0.0], [0.0, 2.0]]);
        close(targets("label_smoothing: 0.2", None), [[0.9, 0.1], [0.2, 1.8]]);
        let distillation = "distillation: {teachers: [a.onnx], views: 1, weight: 0.75}";
        close(targets(distillation, Some(&[vec![0.6, 0.4], vec![0.2, 0.8]])), [[0.7, 0.3], [0.3, 1.7]]);
    }

    #[test]
    fn a_temperature_flattens() {
        assert_eq!(softened(vec![0.25, 0.75], 1.0), [0.25, 0.75]);
        let root = softened(vec![0.1, 0.9], 2.0);
        assert!((root[0] - 0.25).abs() < 1e-6 && (root[1] - 0.75).abs() < 1e-6, "{root:?}");
    }

    #[test]
    fn answers_survive_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.csv");
        let answers = vec![vec![0.1_f32, 0.9], vec![1.0 / 3.0, 2.0 / 3.0], vec![1e-9, 1.0]];
        write_answers(&answers, &path).unwrap();
        assert_eq!(read_answers(&path, 3, 2).unwrap(), answers);
        let error = read_answers(&path, 4, 2).unwrap_err().to_string();
        assert!(error.contains("answers.csv: expected 4 lines of 2 numbers"), "{error}");
    }
}
