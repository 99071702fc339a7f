//! `face_attributes evaluate`.

use super::*;

const EMOTIONS: [&str; 7] = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];

/// Class folders in which a happy face is once labelled so and once, wrongly, sad.
fn emotion_folders() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for class in EMOTIONS {
        fs::create_dir(folder.path().join(class)).unwrap();
    }
    write_picture(&folder.path().join("happy/a.png"), &face_crop(0));
    write_picture(&folder.path().join("sad/b.png"), &face_crop(0));
    folder
}

fn evaluate(folder: &TempDir, args: &[&str]) -> Assert {
    run([OsStr::new("evaluate"), folder.path().as_os_str()].into_iter().chain(args.iter().map(OsStr::new)))
}

#[test]
fn json_holds_the_figures() {
    let assert = evaluate(&emotion_folders(), &["--task", "emotion", "--json"]).code(0);
    let [figures] = &json_lines(&assert)[..] else { panic!("{}", stdout(&assert)) };
    let mut confusion = vec![vec![0; 7]; 7];
    confusion[3][3] = 1;
    confusion[4][3] = 1;
    let expected = [
        ("accuracy", json!(0.5)),
        ("balanced_accuracy", json!(0.5)),
        ("classes", json!(EMOTIONS)),
        ("confusion", json!(confusion)),
        ("count", json!(2)),
        ("failed", json!(0)),
        ("groupings", json!([])),
        ("precision", json!([null, null, null, 0.5, null, null, null])),
        ("recall", json!([null, null, null, 1.0, 0.0, null, null])),
    ];
    for (key, value) in expected {
        assert_eq!(figures[key], value, "{key}");
    }
    // Of 1 right in 2: from 0.0945 to 0.9055.
    let low = figures["accuracy_interval"]["low"].as_f64().unwrap();
    assert!((low - 0.0945).abs() < 1e-4, "{low}");
    // One right and one wrong at the same confidence: the error is how far that is from a half.
    let error = figures["calibration"]["expected_error"].as_f64().unwrap();
    let bins = figures["calibration"]["bins"].as_array().unwrap();
    let bin = bins.iter().find(|bin| bin["count"] == 2).unwrap();
    assert!((bin["confidence"].as_f64().unwrap() - 0.5 - error).abs() < 1e-9, "{bin} {error}");
}

#[test]
fn text_shows_the_figures_as_a_table() {
    let text = stdout(&evaluate(&emotion_folders(), &["--task", "emotion"]).code(0));
    let line = "accuracy 50.0% (9.5 to 90.5%), balanced accuracy 50.0%, 2 pictures, 0 failed";
    assert!(text.contains(line) && text.contains("expected calibration error "), "{text}");
    let row = text.lines().find(|line| line.contains("sad") && !line.contains("happy")).unwrap();
    let cells: Vec<_> = row.split(['│', '┆']).map(str::trim).collect();
    assert_eq!(cells, ["", "sad", "0", "0", "0", "1", "0", "0", "0", "0.0%", ""]);
}

#[test]
fn an_image_that_fails_is_named_and_the_others_are_done() {
    let folder = emotion_folders();
    fs::write(folder.path().join("happy/broken.png"), "no picture").unwrap();
    let assert = evaluate(&folder, &["--task", "emotion", "--json"]).code(1);
    assert!(stderr(&assert).contains("broken.png"), "{}", stderr(&assert));
    let figures = &json_lines(&assert)[0];
    assert_eq!((&figures["count"], &figures["failed"]), (&json!(2), &json!(1)));
}

#[test]
fn without_one_image_that_can_be_read_the_figures_are_null() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["woman", "man"] {
        fs::create_dir(folder.path().join(class)).unwrap();
    }
    fs::write(folder.path().join("man/broken.png"), "no picture").unwrap();
    let plot = folder.path().join("plot.png");
    let assert = evaluate(&folder, &["--task", "gender", "--json", "--plot", plot.to_str().unwrap()]).code(1);
    let figures = &json_lines(&assert)[0];
    assert_eq!((&figures["accuracy"], &figures["count"]), (&Value::Null, &json!(0)));
    assert!(plot.is_file());
    evaluate(&folder, &["--task", "gender"]).code(1);
}

/// UTKFace's names: a woman of 35, a man of 18 and a girl of 17, all with the same face.
fn utkface() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    // In the names 0 is male and 1 female.
    for name in ["35_1_0_20170116174525125", "18_0_0_20170116174525125", "17_1_0_20170116174525125"] {
        write_picture(&folder.path().join(format!("images/{name}.jpg.chip.jpg")), &face_crop(0));
    }
    folder
}

fn utkface_figures(folder: &TempDir, args: &[&str], code: i32) -> (Value, String) {
    let utkface = ["--task", "gender", "--format", "utkface", "--json"];
    let assert = evaluate(folder, &[&utkface[..], args].concat()).code(code);
    (json_lines(&assert)[0].clone(), stderr(&assert))
}

#[test]
fn utkface_is_labelled_by_its_names_and_children_are_left_out() {
    let folder = utkface();
    let (figures, notes) = utkface_figures(&folder, &["--margin", "0.2"], 0);
    assert_eq!(notes, "left out: 1 people younger than 18 years\n");
    assert_eq!(figures["classes"], json!(["woman", "man"]));
    assert_eq!(figures["confusion"], json!([[1, 0], [1, 0]]));
    let (figures, _) = utkface_figures(&folder, &["--margin", "0.2", "--min-age", "0"], 0);
    assert_eq!(figures["confusion"], json!([[2, 0], [1, 0]]));
}

#[test]
fn the_margin_reaches_the_network() {
    let [(default, _), (wide, _), (narrow, _)] =
        [&[][..], &["--margin", "0.4"], &["--margin", "0.2"]].map(|args| utkface_figures(&utkface(), args, 0));
    assert_eq!(default, wide);
    // The answers may be the same: the confidence is not.
    assert_ne!(wide["calibration"], narrow["calibration"]);
}

#[test]
fn a_name_that_lacks_a_part_is_a_failed_input() {
    let folder = utkface();
    // A name of the published set.
    let name = "images/61_1_20170109142408075.jpg.chip.jpg";
    write_picture(&folder.path().join(name), &face_crop(0));
    let (figures, errors) = utkface_figures(&folder, &[], 1);
    assert!(errors.contains(name), "{errors}");
    assert_eq!((&figures["count"], &figures["failed"]), (&json!(2), &json!(1)));
}

#[test]
fn utkface_tells_of_groups() {
    let (figures, _) = utkface_figures(&utkface(), &["--margin", "0.2", "--min-age", "0"], 0);
    let groupings = figures["groupings"].as_array().unwrap();
    let by: Vec<_> = groupings.iter().map(|grouping| grouping["by"].as_str().unwrap()).collect();
    assert_eq!(by, ["gender", "age", "race", "gender and race"]);
    let ages: Vec<_> = groupings[1]["groups"].as_array().unwrap().iter().map(|group| &group["name"]).collect();
    assert_eq!(ages, ["10 to 17", "18 to 29", "30 to 44"]);
    let text = stdout(&evaluate(&utkface(), &["--task", "gender", "--format", "utkface", "--margin", "0.2"]).code(0));
    let line = "lowest accuracy: man, White, 0.0% of 1; smallest group: woman, White, 100.0% of 1";
    assert!(text.contains(line), "{text}");
}

#[test]
fn the_mirror_image_changes_the_confidence() {
    let confidence = |args: &[&str]| {
        let args = [&["--task", "emotion", "--json"], args].concat();
        let figures = &json_lines(&evaluate(&emotion_folders(), &args).code(0))[0];
        figures["calibration"]["bins"].as_array().unwrap().iter().find_map(|bin| bin["confidence"].as_f64()).unwrap()
    };
    assert_ne!(confidence(&["--mirror=false"]), confidence(&["--mirror"]));
    // The node's default.
    assert_eq!(confidence(&[]), confidence(&["--mirror=true"]));
}

/// The portrait's face in 48x48 grey as rows of FER-2013's table: happy, wrongly sad, and broken.
fn fer2013(folder: &TempDir) -> PathBuf {
    let mut gray = Mat::default();
    cvt_color_def(&face_crop(0), &mut gray, COLOR_BGR2GRAY).unwrap();
    let mut small = Mat::default();
    resize(&gray, &mut small, Size::new(48, 48), 0.0, 0.0, INTER_AREA).unwrap();
    let pixels: Vec<_> = small.data_bytes().unwrap().iter().map(u8::to_string).collect();
    let pixels = pixels.join(" ");
    let path = folder.path().join("fer2013.csv");
    let rows = [
        "emotion,pixels,Usage".to_owned(),
        format!("3,{pixels},PublicTest"),
        format!("4,{pixels},PrivateTest"),
        format!("3,{pixels} 0,PrivateTest"),
    ];
    fs::write(&path, rows.join("\n")).unwrap();
    path
}

#[test]
fn the_table_of_fer2013_is_read_by_its_parts() {
    let folder = tempfile::tempdir().unwrap();
    let path = fer2013(&folder);
    let args = ["evaluate", "--task", "emotion", "--format", "fer2013", "--json"].map(OsStr::new);
    let args: Vec<_> = args.into_iter().chain([path.as_os_str()]).collect();
    let public = run(args.iter().copied().chain(["--usage", "public-test"].map(OsStr::new))).code(0);
    assert_eq!(json_lines(&public)[0]["accuracy"], 1.0);
    let private = run(args).code(1);
    let figures = &json_lines(&private)[0];
    assert_eq!((&figures["accuracy"], &figures["count"], &figures["failed"]), (&json!(0.0), &json!(1), &json!(1)));
    assert!(stderr(&private).contains("fer2013.csv, line 4: 2305 pixels"), "{}", stderr(&private));
}

#[test]
fn imdb_wiki_is_labelled_by_its_metadata() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(repository_file("tests/data/wiki.mat"), folder.path().join("wiki.mat")).unwrap();
    // Of the two usable pictures, that of the woman is there.
    write_picture(&folder.path().join("02/6_1975-01-31_2011.jpg"), &face_crop(0));
    let args = ["--task", "gender", "--format", "imdb-wiki", "--margin", "0.2", "--json"];
    let assert = evaluate(&folder, &args).code(1);
    let figures = &json_lines(&assert)[0];
    assert_eq!((&figures["confusion"], &figures["failed"]), (&json!([[1, 0], [0, 0]]), &json!(2)));
    for name in ["17/1_1980-05-04_2009.jpg", "wiki.mat, row 7: gender is 2"] {
        assert!(stderr(&assert).contains(name), "{}", stderr(&assert));
    }
}

#[test]
fn a_network_that_is_too_sure_gets_a_temperature_above_one() {
    let folder = emotion_folders();
    let args = ["--task", "emotion", "--fit-temperature"];
    let figures = &json_lines(&evaluate(&folder, &[&args[..], &["--json"]].concat()).code(0))[0];
    assert!(figures["temperature"].as_f64().unwrap() > 1.0, "{figures}");
    for key in ["expected_error", "negative_log_likelihood"] {
        let [before, after] =
            ["calibration", "calibration_at_temperature"].map(|at| figures[at][key].as_f64().unwrap());
        assert!(after < before, "{key} was {before} and became {after}");
    }
    // Without a wrong answer, no confidence is high enough.
    fs::remove_file(folder.path().join("sad/b.png")).unwrap();
    let text = stdout(&evaluate(&folder, &args).code(0));
    assert!(text.ends_with("no temperature fits these data best\n"), "{text}");
}

#[test]
fn the_card_tells_what_was_measured_and_what_the_file_says() {
    let folder = utkface();
    let card = folder.path().join("card.md");
    let args = ["--task", "gender", "--format", "utkface", "--margin", "0.2", "--card", card.to_str().unwrap()];
    evaluate(&folder, &args).code(0);
    let text = fs::read_to_string(&card).unwrap();
    for words in [
        "# Model card: built-in gender",
        "52658",
        "mini_xception",
        "UTKFace (Zhang, Song, Qi 2017; non-commercial research only), people of 18 years or more",
        "- Left out: 1 people younger than 18 years.",
        "- Margin 0.2 of the picture",
        "Expected calibration error ",
        "(card_reliability.png)",
        "By gender and race, lowest accuracy: man, White, 0.0% of 1",
        "## Limits",
    ] {
        assert!(text.contains(words), "{words} is not in: {text}");
    }
    assert!(!text.contains(folder.path().to_str().unwrap()), "{text}");
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let row = text.lines().map(cells).find(|row| row.get(1).is_some_and(|name| name == "accuracy")).unwrap();
    assert_eq!(row[1..4], ["accuracy", "50.0%", "9.5 to 90.5%"]);
    assert!(read_bgr(&folder.path().join("card_reliability.png")).unwrap().cols() > 400);
}

#[test]
fn changed_pictures_are_measured_in_one_table() {
    let folder = emotion_folders();
    let args = ["--task", "emotion", "--corrupt", "all", "--json"];
    let report = &json_lines(&evaluate(&folder, &args).code(0))[0];
    let rows = report["corruptions"].as_array().unwrap();
    let mut kinds: Vec<_> = rows.iter().map(|row| row["corruption"].as_str().unwrap()).collect();
    kinds.dedup();
    let expected = ["gaussian-blur", "motion-blur", "noise", "jpeg", "low-light", "back-light", "small-face"];
    let of_heads = ["box-shift", "box-size", "tilt", "turn", "glasses"];
    assert_eq!(kinds, [&expected[..], &of_heads].concat());
    for row in rows {
        let keys_of_row =
            ["corruption", "severity", "count", "accuracy", "accuracy_interval", "accuracy_change", "answers_changed"];
        assert_eq!(keys(row)[..7], keys_of_row);
        assert_eq!(row["count"], 2);
    }
    // Where the box shows little of the face, the answer is another one.
    assert!(rows.iter().any(|row| row["answers_changed"].as_f64().unwrap() > 0.0));
    assert_eq!(report, &json_lines(&evaluate(&folder, &args).code(0))[0]);
    let card = folder.path().join("card.md");
    let args = ["--task", "emotion", "--corrupt", "jpeg,turn", "--card", card.to_str().unwrap()];
    let text = stdout(&evaluate(&folder, &args).code(0));
    for text in [text, fs::read_to_string(&card).unwrap()] {
        assert!(text.contains("quality 25") && text.contains("30 degrees"), "{text}");
        assert!(text.contains("answers that change") && !text.contains("low-light"), "{text}");
    }
}

#[test]
fn glasses_are_left_out_where_the_eyes_are_not_known() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(repository_file("tests/data/wiki.mat"), folder.path().join("wiki.mat")).unwrap();
    write_picture(&folder.path().join("02/6_1975-01-31_2011.jpg"), &face_crop(0));
    let args = ["--task", "gender", "--format", "imdb-wiki", "--corrupt", "tilt,glasses"];
    let assert = evaluate(&folder, &args).code(1);
    let (out, err) = (stdout(&assert), stderr(&assert));
    assert!(err.contains("left out: glasses, as it is not known where the eyes are in imdb-wiki pictures"), "{err}");
    assert!(out.contains("20 degrees") && !out.contains("glasses"), "{out}");
    assert_eq!(err.matches("17/1_1980-05-04_2009.jpg").count(), 1, "{err}");
}

#[test]
fn the_confidence_for_a_largest_error_is_found_for_every_group() {
    let folder = utkface();
    let (figures, _) = utkface_figures(&folder, &["--margin", "0.2", "--max-error", "0.03", "--min-group", "2"], 0);
    let selective = &figures["selective"];
    assert_eq!(keys(selective), ["max_error", "min_group", "min_confidence", "groups"]);
    // The same face as a woman and as a man: at no confidence is one of the two right without the other.
    assert_eq!((&selective["max_error"], &selective["min_confidence"]), (&json!(0.03), &Value::Null));
    let (figures, _) = utkface_figures(&folder, &["--margin", "0.2", "--max-error", "0.5", "--min-group", "2"], 0);
    let [all, woman, ..] = &figures["selective"]["groups"].as_array().unwrap()[..] else { panic!("{figures}") };
    assert_eq!((&all["name"], &all["answered"], &all["error"]), (&json!("all"), &json!(1.0), &json!(0.5)));
    assert_eq!((&woman["name"], &woman["count"], &woman["error"]), (&json!("woman"), &json!(1), &json!(0.0)));
    let [card, plot] = ["card.md", "curve.png"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let args = ["--task", "gender", "--format", "utkface", "--margin", "0.2", "--max-error", "0.5", "--min-group", "2"];
    let files = ["--card", &card, "--plot-selective", &plot];
    let text = stdout(&evaluate(&folder, &[&args[..], &files].concat()).code(0));
    for text in [text, fs::read_to_string(&card).unwrap()] {
        assert!(text.contains("at most 50.0% of the given answers are wrong in every group of 2 pictures or more"));
        assert!(text.contains("man (does not decide)"), "{text}");
    }
    assert!(read_bgr(Path::new(&plot)).unwrap().cols() > 1000);
}

#[test]
fn plots_are_pictures() {
    let folder = emotion_folders();
    for option in ["--plot", "--plot-reliability"] {
        let plot = folder.path().join(format!("{option}.png"));
        evaluate(&folder, &["--task", "emotion", option, plot.to_str().unwrap()]).code(0);
        let picture = read_bgr(&plot).unwrap();
        let dark = |pixel: &opencv::core::Vec3b| pixel.0.iter().all(|channel| *channel < 120);
        let is_drawn = (0..picture.rows()).any(|y| picture.at_row::<opencv::core::Vec3b>(y).unwrap().iter().any(dark));
        assert!(picture.cols() > 400 && picture.rows() > 400 && is_drawn, "{picture:?}");
    }
}

#[test]
fn wrong_usage_and_wrong_folders_are_named() {
    let emotions = emotion_folders();
    let gender_model = repository_file("models/gender_mini_xception.onnx");
    let gender_model = gender_model.to_str().unwrap();
    let parameters = parameter_file(&emotions, &format!("{{emotion: {{model: '{gender_model}'}}}}"));
    let cases: [(&[&str], &str); 19] = [
        (
            &["--task", "emotion", "--corrupt", "noise,fog"],
            "'fog' is no change; there are all, gaussian-blur, motion-blur",
        ),
        (&["--task", "emotion", "--corrupt", "all", "--fit-temperature"], "--corrupt"),
        (&["--task", "emotion", "--max-error", "3"], "expected a share of 0 to 1, got '3'"),
        (&["--task", "emotion", "--plot-selective", "curve.png"], "--max-error"),
        (&[], "--task"),
        (&["--task", "age"], "'age'"),
        (&["--task", "emotion", "--usage", "training"], "folders data do not say the usage"),
        (&["--task", "gender", "--format", "imdb-wiki"], "expected wiki.mat or imdb.mat in it"),
        (&["--task", "emotion", "--mirror", "--fit-temperature"], "--fit-temperature"),
        (&["--task", "emotion", "--card", "no/such/folder/card.md"], "no/such/folder/card.md"),
        (&["--task", "gender"], "not one of the expected folders, which are woman, man"),
        (&["--task", "gender", "--format", "utkface"], "not named like UTKFace's files"),
        (&["--task", "emotion", "--format", "utkface"], "utkface data do not say the emotion"),
        (&["--task", "emotion", "--min-age", "3"], "folders data do not say the age"),
        (&["--task", "emotion", "--margin", "2"], "'emotion.margin' takes 0 to 1, got 2"),
        (&["--task", "emotion", "--model", "no/such.onnx"], "no/such.onnx"),
        (&["--task", "emotion", "--model", gender_model], "'task' is 'gender', expected 'emotion'"),
        (&["--task", "emotion", "--params", parameters.to_str().unwrap()], "gender_mini_xception.onnx"),
        (&["--task", "emotion", "--plot", "no/such/folder/plot.png"], "no/such/folder/plot.png"),
    ];
    for (args, reason) in cases {
        let assert = evaluate(&emotions, args).code(2);
        assert!(stderr(&assert).contains(reason), "{reason} is not in: {}", stderr(&assert));
    }
    fs::remove_dir(emotions.path().join("fear")).unwrap();
    let assert = evaluate(&emotions, &["--task", "emotion"]).code(2);
    assert!(stderr(&assert).contains("no folder 'fear'"), "{}", stderr(&assert));
}
