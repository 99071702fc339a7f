//! `face_attributes hold`.

use super::*;

#[test]
fn data_without_two_pictures_that_follow_each_other_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["woman", "man"] {
        fs::create_dir(folder.path().join(class)).unwrap();
        write_picture(&folder.path().join(class).join("a.png"), &face_crop(0));
    }
    let path = folder.path().as_os_str();
    let assert = run([OsStr::new("hold"), OsStr::new("--task"), OsStr::new("gender"), path]).code(2);
    let expected = format!("{}: no two pictures of the same class", folder.path().display());
    assert!(stderr(&assert).contains(&expected), "{}", stderr(&assert));
}

#[test]
fn a_picture_that_cannot_be_read_fails_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["woman", "man"] {
        fs::create_dir(folder.path().join(class)).unwrap();
    }
    for name in ["a.png", "b.png"] {
        fs::write(folder.path().join("man").join(name), "no picture").unwrap();
    }
    let path = folder.path().as_os_str();
    let assert =
        run([OsStr::new("hold"), OsStr::new("--task"), OsStr::new("gender"), path, OsStr::new("--json")]).code(1);
    assert!(stderr(&assert).contains(".png"), "{}", stderr(&assert));
    let figures = &json_lines(&assert)[0];
    assert_eq!((&figures["task"], &figures["failed"]), (&json!("gender"), &json!(2)));
    for conditions in figures["conditions"].as_array().unwrap() {
        assert_eq!((&conditions["sequences"], &conditions["held"]["accuracy"]), (&json!(0), &json!(null)));
    }
}
