//! `face_attributes detect`.

use std::collections::HashSet;

use opencv::core::Vec3b;

use super::*;

#[test]
fn json_describes_each_picture_on_a_line() {
    let assert = run(["detect", "--json"].map(PathBuf::from).into_iter().chain([portrait()])).code(0);
    let [line] = &json_lines(&assert)[..] else { panic!("{}", stdout(&assert)) };
    assert_eq!(keys(line), ["file", "frame", "width", "height", "faces"]);
    assert_eq!(line["file"], portrait().to_str().unwrap());
    assert_eq!((&line["frame"], &line["width"], &line["height"]), (&json!(0), &json!(512), &json!(512)));

    let [face] = &line["faces"].as_array().unwrap()[..] else { panic!("{line}") };
    let expected =
        ["id", "roi", "seen", "followed_since", "confidence", "landmarks", "answered", "emotion", "gender", "raw"];
    assert_eq!(keys(face), expected);
    assert_eq!((&face["seen"], &face["followed_since"]), (&Value::Bool(true), &Value::from(0.0)));
    assert_eq!(face["answered"], Value::from(0.0));
    // Nothing came before that could hold.
    assert_eq!((&face["raw"]["emotion"], &face["raw"]["gender"]), (&face["emotion"], &face["gender"]));
    assert_eq!(face["id"], "face1");
    assert_eq!(keys(&face["roi"]), ["x", "y", "width", "height"]);
    for (key, expected) in ["x", "y", "width", "height"].into_iter().zip(FACE) {
        let got = face["roi"][key].as_i64().unwrap();
        // The cascade's boxes differ by some pixels between versions of OpenCV.
        assert!((got - i64::from(expected)).abs() <= 20, "{key} is {got}, expected {expected}");
    }
    assert_eq!(face["emotion"]["label"], "happy");
    for (task, classes) in [("emotion", 7), ("gender", 2)] {
        let estimate = &face[task];
        assert_eq!(keys(estimate), ["label", "confidence", "probabilities"]);
        let probabilities: Vec<_> =
            estimate["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
        assert_eq!(probabilities.len(), classes);
        let confidence = estimate["confidence"].as_f64().unwrap();
        assert_eq!(probabilities.into_iter().fold(0.0, f64::max), confidence);
    }
}

#[test]
fn text_says_the_same_to_people() {
    let assert = run([OsStr::new("detect"), portrait().as_os_str()]).code(0);
    for words in ["512x512: 1 face\n", "face1 at ", ", happy "] {
        assert!(stdout(&assert).contains(words), "{}", stdout(&assert));
    }
}

#[test]
fn an_input_that_fails_is_named_and_the_others_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    fs::write(file("broken.png"), "no picture").unwrap();
    fs::write(file("notes.txt"), "neither picture nor video").unwrap();
    fs::create_dir(file("empty")).unwrap();
    let failing = ["broken.png", "missing.png", "missing.mp4", "notes.txt", "empty"];
    let inputs = failing.map(file).into_iter().chain([portrait()]);
    let assert = run(["detect", "--json"].map(PathBuf::from).into_iter().chain(inputs)).code(1);
    assert_eq!(json_lines(&assert).len(), 1);
    assert_eq!(stderr(&assert).lines().filter(|line| line.starts_with("error: ")).count(), failing.len());
    for name in failing {
        assert!(stderr(&assert).contains(name), "{name} is not in: {}", stderr(&assert));
    }
}

#[test]
fn a_folder_gives_its_images_in_order_and_the_smallest_image_is_one() {
    let folder = tempfile::tempdir().unwrap();
    write_picture(&folder.path().join("b.png"), &blank(1, 1));
    write_picture(&folder.path().join("a.png"), &blank(31, 24));
    let assert = run([OsStr::new("detect"), OsStr::new("--json"), folder.path().as_os_str()]).code(0);
    let sizes: Vec<_> = json_lines(&assert).iter().map(|line| (line["width"].clone(), line["faces"].clone())).collect();
    assert_eq!(sizes, [(json!(31), json!([])), (json!(1), json!([]))]);
}

#[test]
fn a_damaged_video_is_an_input_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = write_video(&folder, 20);
    let bytes = fs::read(&whole).unwrap();
    let cut = folder.path().join("cut.avi");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let assert = run([OsStr::new("detect"), OsStr::new("--json"), cut.as_os_str()]).code(1);
    let read = json_lines(&assert).len();
    assert!(0 < read && read < 15, "{read} frames");
    let reason = format!("cut.avi: the video is cut short, its end is missing; {read} pictures were read");
    assert!(stderr(&assert).contains(&reason), "{}", stderr(&assert));
}

fn write_video(folder: &TempDir, frames: usize) -> PathBuf {
    let path = folder.path().join("moving.avi");
    let size = Size::new(320, 240);
    let fourcc = VideoWriter::fourcc('M', 'J', 'P', 'G').unwrap();
    let mut video = VideoWriter::new(path.to_str().unwrap(), fourcc, 10.0, size, true).unwrap();
    for frame in MovingPicture::new(read_bgr(&portrait()).unwrap(), size).take(frames) {
        video.write(&frame.unwrap()).unwrap();
    }
    video.release().unwrap();
    path
}

#[test]
fn a_video_is_numbered_and_its_face_keeps_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let path = write_video(&folder, 3);
    let assert = run([OsStr::new("detect"), OsStr::new("--json"), path.as_os_str()]).code(0);
    let lines = json_lines(&assert);
    assert_eq!(lines.iter().map(|line| line["frame"].clone()).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(lines.iter().all(|line| line["faces"][0]["id"] == "face1"), "{lines:?}");
}

/// A real recording of a man who signs.
fn signing() -> PathBuf {
    repository_file("tests/data/signing.mkv")
}

#[test]
fn a_person_in_a_real_recording_is_found_followed_and_plotted() {
    let folder = tempfile::tempdir().unwrap();
    let plot = folder.path().join("plot.png");
    let args = ["detect".into(), "--json".into(), "--plot".into(), plot.clone(), signing()];
    let lines = json_lines(&run(args).code(0));
    assert_eq!(lines.len(), 47);
    let faces: Vec<_> = lines.iter().map(|line| line["faces"].as_array().unwrap()).collect();
    let with_a_face = faces.iter().filter(|faces| !faces.is_empty()).count();
    assert!(with_a_face >= 45, "a face in {with_a_face} of 47 frames");
    let ids: HashSet<_> = faces.into_iter().flatten().map(|face| face["id"].as_str().unwrap()).collect();
    assert!(ids.len() <= 2, "{ids:?}");

    let plot = read_bgr(&plot).unwrap();
    // A panel for each person, one below the other.
    assert!(plot.cols() == 1200 && plot.rows() > 600, "{:?}", plot.size());
    // Blue for woman and red for man, as in annotated pictures: curves, and their legend to the right.
    let colored_pixels = |columns: std::ops::Range<i32>, bgr: [u8; 3]| {
        let pixels = columns.flat_map(|x| (0..plot.rows()).map(move |y| (x, y)));
        pixels.filter(|(x, y)| plot.at_2d::<Vec3b>(*y, *x).unwrap().0 == bgr).count()
    };
    for color in [[255, 80, 0], [0, 0, 230]] {
        let [curve, legend] = [100..1060, 1060..1200].map(|columns| colored_pixels(columns, color));
        assert!(curve > 1000 && legend > 20, "{curve} and {legend} pixels of {color:?}");
    }
}

#[test]
fn a_plot_that_cannot_be_drawn_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let cases = [
        (file("a.png"), vec![portrait()], "astronaut.jpg is a still picture, which has no time axis"),
        (file("a.png"), vec![signing(), signing()], "--plot takes one video file, got 2 inputs"),
        (file("a.png"), vec![folder.path().to_owned()], "is a folder"),
        (file("a.png"), vec!["/dev/null".into()], "/dev/null has no end"),
        (file("no/a.png"), vec![signing()], "no/a.png: there is no folder"),
        (file("a.txt"), vec![signing()], "a.txt: its ending is not that of a picture"),
        (folder.path().to_owned(), vec![signing()], "it is a folder"),
    ];
    for (plot, inputs, reason) in cases {
        let args = ["detect".into(), "--plot".into(), plot].into_iter().chain(inputs);
        let assert = run(args).code(2);
        assert!(stderr(&assert).contains(reason), "{reason} is not in: {}", stderr(&assert));
        assert_eq!(stdout(&assert), "");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_video_of_one_picture_cannot_be_plotted() {
    let folder = tempfile::tempdir().unwrap();
    let video = write_video(&folder, 1);
    let plot = folder.path().join("plot.png");
    let assert = run([OsStr::new("detect"), OsStr::new("--plot"), plot.as_os_str(), video.as_os_str()]).code(1);
    assert!(stderr(&assert).contains("moving.avi: nothing to plot"), "{}", stderr(&assert));
    assert!(!plot.exists());
}

#[test]
fn a_missing_video_is_not_plotted() {
    let folder = tempfile::tempdir().unwrap();
    let plot = folder.path().join("plot.png");
    let assert = run([OsStr::new("detect"), OsStr::new("--plot"), plot.as_os_str(), OsStr::new("no.mkv")]).code(1);
    assert!(stderr(&assert).contains("no.mkv"), "{}", stderr(&assert));
    assert!(!plot.exists());
}

#[test]
fn annotated_pictures_of_the_same_name_are_all_written() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy/astronaut.jpg");
    fs::create_dir(copy.parent().unwrap()).unwrap();
    fs::copy(portrait(), &copy).unwrap();
    let output = folder.path().join("new/annotated");
    let args = [PathBuf::from("detect"), "--annotate".into(), output.clone(), portrait(), copy];
    run(args).code(0);
    let original = read_bgr(&portrait()).unwrap();
    for name in ["astronaut_faces.png", "astronaut_faces_2.png"] {
        let annotated = read_bgr(&output.join(name)).unwrap();
        assert_eq!(annotated.size().unwrap(), original.size().unwrap());
        // The upper left corner of the face's box; the corner of the picture is as it was.
        let changed = |x: i32, y: i32| {
            let [before, after] = [&original, &annotated].map(|picture| picture.at_2d::<Vec3b>(y, x));
            before.unwrap() != after.unwrap()
        };
        assert!((0..512).any(|y| (0..512).any(|x| changed(x, y))) && !changed(0, 0), "{name}");
    }
}

#[test]
fn the_parameter_file_is_honoured() {
    let folder = tempfile::tempdir().unwrap();
    let face_with = |parameters| {
        let file = parameter_file(&folder, parameters);
        let args = [PathBuf::from("detect"), "--json".into(), "--params".into(), file, portrait()];
        json_lines(&run(args).code(0))[0]["faces"][0].clone()
    };
    let face = face_with("{emotion: {enabled: false}, gender: {min_confidence: 0.0}}");
    assert_eq!(face["emotion"], Value::Null);
    assert_ne!(face["gender"]["label"], "unknown");
    let face = face_with("{gender: {min_confidence: 1.0}}");
    assert_eq!(face["gender"]["label"], "unknown");
    assert!(face["gender"]["confidence"].as_f64().unwrap() > 0.5);
}

#[test]
fn wrong_usage_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let parameters = parameter_file(&folder, "{detector: {min_neighbors: 0}}");
    let cases: [(Vec<PathBuf>, &str); 5] = [
        (vec![], "PATH"),
        (vec!["--jason".into(), portrait()], "--jason"),
        (vec!["--params".into(), parameters, portrait()], "'detector.min_neighbors' takes 1 to 50, got 0"),
        (vec!["--params".into(), "no/such.yaml".into(), portrait()], "no/such.yaml"),
        (vec!["--annotate".into(), portrait(), portrait()], "astronaut.jpg"),
    ];
    for (args, reason) in cases {
        let assert = run([PathBuf::from("detect")].into_iter().chain(args)).code(2);
        assert!(stderr(&assert).contains(reason), "{reason} is not in: {}", stderr(&assert));
    }
}

#[test]
fn a_parameter_that_the_node_has_not_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let parameters = parameter_file(&folder, "{detector: {min_neighbours: 3}}");
    let assert = run(["detect".into(), "--params".into(), parameters, portrait()]).success();
    assert!(stderr(&assert).contains("did you mean 'detector.min_neighbors'?"), "{}", stderr(&assert));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_face_attributes"))
        .arg("detect")
        .arg(portrait())
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}
