//! The subcommand `train` as a user meets it: killed, resumed, exported, refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use face_attributes::attributes::{Attribute, Gender};
use face_attributes::network::Model;
use face_attributes_tools::dataset::HeldOut;
use opencv::core::Mat;
use opencv::imgcodecs::imwrite_def;
use opencv::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_face_attributes_training");

const RECIPE: &str = "
task: gender
side_px: 16
seed: 3
epochs: 4
batch_size: 8
learning_rate: 0.01
average_decay: 0.9
label_smoothing: 0.1
schedule: !reduce_on_plateau {factor: 0.5, patience: 1}
distillation: {teachers: [teacher.onnx], views: 2, weight: 0.5, temperature: 2}
data: {validation_fraction: 0.3, description: stripes}
";

/// One epoch of one network, for what does not depend on how much it learns.
const QUICK_RECIPE: &str = "
task: gender
side_px: 16
epochs: 1
batch_size: 8
schedule: constant
early_stopping_patience: null
";

/// A recipe and images of 20x14 noisy pixels with stripes: horizontal ones for one class, vertical ones for the other.
fn stripes() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for (class, name) in ["woman", "man"].into_iter().enumerate() {
        fs::create_dir_all(folder.path().join("data").join(name)).unwrap();
        for number in 0..24 {
            let pixels: Vec<u8> = (0..20 * 14)
                .map(|it| {
                    let stripe = if class == 0 { it / 20 } else { it % 20 };
                    (stripe / 3 % 2 * 120) as u8 + random.random_range(0..120)
                })
                .collect();
            let picture = Mat::from_slice(&pixels).unwrap();
            let path = folder.path().join(format!("data/{name}/{name}_{number}.png"));
            assert!(imwrite_def(path, &picture.reshape(1, 14).unwrap()).unwrap());
        }
    }
    fs::write(folder.path().join("recipe.yaml"), RECIPE).unwrap();
    let teacher = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/released/gender_mini_xception.onnx");
    fs::copy(teacher, folder.path().join("teacher.onnx")).unwrap();
    folder
}

fn train(folder: &Path, out: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder).args(["train", "recipe.yaml", "--data", "data", "--out", out]);
    command
}

fn train_to_the_end(folder: &Path, out: &str) -> Duration {
    let start = Instant::now();
    let output = train(folder, out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    start.elapsed()
}

/// What the trainer says on stderr when it fails.
fn failure(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM).current_dir(folder).args(arguments).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

/// The figures of each epoch, without the time that it took.
fn metrics(run: &Path) -> Vec<HashMap<String, String>> {
    let mut reader = csv::Reader::from_path(run.join("metrics.csv")).unwrap();
    let rows = reader.deserialize().map(|row| {
        let mut row: HashMap<String, String> = row.unwrap();
        row.remove("seconds").unwrap();
        row
    });
    rows.collect()
}

// No tolerance: the same operations are done on the same numbers in the same order.
#[test]
fn a_training_that_is_killed_at_random_moments_ends_like_one_that_is_not() {
    let folder = stripes();
    let duration = train_to_the_end(folder.path(), "whole");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = now.as_nanos() as u64;
    println!("moments drawn from {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..3 {
        let mut process = train(folder.path(), "killed").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // A moment, not an event: this is the one sleep that is meant.
        thread::sleep(duration.mul_f64(random.random_range(0.0..0.9)));
        process.kill().unwrap();
        process.wait().unwrap();
    }
    train_to_the_end(folder.path(), "killed");

    let [whole, killed] = ["whole", "killed"].map(|run| folder.path().join(run));
    let figures = metrics(&whole);
    assert_eq!(figures.len(), 4);
    assert_eq!(figures, metrics(&killed));
    for file in ["model.onnx", "recipe.yaml", "data.sha256", "teachers.csv"] {
        assert!(fs::read(whole.join(file)).unwrap() == fs::read(killed.join(file)).unwrap(), "{file} differs");
    }
    let entries = |run: &PathBuf| {
        let mut names: Vec<_> = run.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let expected = [
        "checkpoint",
        "confusion_matrix.png",
        "data.sha256",
        "learning_curves.png",
        "metrics.csv",
        "model.onnx",
        "recipe.yaml",
        "teachers.csv",
        "teachers.sha256",
    ];
    assert_eq!(entries(&whole), expected);
    assert_eq!(entries(&killed), expected);
}

#[test]
fn a_trained_network_is_exported_for_the_robot() {
    let folder = stripes();
    train_to_the_end(folder.path(), "run");
    let exported = folder.path().join("exported.onnx");
    let arguments = ["export", "run", "--temperature", "1.5", "--out", "exported.onnx"];
    let status = Command::new(PROGRAM).current_dir(folder.path()).args(arguments).status().unwrap();
    assert!(status.success());
    let model = Model::load(&exported, &Gender::outputs()).unwrap();
    let side = model.input_size().width;
    assert_eq!((side, model.run(&[100; 16 * 16]).unwrap().len()), (16, 2));
    let bytes = fs::read(&exported).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    for key in ["training_data", "training_data_sha256", "validation_accuracy", "weights_sha256", "temperature"] {
        assert!(text.contains(key), "{key}");
    }
}

// The training's last line says how many of the validation images the model of its best epoch gets right.
#[test]
fn an_evaluation_of_a_run_says_what_the_training_said() {
    let folder = stripes();
    train_to_the_end(folder.path(), "run");
    let arguments = ["evaluate", "run", "--data", "data"];
    let output = Command::new(PROGRAM).current_dir(folder.path()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = String::from_utf8(output.stdout).unwrap();
    let accuracy = |row: &HashMap<String, String>| row["validation_accuracy"].parse::<f64>().unwrap();
    let losses = metrics(&folder.path().join("run"));
    let best = losses
        .iter()
        .min_by(|a, b| a["validation_loss"].parse::<f64>().unwrap().total_cmp(&b["validation_loss"].parse().unwrap()));
    let expected = format!("accuracy {:.1}%", 100.0 * accuracy(best.unwrap()));
    assert!(report.contains(&expected), "{expected}\n{report}");
    let share: HeldOut = "0.3".parse().unwrap();
    let names = (0..24).flat_map(|number| ["woman", "man"].map(|name| format!("{name}_{number}.png")));
    let count = names.filter(|name| share.contains(Path::new(name))).count();
    assert!(report.trim_end().ends_with(&format!("{count} pictures, 0 failed")), "{count}\n{report}");
}

#[test]
fn what_prevents_a_training_is_told() {
    let folder = stripes();
    let message = |recipe: &str, data: &str, out: &str| {
        fs::write(folder.path().join("recipe.yaml"), recipe).unwrap();
        failure(folder.path(), &["train", "recipe.yaml", "--data", data, "--out", out])
    };
    let cases = [
        ("task: gender\nepoch: 3", "data", "unknown field `epoch`"),
        ("task: gender\nlearning_rate: 7", "data", "learning_rate is 7"),
        ("task: gender\narchitecture: vgg", "data", "there is no network 'vgg'"),
        ("task: gender\nside_px: 3", "data", "does not fit"),
        ("task: gender", "elsewhere", "elsewhere"),
        ("task: emotion", "data", "expected folders"),
        ("task: gender\ninitial_weights: no.onnx", "data", "no.onnx"),
        ("task: gender\ndata: {validation_fraction: 0}", "data", "no image to validate with"),
        ("task: gender\ndistillation: {teachers: [], views: 1, weight: 1}", "data", "distillation.teachers is empty"),
        (
            "task: gender\ndistillation: {teachers: [no.onnx], views: 1, weight: 1}",
            "data",
            "cannot read the teacher no.onnx",
        ),
        ("task: gender\nl2_penalty: {conv_9: 1}", "data", "no convolution 'conv_9'"),
    ];
    for (number, (recipe, data, reason)) in cases.into_iter().enumerate() {
        let message = message(recipe, data, &format!("run_{number}"));
        assert!(message.contains(reason), "{reason}: {message}");
    }
    fs::create_dir(folder.path().join("other")).unwrap();
    fs::write(folder.path().join("other/recipe.yaml"), "of another").unwrap();
    assert!(message(RECIPE, "data", "other").contains("another recipe"));

    train_to_the_end(folder.path(), "run");
    let started = format!("{QUICK_RECIPE}initial_weights: teacher.onnx\n");
    fs::write(folder.path().join("recipe.yaml"), &started).unwrap();
    train_to_the_end(folder.path(), "started");
    let initial = format!("{:x}", Sha256::digest(fs::read(folder.path().join("teacher.onnx")).unwrap()));
    let model = fs::read(folder.path().join("started/model.onnx")).unwrap();
    assert!(String::from_utf8_lossy(&model).contains(&initial), "{initial}");
    let teacher = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/gender_mini_xception.onnx");
    fs::copy(teacher, folder.path().join("teacher.onnx")).unwrap();
    assert!(message(RECIPE, "data", "run").contains("teachers.sha256 is of a training with another teacher"));
    let message = message(&started, "data", "started");
    assert!(message.contains("initial_weights.sha256 is of a training with another initial model"), "{message}");
}

#[test]
fn a_damaged_checkpoint_is_named() {
    let folder = stripes();
    fs::write(folder.path().join("recipe.yaml"), format!("{QUICK_RECIPE}average_decay: 0.9\n")).unwrap();
    train_to_the_end(folder.path(), "run");
    for name in ["weights.onnx", "average.onnx", "optimizer.bpk", "state.yaml"] {
        let path = folder.path().join("run/checkpoint/epoch_00001").join(name);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let message = failure(folder.path(), &["train", "recipe.yaml", "--data", "data", "--out", "run"]);
        assert!(message.contains("damaged") && message.contains(name), "{name}: {message}");
        fs::write(&path, whole).unwrap();
    }
}

/// Lets the only epoch of a run have diverged.
fn spoil(run: &Path) {
    let path = run.join("checkpoint/epoch_00001/state.yaml");
    let state = fs::read_to_string(&path).unwrap();
    let lines = state.lines().map(|line| match line.split_once("validation_loss: ") {
        Some((indent, _)) => format!("{indent}validation_loss: .nan\n"),
        None => format!("{line}\n"),
    });
    fs::write(&path, lines.collect::<String>()).unwrap();
}

#[test]
fn what_has_diverged_is_not_gone_on_with() {
    let folder = stripes();
    let recipe = folder.path().join("recipe.yaml");
    let reason = "state.yaml\n\nCaused by:\n    epoch 1: the validation loss is NaN";
    for figure in ["loss", "accuracy", "last"] {
        fs::write(&recipe, format!("{QUICK_RECIPE}choose_by: {figure}\n")).unwrap();
        train_to_the_end(folder.path(), figure);
        spoil(&folder.path().join(figure));
        let message = failure(folder.path(), &["train", "recipe.yaml", "--data", "data", "--out", figure]);
        assert!(message.contains(reason) && message.contains("give another --out"), "{message}");
    }
    let arguments = ["cross-validate", "recipe.yaml", "--data", "data", "--out", "runs", "--parts", "2"];
    let output = Command::new(PROGRAM).current_dir(folder.path()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    spoil(&folder.path().join("runs/part_2"));
    let message = failure(folder.path(), &arguments);
    assert!(message.starts_with("Error: part 2 of 2\n"), "{message}");
    assert!(message.contains("epoch 1: the validation loss is NaN"), "{message}");
}

// The output of a process that a test starts is no terminal.
#[test]
fn a_log_tells_how_far_each_long_loop_has_come() {
    let folder = stripes();
    let recipe = format!("{QUICK_RECIPE}distillation: {{teachers: [teacher.onnx], views: 1, weight: 0.5}}\n");
    fs::write(folder.path().join("recipe.yaml"), recipe).unwrap();
    let log = |arguments: &[&str], secs: &str| {
        let arguments = [arguments, &["--data", "data", "--progress-secs", secs]].concat();
        let output = Command::new(PROGRAM).current_dir(folder.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stderr).unwrap()
    };
    let told = log(&["train", "recipe.yaml", "--out", "told"], "0") + &log(&["evaluate", "told"], "0");
    let of = |task: &str| -> Vec<&str> { told.lines().filter(|line| line.starts_with(task)).collect() };
    for task in ["reading", "asking the teachers", "epoch 1/1", "validating epoch 1", "evaluating"] {
        let lines = of(task);
        assert!(lines.last().is_some_and(|line| line.starts_with(&format!("{task}: 100 % of "))), "{task}: {told}");
        assert!(lines.iter().all(|line| line.contains(" images, ") && line.contains(" left")), "{task}: {told}");
    }
    let epoch = of("epoch 1/1");
    assert!(epoch.len() > 2 && epoch.iter().all(|line| line.contains(" left, loss ")), "{told}");
    assert!(epoch[0].contains(", accuracy ") && !epoch[0].contains(": 100 % of"), "{told}");

    let silent =
        log(&["train", "recipe.yaml", "--out", "silent"], "1000000") + &log(&["evaluate", "silent"], "1000000");
    let of_images = |line: &str| line.starts_with("left out: 42 pictures that a training");
    assert!(silent.lines().all(of_images), "{silent}");
}

#[test]
fn a_cross_validation_asks_for_every_image_a_network_that_did_not_learn_from_it() {
    let folder = stripes();
    let recipe = folder.path().join("recipe.yaml");
    fs::write(&recipe, format!("{QUICK_RECIPE}choose_by: loss\n")).unwrap();
    let arguments = ["cross-validate", "recipe.yaml", "--data", "faces", "--out", "runs"];
    assert!(failure(folder.path(), &arguments).contains("choose_by has to be last"));

    fs::write(&recipe, format!("{QUICK_RECIPE}choose_by: last\ndata: {{format: utkface}}\n")).unwrap();
    let faces = folder.path().join("faces");
    fs::create_dir(&faces).unwrap();
    for (class, name) in [(1, "woman"), (0, "man")] {
        for number in 0..24 {
            let stripes = folder.path().join(format!("data/{name}/{name}_{number}.png"));
            fs::copy(stripes, faces.join(format!("30_{class}_0_{number}.png"))).unwrap();
        }
    }
    fs::write(faces.join("30_0_0_broken.png"), "no image").unwrap();
    fs::write(faces.join("misnamed.png"), "").unwrap();
    let cross_validate = || {
        let arguments = ["cross-validate", "recipe.yaml", "--data", "faces", "--out", "runs", "--parts", "3"];
        let arguments = arguments.into_iter().chain(["--max-error", "0.9", "--plot-selective", "curve.png"]);
        let output = Command::new(PROGRAM).current_dir(folder.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let report = cross_validate();
    assert!(report.contains("48 pictures, 2 failed\n"), "{report}");
    assert!(report.contains("at most 90.0% of the given answers are wrong in every group"), "{report}");
    assert!(folder.path().join("curve.png").exists());
    let counts: Vec<(u32, u32)> = report
        .lines()
        .filter_map(|line| line.strip_suffix(" to validate with")?.split_once("parameters; "))
        .map(|(_, counts)| counts.split_once(" images to train with, ").unwrap())
        .map(|(training, validation)| (training.parse().unwrap(), validation.parse().unwrap()))
        .collect();
    assert!(counts.len() == 3 && counts.iter().all(|(training, validation)| training + validation == 48), "{report}");
    assert_eq!(counts.iter().map(|(_, validation)| validation).sum::<u32>(), 48);
    // Each network is asked for what it was validated with, and not for another's part.
    let percents = |before: &str, after: &str| -> Vec<f64> {
        let number = |line: &str| line.split_once(before)?.1.split_once(after)?.0.parse().ok();
        report.lines().filter_map(number).collect()
    };
    // The accuracies differ, because the validation does not average with the mirrored image.
    let validated = percents("validation accuracy ", " %");
    assert!(validated.len() == 3 && validated.iter().any(|accuracy| *accuracy != validated[0]), "{report}");
    let answered = percents("% of ", " images").into_iter().map(|number| number as u32);
    assert!(answered.eq(counts.iter().map(|(_, validation)| *validation)), "{report}");
    // Asked for again, it trains no more.
    let again = cross_validate();
    let without_epochs: Vec<_> = report.lines().filter(|line| !line.starts_with("epoch ")).collect();
    assert_eq!(again.lines().collect::<Vec<_>>(), without_epochs);
}
