//! `face_attributes explain`.

use super::*;

/// The portrait's face as FER-2013 has faces, grey and small, under the names of two people.
fn face_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, margin) in [("a", 0), ("b", 6)] {
        write_picture(&folder.path().join(format!("{name}.png")), &face_crop(margin));
    }
    folder
}

fn explain(args: &[&str]) -> Assert {
    run(["explain"].iter().chain(args))
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn json_has_what_another_implementation_needs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("sheet.png");
    let [portrait, out] = [portrait(), out].map(|path| path.to_str().unwrap().to_owned());
    let assert = explain(&["--json", "--out", &out, &portrait]).code(0);
    let [face] = &json_lines(&assert)[..] else { panic!("{}", stdout(&assert)) };
    assert_eq!(
        keys(face),
        [
            "file",
            "roi",
            "task",
            "method",
            "target",
            "layer",
            "neuron",
            "label",
            "probabilities",
            "width",
            "height",
            "pixels",
            "saliency"
        ]
    );
    assert_eq!(
        (&face["task"], &face["method"], &face["target"]),
        (&json!("emotion"), &json!("guided"), &json!("happy"))
    );
    assert_eq!((&face["layer"], &face["neuron"], &face["label"]), (&Value::Null, &Value::Null, &json!("happy")));
    // The cascade's boxes differ by some pixels between versions of OpenCV.
    assert!((face["roi"]["x"].as_i64().unwrap() - i64::from(FACE[0])).abs() <= 20);
    assert_eq!((&face["width"], &face["height"]), (&json!(64), &json!(64)));
    assert_eq!((floats(&face["pixels"]).len(), floats(&face["probabilities"]).len()), (64 * 64, 7));
    let saliency = floats(&face["saliency"]);
    assert_eq!(saliency.len(), 64 * 64);
    assert!(saliency.iter().any(|value| *value > 0.1));
    // One row: a name and three tiles.
    let sheet = read_bgr(Path::new(&out)).unwrap();
    assert!(sheet.cols() > 3 * 128 && (129..256).contains(&sheet.rows()), "{sheet:?}");
}

#[test]
fn a_neuron_is_explained_where_it_looks() {
    let folder = face_folder();
    let face = folder.path().join("a.png");
    let face = face.to_str().unwrap();
    let args = ["--json", "--cropped", "--method", "gradient", "--layer", "conv_2", "--neuron", "3,37,20", face];
    let report = json_lines(&explain(&args).code(0)).remove(0);
    assert_eq!((&report["target"], &report["layer"]), (&Value::Null, &json!("conv_2")));
    assert_eq!(report["neuron"], json!([3, 37, 20]));
    assert_eq!(report["roi"], json!({"x": 0, "y": 0, "width": FACE[2], "height": FACE[3]}));
    // Two convolutions of 3 x 3 without padding see 5 x 5 pixels.
    let seen = |index: usize| (37..42).contains(&(index / 64)) && (20..25).contains(&(index % 64));
    let saliency = floats(&report["saliency"]);
    assert!(saliency.iter().enumerate().all(|(index, value)| seen(index) || *value == 0.0));
    assert!(saliency.iter().any(|value| *value != 0.0));
}

#[test]
fn the_target_the_task_and_the_method_are_those_asked_for() {
    let folder = face_folder();
    let face = folder.path().join("a.png");
    let face = face.to_str().unwrap();
    let saliency_of = |args: &[&str]| {
        let report = json_lines(&explain(&[&["--json", "--cropped", face], args].concat()).code(0)).remove(0);
        (report["target"].clone(), floats(&report["saliency"]))
    };
    let (predicted, of_predicted) = saliency_of(&[]);
    assert_eq!(predicted, "happy");
    assert_eq!(saliency_of(&["--target", "happy"]).1, of_predicted);
    let (sad, of_sad) = saliency_of(&["--target", "sad"]);
    assert_eq!(sad, "sad");
    assert_ne!(of_sad, of_predicted);
    assert_eq!(saliency_of(&["--task", "gender", "--target", "man"]).0, "man");
    let (_, grad_cam) = saliency_of(&["--method", "grad-cam"]);
    assert!(grad_cam.iter().all(|value| *value >= 0.0) && grad_cam.iter().any(|value| *value > 0.0));
}

#[test]
fn an_image_that_fails_is_named_and_the_others_are_done() {
    let folder = face_folder();
    fs::write(folder.path().join("broken.png"), "no picture").unwrap();
    let out = folder.path().join("sheet.jpg");
    let [path, out] = [folder.path(), &out].map(|path| path.to_str().unwrap());
    let assert = explain(&["--json", "--cropped", "--out", out, path, "no/such.png"]).code(1);
    assert_eq!(json_lines(&assert).len(), 2);
    for name in ["broken.png", "no/such.png"] {
        assert!(stderr(&assert).contains(name), "{}", stderr(&assert));
    }
    assert!((2 * 129..3 * 256).contains(&read_bgr(Path::new(out)).unwrap().rows()));
}

#[test]
fn without_a_face_there_is_no_sheet() {
    let folder = tempfile::tempdir().unwrap();
    let [picture, out] = ["blank.png", "out.png"].map(|name| folder.path().join(name));
    write_picture(&picture, &blank(120, 90));
    let [path, sheet] = [&picture, &out].map(|path| path.to_str().unwrap());
    for args in [&["--out", sheet, path][..], &["--json", "--out", sheet, path]] {
        let assert = explain(args).code(1);
        let notes = format!("no face: {path}\nerror: no face was found, so {sheet} is not written\n");
        assert_eq!(stderr(&assert), notes);
        assert!(!out.exists());
    }
    // Without a picture to draw, no face is an answer.
    let assert = explain(&["--json", path]).code(0);
    assert_eq!((stdout(&assert), stderr(&assert)), (String::new(), format!("no face: {path}\n")));
    // One face is enough.
    let portrait = portrait();
    let assert = explain(&["--out", sheet, path, portrait.to_str().unwrap()]).code(0);
    assert_eq!(stderr(&assert), format!("no face: {path}\n"));
    assert!(out.exists());
}

#[test]
fn a_grid_has_rows_for_each_class_and_its_networks() {
    let folder = class_folders(&["woman", "man"], &[("woman/a.png", 0), ("woman/b.png", 6), ("man/c.png", 12)]);
    fs::write(folder.path().join("man/broken.png"), "no picture").unwrap();
    let out = folder.path().join("grid.png");
    let [path, out] = [folder.path(), &out].map(|path| path.to_str().unwrap());
    let model = repository_file("models/gender_mini_xception.onnx");
    let grid = |args: &[&str]| {
        let assert = explain(&[&["--task", "gender", "--grid", path, "--out", out], args].concat()).code(1);
        assert!(stderr(&assert).contains("broken.png"), "{}", stderr(&assert));
        let sheet = read_bgr(Path::new(out)).unwrap();
        // Beside the names, which take at least 84 pixels; tiles of 136 x 154.
        ((sheet.cols() - 84) / 136, sheet.rows() / 154)
    };
    // Two samples and the mean; per class its faces, and their saliency for one or two networks.
    assert_eq!(grid(&["--samples", "2"]), (3, 4));
    assert_eq!(grid(&["--samples", "2", "--second", model.to_str().unwrap()]), (3, 6));
    // Only the means: a column per class.
    assert_eq!(grid(&["--samples", "0"]), (2, 2));
}

#[test]
fn saliency_is_measured_by_class_and_network() {
    let folder = class_folders(&["woman", "man"], &[("woman/a.png", 0), ("woman/b.png", 6), ("man/c.png", 12)]);
    let path = folder.path().to_str().unwrap();
    let model = repository_file("models/released/gender_mini_xception.onnx");
    let args = ["--task", "gender", "--measure", path, "--second", model.to_str().unwrap()];
    let report = json_lines(&explain(&[&args[..], &["--json"]].concat()).code(0)).remove(0);
    assert_eq!(keys(&report), ["task", "method", "regions", "areas", "networks", "failed"]);
    assert_eq!(report["regions"], json!(["eyes", "brows", "mouth"]));
    let names: Vec<_> = report["networks"].as_array().unwrap().iter().map(|network| &network["network"]).collect();
    assert_eq!(names, ["built-in gender", "gender_mini_xception.onnx"]);
    for network in report["networks"].as_array().unwrap() {
        let [woman, man] = &network["classes"].as_array().unwrap()[..] else { panic!("{network}") };
        assert_eq!((&woman["class"], &woman["count"], &man["count"]), (&json!("woman"), &json!(2), &json!(1)));
        // Two crops of one face are alike; a single face has no others of its class.
        assert!(woman["stability"]["mean"].as_f64().unwrap() > 0.3, "{woman}");
        assert_eq!(man["stability"]["mean"], Value::Null);
        let [eyes, brows, mouth] = [0, 1, 2].map(|region| woman["regions"][region]["mean"].as_f64().unwrap());
        let on_features = woman["on_features"]["mean"].as_f64().unwrap();
        assert!((eyes + brows + mouth - on_features).abs() < 1e-9 && (0.05..1.0).contains(&on_features), "{woman}");
    }
    fs::write(folder.path().join("man/broken.png"), "no picture").unwrap();
    let assert = explain(&args).code(1);
    let (out, err) = (stdout(&assert), stderr(&assert));
    assert!(err.contains("broken.png") && out.contains("1 failed") && out.contains("share of the area"), "{out}{err}");
}

#[test]
fn wrong_usage_is_named() {
    let face = portrait();
    let face = face.to_str().unwrap();
    let cases: [(&[&str], &str); 13] = [
        (&["--measure", "faces", face], "--measure"),
        (&["--measure", "faces", "--grid", "faces"], "--grid"),
        (&[], "PATH"),
        (&["--target", "woman", face], "'woman' is no class of emotion, which are angry, disgust, fear"),
        (&["--task", "gender", "--target", "happy", face], "'happy' is no class of gender, which are woman, man"),
        (&["--layer", "conv_2", face], "--neuron"),
        (&["--neuron", "1,2,3", face], "--layer"),
        (&["--layer", "conv_2", "--neuron", "1,2", face], "CHANNEL,ROW,COLUMN"),
        (&["--layer", "conv_9", "--neuron", "1,2,3", face], "no layer 'conv_9'; it has conv_1"),
        (&["--layer", "conv_2", "--neuron", "1,2,3", "--target", "happy", face], "--target"),
        (&["--grid", "faces", face], "--grid"),
        (&["--model", "no/such.onnx", face], "no/such.onnx"),
        (&["--out", "no/such/folder/sheet.png", face], "no/such/folder/sheet.png"),
    ];
    for (args, reason) in cases {
        let assert = explain(args).code(2);
        assert!(stderr(&assert).contains(reason), "{reason} is not in: {}", stderr(&assert));
    }
}
