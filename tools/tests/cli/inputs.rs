//! Which inputs are read, and how the others are reported.

use std::os::unix::fs::symlink;

use super::*;
use crate::videos::{edit, find, set_matroska_duration, write_video};

/// What is said to be left out, a line each.
fn left_out(assert: &Assert) -> Vec<String> {
    stderr(assert).lines().filter_map(|line| Some(line.strip_prefix("left out: ")?.to_owned())).collect()
}

/// Puts the portrait under several names into a folder, and beside them what is no image.
fn fill(folder: &Path) {
    let jpeg = fs::read(portrait()).unwrap();
    for name in ["a.jpg", "b.jfif", "c.JPE", "d.HEIC", "e"] {
        fs::write(folder.join(name), &jpeg).unwrap();
    }
    write_video(&folder.join("f.avi"), "MJPG", 2);
    fs::rename(folder.join("f.avi"), folder.join("f.jpg")).unwrap();
    fs::write(folder.join("g.txt"), "text").unwrap();
    fs::create_dir(folder.join("below")).unwrap();
    symlink("nowhere", folder.join("link")).unwrap();
    fs::write(folder.join("._a.jpg"), "\0\x05\x16\x07").unwrap();
}

#[test]
fn everything_in_a_folder_is_read_or_named() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let assert = run([OsStr::new("detect"), OsStr::new("--json"), folder.path().as_os_str()]).code(0);
    let files: Vec<_> = json_lines(&assert)
        .iter()
        .map(|line| line["file"].as_str().unwrap().strip_prefix(folder.path().to_str().unwrap()).unwrap().to_owned())
        .collect();
    assert_eq!(files, ["/a.jpg", "/b.jfif", "/c.JPE", "/d.HEIC", "/e", "/f.jpg", "/f.jpg"]);
    let rest = [
        "1 file that is neither image nor video: g.txt",
        "1 link to nothing: link",
        "1 folder: below",
        "1 hidden file or folder: ._a.jpg",
    ];
    assert_eq!(left_out(&assert), rest);

    let out = folder.path().join("out.png");
    let args = [OsStr::new("explain"), OsStr::new("--json"), OsStr::new("--out"), out.as_os_str()];
    let assert = run(args.into_iter().chain([folder.path().as_os_str()])).code(0);
    assert_eq!(json_lines(&assert).len(), 5);
    assert_eq!(left_out(&assert), [&["1 video: f.jpg"], &rest[..]].concat());
}

#[test]
fn everything_in_class_folders_is_counted_or_named() {
    let folder = class_folders(&["woman", "man"], &[("man/a.png", 0)]);
    fill(&folder.path().join("woman"));
    fs::write(folder.path().join("readme.txt"), "text").unwrap();
    let rest = [
        "1 video: woman/f.jpg",
        "2 files that are neither image nor video: readme.txt, woman/g.txt",
        "1 link to nothing: woman/link",
        "1 folder: woman/below",
        "1 hidden file or folder: woman/._a.jpg",
    ];
    for command in ["evaluate", "occlude"] {
        let args = [OsStr::new(command), OsStr::new("--task=gender"), OsStr::new("--json"), folder.path().as_os_str()];
        let assert = run(args).code(0);
        assert_eq!(left_out(&assert), rest, "{command}");
        let figures = &json_lines(&assert)[0];
        let count = if command == "evaluate" { &figures["count"] } else { &figures["occlusions"][0]["count"] };
        assert_eq!((count, &figures["failed"]), (&json!(6), &json!(0)), "{command}");
    }
    let out = folder.path().join("out.png");
    let args = ["explain", "--task=gender", "--samples=1", "--average=1", "--out"].map(OsStr::new);
    let grid = [out.as_os_str(), OsStr::new("--grid"), folder.path().as_os_str()];
    assert_eq!(left_out(&run(args.into_iter().chain(grid)).code(0)), rest);
}

#[test]
fn an_image_that_is_missing_or_cut_short_is_an_error_and_no_sample() {
    let folder = class_folders(&["woman", "man"], &[("woman/a.png", 0)]);
    let jpeg = fs::read(portrait()).unwrap();
    let half = folder.path().join("woman/half.jpg");
    fs::write(&half, &jpeg[..jpeg.len() / 2]).unwrap();
    symlink("nowhere.jpg", folder.path().join("woman/missing.jpg")).unwrap();
    let args = [OsStr::new("evaluate"), OsStr::new("--task=gender"), OsStr::new("--json"), folder.path().as_os_str()];
    let assert = run(args).code(1);
    let figures = &json_lines(&assert)[0];
    assert_eq!((&figures["count"], &figures["failed"]), (&json!(1), &json!(2)));
    for reason in ["half.jpg: the image is cut short", "missing.jpg: No such file"] {
        assert!(stderr(&assert).contains(reason), "{}", stderr(&assert));
    }
    for command in ["detect", "explain"] {
        let assert = run([OsStr::new(command), OsStr::new("--json"), half.as_os_str()]).code(1);
        assert_eq!(stdout(&assert), "", "{command}");
        assert!(stderr(&assert).contains("half.jpg: the image is cut short"), "{}", stderr(&assert));
    }
}

#[test]
fn a_folder_of_other_files_is_an_error_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), "text").unwrap();
    for (command, wanted) in [("detect", "image or video"), ("explain", "image")] {
        let assert = run([OsStr::new(command), OsStr::new("--json"), folder.path().as_os_str()]).code(1);
        let reason = format!("holds no {wanted} file (left out: 1 file that is neither image nor video: a.txt)");
        assert!(stderr(&assert).contains(&reason), "{}", stderr(&assert));
    }
}

#[test]
fn a_whole_video_is_done_whatever_its_name_and_its_container_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mkv");
    write_video(&path, "MJPG", 20);
    set_matroska_duration(&path, 60_000.0);
    let name = folder.path().join("12:30:05 %03d");
    fs::rename(&path, &name).unwrap();
    let output = folder.path().join("out");
    let args = [OsStr::new("detect"), OsStr::new("--annotate"), output.as_os_str(), name.as_os_str()];
    assert_eq!(stdout(&run(args).code(0)).lines().count(), 20);
    assert!(output.join("12:30:05 %03d_000019_faces.png").is_file());
}

#[test]
fn the_pictures_of_a_damaged_video_are_done_and_the_damage_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    write_video(&path, "MJPG", 40);
    edit(&path, |bytes| {
        let (start, end) = (find(bytes, b"mdat") + 4, find(bytes, b"moov") - 4);
        bytes[(start + end) / 2..end].fill(0);
    });
    let assert = run([OsStr::new("detect"), path.as_os_str()]).code(1);
    let got = stdout(&assert).lines().count();
    assert!((15..25).contains(&got), "{got}");
    let reason = format!("a.mp4: ended after {got} of 40 pictures: the file is damaged");
    assert!(stderr(&assert).contains(&reason), "{}", stderr(&assert));
}
