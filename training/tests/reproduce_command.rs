//! The recipe runner `training/reproduce`: killed, gone on with, changed and refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use opencv::core::Mat;
use opencv::imgcodecs::imwrite_def;
use opencv::prelude::*;
use tempfile::TempDir;

const TRAINER: &str = env!("CARGO_BIN_EXE_face_attributes_training");

/// A teacher and its student, each of a few epochs.
const STEPS: &str = r#"[
    {"name": "train-teacher", "makes": ["runs/train-teacher/model.onnx"], "needs": ["recipes/teacher.yaml"],
     "data": ["{utkface}"],
     "command": ["{trainer}", "train", "recipes/teacher.yaml", "--data", "{utkface}", "--out", "runs/train-teacher"]},
    {"name": "export-teacher", "makes": ["models/teacher.onnx"], "needs": ["runs/train-teacher/model.onnx"],
     "command": ["{trainer}", "export", "runs/train-teacher", "--out", "models/teacher.onnx"]},
    {"name": "train-student", "makes": ["runs/train-student/model.onnx"],
     "needs": ["recipes/student.yaml", "models/teacher.onnx"], "data": ["{utkface}"],
     "command": ["{trainer}", "train", "recipes/student.yaml", "--data", "{utkface}", "--out", "runs/train-student"]},
    {"name": "export-student", "makes": ["models/student.onnx"], "needs": ["runs/train-student/model.onnx"],
     "command": ["{trainer}", "export", "runs/train-student", "--temperature", "1.5", "--out", "models/student.onnx"]}
]"#;

const RECIPE: &str = "
task: gender
side_px: 16
batch_size: 8
learning_rate: 0.01
schedule: constant
choose_by: last
early_stopping_patience: null
average_decay: 0.9
data: {validation_fraction: 0.3}
augmentation:
  camera: {share: 0.7, blur: 0.05, noise: 0.1, compression: 0.1, low_light: 0.5, smallest_face_px: 6, box_offset: 0.2}
";

/// A repository with two recipes and the steps, and images of noise, brighter for one class.
fn repository() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (class, name) in ["woman", "man"].into_iter().enumerate() {
        fs::create_dir_all(folder.path().join("data").join(name)).unwrap();
        for number in 0..12_usize {
            let pixel = |it: usize| ((it * it * 31 + number * 17) % 97 + 90 * class) as u8;
            let picture = Mat::from_slice(&(0..20 * 14).map(pixel).collect::<Vec<_>>()).unwrap().try_clone().unwrap();
            let path = folder.path().join(format!("data/{name}/{name}_{number}.png"));
            assert!(imwrite_def(path, &picture.reshape(1, 14).unwrap()).unwrap());
        }
    }
    fs::create_dir(folder.path().join("recipes")).unwrap();
    fs::write(folder.path().join("recipes/teacher.yaml"), format!("{RECIPE}epochs: 2\n")).unwrap();
    let distillation = "distillation: {teachers: [models/teacher.onnx], views: 2, weight: 0.5}";
    fs::write(folder.path().join("recipes/student.yaml"), format!("{RECIPE}epochs: 4\n{distillation}\n")).unwrap();
    fs::write(folder.path().join("steps.json"), STEPS).unwrap();
    folder
}

fn reproduce(repository: &Path, out: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("reproduce"))
        .args(["--steps", "steps.json", "--root", ".", "--utkface", "data", "--out", out])
        .args(["--programs", Path::new(TRAINER).parent().unwrap().to_str().unwrap()])
        .args(arguments)
        .current_dir(repository);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it prints on its way to the end.
fn done(repository: &Path, out: &str, arguments: &[&str]) -> String {
    let output = reproduce(repository, out, arguments).output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn refused(repository: &Path, arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = reproduce(repository, "out", arguments).output().unwrap();
    assert_eq!(status.code(), Some(2));
    text(&stderr)
}

fn made(repository: &Path, out: &str) -> [Vec<u8>; 2] {
    ["teacher", "student"].map(|name| fs::read(repository.join(format!("{out}/tree/models/{name}.onnx"))).unwrap())
}

/// Kills it when it prints a line that begins like this in a step.
fn killed_at(repository: &Path, step: &str, line: &str) {
    let mut process = reproduce(repository, "killed", &[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|it| it.starts_with(step)) && lines.any(|it| it.starts_with(line)), "{step} {line} is not said");
    process.kill().unwrap();
    process.wait().unwrap();
    // The training holds this end open until it is dead too.
    assert_eq!(lines.filter(|it| it.starts_with("models/")).count(), 0);
}

#[test]
fn without_a_gpu_its_networks_are_those_of_the_repository() {
    let folder = tempfile::tempdir().unwrap();
    let list = |options: &[&str]| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("reproduce");
        let out = folder.path().join("out");
        let output =
            Command::new("python3").arg(script).args(["--list", "--out"]).arg(out).args(options).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let [all, without] = [list(&[]), list(&["--without-gpu"])];
    for step in ["train-on-gpu: ", "export-emotion: "] {
        assert!(all.contains(step) && !without.contains(step), "{all}{without}");
    }
    for step in ["train-teacher: ", "card-gender: "] {
        assert!(all.contains(step) && without.contains(step), "{all}{without}");
    }
}

#[test]
fn killed_in_the_middle_and_started_again_it_ends_the_same() {
    let repository = repository();
    let repository = repository.path();
    done(repository, "whole", &[]);
    killed_at(repository, "train-teacher: ", "epoch 1: ");
    killed_at(repository, "train-student: ", "epoch 2: ");
    let rest = done(repository, "killed", &[]);
    for step in ["train-teacher", "export-teacher"] {
        assert!(rest.contains(&format!("{step}: done before\n")), "{rest}");
    }
    // An epoch is said before its checkpoint is written: the student goes on after its first or its second one.
    assert!(!rest.contains("epoch 1: ") && rest.contains("epoch 4: "), "{rest}");
    assert_eq!(made(repository, "whole"), made(repository, "killed"));
    let again = done(repository, "killed", &[]);
    assert_eq!(again.matches(": done before\n").count(), 4, "{again}");
}

#[test]
fn what_has_changed_is_made_again_and_nothing_else() {
    let repository = repository();
    let repository = repository.path();
    let list = || done(repository, "out", &["--list"]);
    assert_eq!(list().matches(": to do; makes ").count(), 4, "{}", list());
    done(repository, "out", &[]);
    assert_eq!(list().matches(": done; makes ").count(), 4, "{}", list());
    let before = made(repository, "out");
    // A file that was made is damaged: it is made again, and the steps after it find what they had.
    fs::write(repository.join("out/tree/models/student.onnx"), "damaged").unwrap();
    assert!(list().contains("export-student: to do again: its files have changed"), "{}", list());
    let again = done(repository, "out", &[]);
    assert_eq!((again.matches(": done before\n").count(), made(repository, "out") == before), (3, true), "{again}");
    // Another recipe: the run of the old one cannot go on.
    let recipe = repository.join("recipes/student.yaml");
    fs::write(&recipe, fs::read_to_string(&recipe).unwrap() + "seed: 5\n").unwrap();
    let again = done(repository, "out", &[]);
    assert!(again.contains("train-student: to do again: changed is recipes/student.yaml\n"), "{again}");
    assert!(again.contains("epoch 4: ") && again.contains("train-teacher: done before\n"), "{again}");
    let after = made(repository, "out");
    assert!(after[0] == before[0] && after[1] != before[1]);
}

#[test]
fn what_was_made_is_compared_and_installed() {
    let repository = repository();
    let repository = repository.path();
    let said = done(repository, "out", &[]);
    assert!(said.contains("models/student.onnx: not as in the repository\n"), "{said}");
    fs::create_dir(repository.join("models")).unwrap();
    fs::write(repository.join("models/other.onnx"), "another network").unwrap();
    fs::write(repository.join("models/SHA256SUMS"), "0  other.onnx\n0  student.onnx\n").unwrap();
    assert_eq!(reproduce(repository, "out", &["--check"]).status().unwrap().code(), Some(1));
    done(repository, "out", &["--install"]);
    assert_eq!(fs::read(repository.join("models/student.onnx")).unwrap(), made(repository, "out")[1]);
    let checked = Command::new("sha256sum").args(["-c", "SHA256SUMS"]).current_dir(repository.join("models")).output();
    assert!(checked.unwrap().status.success());
    let said = done(repository, "out", &["--check"]);
    assert!(said.contains("models/student.onnx: as in the repository\n"), "{said}");
}

#[test]
fn what_cannot_be_done_is_named() {
    let repository = repository();
    let repository = repository.path();
    let unknown = refused(repository, &["--only", "train-cat"]);
    assert!(unknown.contains("no step 'train-cat'; there are train-teacher, export-teacher"), "{unknown}");
    let too_early = refused(repository, &["--only", "train-student"]);
    assert!(too_early.contains("needs models/teacher.onnx, which the step export-teacher makes"), "{too_early}");
    assert!(refused(repository, &["--utkface", "no/such"]).contains("no/such: no such folder"));
    assert!(refused(repository, &["--programs", "no/programs"]).contains("cannot run"));
    fs::remove_file(repository.join("recipes/teacher.yaml")).unwrap();
    assert!(refused(repository, &[]).contains("recipes/teacher.yaml: no such file"));
}

// The table at the top of the runner: every recipe that it names is there, and its order is one in which it can be done.
#[test]
fn the_steps_of_the_repository_can_be_listed() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("reproduce");
    let out = tempfile::tempdir().unwrap();
    let output = Command::new("python3").arg(script).arg("--list").arg("--out").arg(out.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    for made in
        ["models/emotion_mini_xception.onnx", "models/gender_mini_xception.onnx", "models/gender_mini_xception.md"]
    {
        assert!(lines.contains(made), "{lines}");
    }
    assert!(lines.lines().all(|line| line.contains(": to do; makes ")), "{lines}");
}
