//! The command line as users run it: what it prints, which files it names, and how it exits.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, also in a function that it calls")]

mod detect;
mod evaluate;
mod explain;
mod hold;
mod inputs;
mod occlude;
#[path = "../videos/mod.rs"]
mod videos;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io};

use assert_cmd::assert::Assert;
use assert_cmd::cargo::cargo_bin_cmd;
use face_attributes_tools::moving_picture::MovingPicture;
use face_attributes_tools::source::read_bgr;
use opencv::core::{CV_8UC3, Mat, Rect, Scalar, Size};
use opencv::imgcodecs::imwrite_def;
use opencv::imgproc::{COLOR_BGR2GRAY, INTER_AREA, cvt_color_def, resize};
use opencv::prelude::*;
use opencv::videoio::VideoWriter;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The face in the portrait: x, y, width, height in pixels.
const FACE: [i32; 4] = [176, 66, 95, 95];

fn run(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Assert {
    cargo_bin_cmd!("face_attributes").args(args).assert()
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

/// The JSON objects on standard output, one a line.
fn json_lines(assert: &Assert) -> Vec<Value> {
    stdout(assert).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn repository_file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn portrait() -> PathBuf {
    repository_file("tests/data/astronaut.jpg")
}

fn write_picture(path: &Path, picture: &Mat) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(imwrite_def(path, picture).unwrap());
}

/// The portrait's face with `margin` pixels around it.
fn face_crop(margin: i32) -> Mat {
    let [x, y, width, height] = FACE;
    let portrait = read_bgr(&portrait()).unwrap();
    let crop = Rect::new(x - margin, y - margin, width + 2 * margin, height + 2 * margin);
    Mat::roi(&portrait, crop).unwrap().try_clone().unwrap()
}

fn blank(width: i32, height: i32) -> Mat {
    Mat::new_rows_cols_with_default(height, width, CV_8UC3, Scalar::all(128.0)).unwrap()
}

fn parameter_file(folder: &TempDir, parameters: &str) -> PathBuf {
    let path = folder.path().join("parameters.yaml");
    fs::write(&path, format!("/**:\n  ros__parameters: {parameters}\n")).unwrap();
    path
}

/// A folder for each class, with the portrait's face in files, each cut out with so many pixels around it.
fn class_folders(classes: &[&str], faces: &[(&str, i32)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for class in classes {
        fs::create_dir(folder.path().join(class)).unwrap();
    }
    for (name, margin) in faces {
        write_picture(&folder.path().join(name), &face_crop(*margin));
    }
    folder
}
