//! The folder of a training. It stays usable when the training is killed at any moment.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use face_attributes_tools::task::Task;
use face_attributes_training::architecture::Network;

use super::learner::Snapshot;
use super::state::State;
use crate::model_file::weights_from_onnx;
use crate::onnx_encoding::encode_model;
use crate::onnx_export::{ModelCard, onnx_from_network};
use crate::recipe::Recipe;

/// The folder of a training.
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The best model so far.
    pub const MODEL: &'static str = "model.onnx";
    /// The answers of that model on the validation images.
    pub const CONFUSION_MATRIX: &'static str = "confusion_matrix.png";
    /// Loss and accuracy by epoch.
    pub const LEARNING_CURVES: &'static str = "learning_curves.png";
    /// The answers of the teachers on the training images.
    pub const TEACHERS: &'static str = "teachers.csv";
    /// The files of the teachers.
    pub const TEACHERS_CHECKSUMS: &'static str = "teachers.sha256";
    /// The file of the initial weights.
    pub const INITIAL_WEIGHTS_CHECKSUM: &'static str = "initial_weights.sha256";
    /// Prefix of the names of files while they are written.
    const PARTIAL: &'static str = "partial_";
    /// The recipe with all its defaults.
    pub const RECIPE: &'static str = "recipe.yaml";
    const CHECKSUMS: &'static str = "data.sha256";
    const METRICS: &'static str = "metrics.csv";
    const CHECKPOINTS: &'static str = "checkpoint";

    const WEIGHTS: &'static str = "weights.onnx";
    const AVERAGE: &'static str = "average.onnx";
    const OPTIMIZER: &'static str = "optimizer.bpk";
    const STATE: &'static str = "state.yaml";

    /// Opens a folder for a training of `recipe` on files with `checksums`: a new one, or one of the same training.
    pub fn open(path: &Path, recipe: &Recipe, checksums: &str) -> anyhow::Result<Self> {
        let folder = Self(path.to_owned());
        let checkpoints = path.join(Self::CHECKPOINTS);
        fs::create_dir_all(&checkpoints).with_context(|| format!("cannot create {}", checkpoints.display()))?;
        folder.remove_partial()?;
        folder.expect_or_write(Self::RECIPE, &serde_yaml::to_string(recipe)?, "recipe")?;
        folder.expect_or_write(Self::CHECKSUMS, checksums, "data")?;
        Ok(folder)
    }

    /// Writes `text` into the file `name`, or checks that the existing file contains it. `what` describes it for errors.
    pub fn expect_or_write(&self, name: &str, text: &str, what: &str) -> anyhow::Result<()> {
        let path = self.path(name);
        match fs::read_to_string(&path) {
            Ok(found) => {
                ensure!(found == text, "{} is of a training with another {what}; give another --out", path.display());
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.replace(name, |partial| Ok(fs::write(partial, text)?))
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Removes files that a kill left incomplete.
    fn remove_partial(&self) -> anyhow::Result<()> {
        let entries = fs::read_dir(&self.0).with_context(|| format!("cannot read {}", self.0.display()))?;
        for entry in entries {
            let path = entry?.path();
            let is_partial =
                path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(Self::PARTIAL.as_bytes()));
            if is_partial {
                let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// A file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file under another name with `write`, then renames it, which replaces an existing one.
    pub fn replace(&self, name: &str, write: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
        // The ending stays, because OpenCV takes the format from it.
        let partial = self.path(&format!("{}{name}", Self::PARTIAL));
        // Flushed to the disk, so that the name does not get there before the content.
        let sync = || fs::File::open(&partial)?.sync_all();
        let written = write(&partial).and_then(|()| Ok(sync().and_then(|()| fs::rename(&partial, self.path(name)))?));
        written.with_context(|| format!("cannot write {}", self.path(name).display()))
    }

    /// Writes the figures of all epochs.
    pub fn write_metrics(&self, state: &State) -> anyhow::Result<()> {
        self.replace(Self::METRICS, |partial| {
            let mut writer = csv::Writer::from_path(partial)?;
            state.epochs.iter().try_for_each(|metrics| writer.serialize(metrics))?;
            Ok(writer.flush()?)
        })
    }

    /// Writes a checkpoint and removes earlier ones.
    pub fn write_checkpoint(&self, network: &Network, task: Task, snapshot: &Snapshot) -> anyhow::Result<()> {
        let checkpoints = self.path(Self::CHECKPOINTS);
        let before = self.checkpoints()?;
        let partial = self.path(&format!("{}{}", Self::PARTIAL, Self::CHECKPOINTS));
        fs::create_dir(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
        let card = ModelCard { task, provenance: Vec::new() };
        let to_onnx = |weights| encode_model(&onnx_from_network(network, weights, &card)?);
        write_file(&partial.join(Self::WEIGHTS), &to_onnx(&snapshot.weights)?)?;
        if let Some(average) = &snapshot.average {
            write_file(&partial.join(Self::AVERAGE), &to_onnx(average)?)?;
        }
        write_file(&partial.join(Self::OPTIMIZER), &snapshot.optimizer)?;
        write_file(&partial.join(Self::STATE), serde_yaml::to_string(&snapshot.state)?.as_bytes())?;
        let complete = checkpoints.join(format!("epoch_{:05}", snapshot.state.epochs.len()));
        fs::rename(&partial, &complete).with_context(|| format!("cannot write {}", complete.display()))?;
        for old in before {
            fs::remove_dir_all(&old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
        Ok(())
    }

    /// Reads the newest checkpoint, if there is one.
    pub fn read_checkpoint(&self, network: &Network) -> anyhow::Result<Option<Snapshot>> {
        let Some(folder) = self.checkpoints()?.pop() else { return Ok(None) };
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let damaged = |name: &str| format!("damaged checkpoint {}", folder.join(name).display());
        let state: State = serde_yaml::from_slice(&read(Self::STATE)?).with_context(|| damaged(Self::STATE))?;
        state.check().with_context(|| folder.join(Self::STATE).display().to_string())?;
        let weights = |name: &str| weights_from_onnx(&read(name)?, network).with_context(|| damaged(name));
        Ok(Some(Snapshot {
            weights: weights(Self::WEIGHTS)?,
            average: if folder.join(Self::AVERAGE).exists() { Some(weights(Self::AVERAGE)?) } else { None },
            optimizer: read(Self::OPTIMIZER)?,
            state,
        }))
    }

    /// Complete checkpoints; the newest is the last.
    fn checkpoints(&self) -> anyhow::Result<Vec<PathBuf>> {
        let folder = self.path(Self::CHECKPOINTS);
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    }
}

/// Writes a file and flushes it to the disk, so that a checkpoint's name does not get there before its content.
fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let written = || {
        let mut file = fs::File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}
