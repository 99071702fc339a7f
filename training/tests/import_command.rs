//! The subcommand `import` with files that it has to refuse.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use assert_cmd::Command;
use tempfile::TempDir;

/// Standard error of an import that has to fail and to write nothing.
fn refusal(folder: &TempDir, file: &str) -> String {
    let out = folder.path().join("out.onnx");
    let assert = Command::cargo_bin("face_attributes_training")
        .unwrap()
        .args(["import", "--task", "emotion", "--source-package", "a package"])
        .arg(folder.path().join(file))
        .arg("--out")
        .arg(&out)
        .assert()
        .code(1)
        .stdout("");
    assert!(!out.exists());
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

#[test]
fn refusals_name_the_file() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("text.hdf5"), "no HDF5").unwrap();
    fs::write(folder.path().join("empty.json"), "{}").unwrap();
    fs::write(folder.path().join("weights.pt"), "").unwrap();
    for file in ["missing.hdf5", "missing.json", "text.hdf5", "empty.json", "weights.pt"] {
        let message = refusal(&folder, file);
        assert!(message.contains(file), "{message}");
    }
}

#[test]
fn the_reason_of_a_refusal_is_told() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("empty.json"), "{}").unwrap();
    fs::write(folder.path().join("weights.pt"), "").unwrap();
    assert!(refusal(&folder, "missing.hdf5").contains("No such file"));
    assert!(refusal(&folder, "empty.json").contains("missing field `modelTopology`"));
    assert!(refusal(&folder, "weights.pt").contains("expected .hdf5, .h5"));
}
