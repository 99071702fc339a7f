//! `face_attributes occlude`.

use super::*;

/// Three faces of a woman, of which one is labelled wrongly.
fn faces() -> TempDir {
    class_folders(&["woman", "man"], &[("woman/a.png", 20), ("woman/b.png", 24), ("man/c.png", 20)])
}

fn occlude(folder: &TempDir, args: &[&str]) -> Assert {
    run([OsStr::new("occlude"), folder.path().as_os_str()].into_iter().chain(args.iter().map(OsStr::new)))
}

#[test]
fn json_has_the_figures_of_each_occlusion() {
    let report = json_lines(&occlude(&faces(), &["--task", "gender", "--json"]).code(0)).remove(0);
    assert_eq!(keys(&report), ["task", "classes", "occlusions", "failed"]);
    assert_eq!((&report["task"], &report["classes"]), (&json!("gender"), &json!(["woman", "man"])));
    let occlusions = report["occlusions"].as_array().unwrap();
    let names: Vec<_> = occlusions.iter().map(|occlusion| occlusion["hidden"].clone()).collect();
    let of_face = ["eyes", "brows", "mouth"];
    let shapes = ["", "dark ", "round ", "hexagonal ", "cat-eye ", "aviator "].map(|shape| format!("{shape}glasses"));
    let expected: Vec<_> = of_face.into_iter().map(str::to_owned).chain(shapes).collect();
    assert_eq!(names, expected);
    for occlusion in occlusions {
        assert_eq!(
            keys(occlusion),
            ["hidden", "count", "answer_changes", "probability_change", "accuracy", "accuracy_change", "recall_change"]
        );
        assert_eq!(occlusion["count"], 3);
        assert_eq!(occlusion["recall_change"].as_array().unwrap().len(), 2);
        // Something was done to the faces.
        assert_ne!(occlusion["probability_change"]["mean"].as_f64().unwrap(), 0.0);
    }
}

#[test]
fn text_is_a_table_of_the_region_asked_for() {
    let text = stdout(&occlude(&faces(), &["--task", "gender", "--region", "glasses"]).code(0));
    for words in ["answer changes", "of woman", "dark glasses", "95 % intervals; 3 faces, 0 failed"] {
        assert!(text.contains(words), "{text}");
    }
    assert!(!text.contains("mouth"), "{text}");
}

#[test]
fn the_picture_shows_where_the_classes_are_sensitive() {
    // One face: some 200 runs of the network.
    let folder = class_folders(&["woman", "man"], &[("woman/a.png", 20)]);
    let out = folder.path().join("map.png");
    let args = ["--task", "gender", "--region", "glasses", "--out", out.to_str().unwrap()];
    occlude(&folder, &args).code(0);
    let sheet = read_bgr(&out).unwrap();
    // The mean face, its map, and what was done to the faces: glasses of six kinds, beside the names of the rows.
    assert_eq!((sheet.cols() / 128, sheet.rows() / 128), (7, 3));
}

#[test]
fn an_image_that_fails_is_named_and_the_others_are_done() {
    let folder = faces();
    fs::write(folder.path().join("man/broken.png"), "no picture").unwrap();
    let assert = occlude(&folder, &["--task", "gender", "--json", "--region", "eyes"]).code(1);
    assert!(stderr(&assert).contains("broken.png"), "{}", stderr(&assert));
    let report = &json_lines(&assert)[0];
    assert_eq!((&report["failed"], &report["occlusions"][0]["count"]), (&json!(1), &json!(3)));
}

#[test]
fn wrong_usage_is_named() {
    let cases: [(&[&str], &str); 6] = [
        (&[], "--task"),
        (&["--task", "gender", "--region", "nose"], "'nose'"),
        (&["--task", "gender", "--average", "3"], "--out"),
        (&["--task", "emotion"], "not one of the expected folders"),
        (&["--task", "emotion", "--format", "utkface"], "utkface data do not say the emotion"),
        (&["--task", "gender", "--model", "no/such.onnx"], "no/such.onnx"),
    ];
    for (args, reason) in cases {
        let assert = occlude(&faces(), args).code(2);
        assert!(stderr(&assert).contains(reason), "{reason} is not in: {}", stderr(&assert));
    }
}
