//! Videos.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use face_attributes_tools::source::{Picture, Source, SourceError};
use opencv::prelude::*;
use tempfile::TempDir;

use crate::edits::*;
use crate::videos::*;

/// The pictures, and the error after them.
fn read(path: &Path) -> (Vec<Picture>, Option<SourceError>) {
    let mut error = None;
    let pictures = Source::open(path).unwrap().map_while(|it| it.map_err(|it| error = Some(it)).ok()).collect();
    (pictures, error)
}

fn times_ms(path: &Path) -> Vec<u128> {
    let (pictures, error) = read(path);
    assert!(error.is_none(), "{error:?}");
    pictures.iter().map(|picture| picture.time.as_millis()).collect()
}

/// A folder, and a video in it of that name.
fn video(name: &str, codec: &str, count: usize) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    write_video(&path, codec, count);
    (folder, path)
}

#[test]
fn a_rotated_video_is_upright() {
    let [blue, green, red] = [0, 1, 2];
    // Where red, green and blue come when the pictures are turned clockwise.
    let cases = [
        (0, [(0, 0), (1, 0), (0, 1)]),
        (90, [(1, 0), (1, 1), (0, 0)]),
        (180, [(1, 1), (0, 1), (1, 0)]),
        (270, [(0, 1), (0, 0), (1, 1)]),
    ];
    for (degrees, corners) in cases {
        for (name, codec) in [("a.mp4", "mp4v"), ("a.mov", "MJPG")] {
            let (_folder, path) = video(name, codec, 3);
            set_rotation(&path, degrees);
            let (pictures, error) = read(&path);
            assert!(error.is_none() && pictures.len() == 3, "{error:?}");
            for Picture { bgr, .. } in pictures {
                let sides = if degrees % 180 == 0 { (SIZE.width, SIZE.height) } else { (SIZE.height, SIZE.width) };
                assert_eq!((bgr.cols(), bgr.rows()), sides, "{name} {degrees}");
                assert_eq!([red, green, blue].map(|color| corner_of(&bgr, color)), corners, "{name} {degrees}");
            }
        }
    }
}

#[test]
fn times_at_a_constant_rate() {
    let expected: Vec<_> = (0..20).map(|number| 100 * number).collect();
    // In MPEG-2, pictures are stored in another order than that in which they are shown.
    for (name, codec) in [("a.mkv", "MJPG"), ("a.avi", "MJPG"), ("a.mp4", "mp4v"), ("a.mpg", "mpg2"), ("a.avi", "mpg2")]
    {
        let (_folder, path) = video(name, codec, 20);
        assert_eq!(times_ms(&path), expected, "{name} {codec}");
    }
}

#[test]
fn times_at_a_variable_rate() {
    let (_folder, path) = video("a.mkv", "MJPG", 8);
    let expected = [0, 40, 80, 90, 1090, 2090, 5000, 9000];
    set_matroska_times(&path, &expected);
    set_matroska_duration(&path, 9100.0);
    assert_eq!(times_ms(&path), expected.map(|time| time as u128));
}

#[test]
fn a_count_that_the_container_guesses_proves_nothing() {
    let (_folder, longer_sound) = video("a.mkv", "MJPG", 20);
    set_matroska_duration(&longer_sound, 60_000.0);
    // OpenCV 4.6 takes the unit of time for the rate, which makes 180,000 pictures.
    let (_folder, no_rate) = video("a.ts", "mp4v", 20);
    // The header counts pictures that are only shown longer.
    let (_folder, dropped) = video("a.avi", "MJPG", 20);
    edit(&dropped, |bytes| {
        for at in [find(bytes, b"avih") + 8 + 16, find(bytes, b"strh") + 8 + 32] {
            assert_eq!(bytes[at..at + 4], 20_u32.to_le_bytes());
            bytes[at..at + 4].copy_from_slice(&60_u32.to_le_bytes());
        }
    });
    for path in [&longer_sound, &dropped] {
        assert!(Source::open(path).unwrap().picture_count().unwrap() > 40, "{path:?}");
    }
    for path in [longer_sound, no_rate, dropped] {
        let (pictures, error) = read(&path);
        assert!(error.is_none() && pictures.len() == 20, "{path:?} {error:?} {}", pictures.len());
    }
}

#[test]
fn an_mp4_that_was_cut_without_a_new_encoding_is_whole() {
    let (_folder, path) = video("a.mp4", "mp4v", 30);
    // It shows the second from 1.5 s on. The list of edits is in ms, the start in units of 1/10240 s.
    edit(&path, |bytes| {
        let edit = find(bytes, b"elst") + 4 + 8;
        put(bytes, edit, 1000);
        put(bytes, edit + 4, 15_360);
    });
    let (pictures, error) = read(&path);
    assert!(error.is_none() && (5..20).contains(&pictures.len()), "{error:?} {}", pictures.len());
}

#[test]
fn a_video_whose_end_is_missing_is_an_error_after_its_pictures() {
    for (name, codec) in [("a.avi", "MJPG"), ("a.mkv", "MJPG"), ("a.webm", "VP80"), ("a.mp4", "MJPG")] {
        let (_folder, path) = video(name, codec, 40);
        if name == "a.mp4" {
            move_index_to_the_front(&path);
        }
        let (pictures, error) = read(&path);
        assert!(pictures.len() == 40 && error.is_none(), "{name} {error:?}");
        edit(&path, |bytes| bytes.truncate(bytes.len() * 2 / 3));
        let (pictures, error) = read(&path);
        let Some(SourceError::VideoCutShort { got, .. }) = error else { panic!("{name} {error:?}") };
        assert!(got > 10 && got == pictures.len() as u64 && got < 40, "{name} {got}");
    }
}

/// Puts the box with the list of samples before the pictures, as for videos that play while they are loaded.
fn move_index_to_the_front(path: &Path) {
    edit(path, |bytes| {
        let (mdat, moov) = (find(bytes, b"mdat") - 4, find(bytes, b"moov") - 4);
        let mut index = bytes.split_off(moov);
        let offsets = find(&index, b"stco") + 4 + 4;
        let count = u32::from_be_bytes(*index[offsets..].first_chunk().unwrap());
        for chunk in 0..count as usize {
            let at = offsets + 4 + 4 * chunk;
            let offset = i32::from_be_bytes(*index[at..].first_chunk().unwrap());
            let moved = offset + index.len() as i32;
            put(&mut index, at, moved);
        }
        bytes.splice(mdat..mdat, index);
    });
}

#[test]
fn a_video_of_which_nothing_can_be_decoded_is_an_error() {
    let (_folder, path) = video("a.mp4", "MJPG", 20);
    edit(&path, |bytes| {
        let (start, end) = (find(bytes, b"mdat") + 4, find(bytes, b"moov") - 4);
        bytes[start..end].fill(0);
    });
    let (pictures, error) = read(&path);
    assert!(pictures.is_empty() && matches!(error, Some(SourceError::NoPicture { .. })), "{error:?}");
    let (_folder, cut) = video("a.mp4", "MJPG", 20);
    // The list of samples is at the end.
    edit(&cut, |bytes| bytes.truncate(bytes.len() / 2));
    let error = Source::open(&cut).map(|_| ()).unwrap_err();
    assert!(matches!(error, SourceError::VideoCutShort { got: 0, .. }), "{error}");
}

#[test]
fn a_video_with_damage_in_its_middle_gives_the_other_pictures_and_an_error() {
    let (_folder, path) = video("a.mp4", "MJPG", 40);
    edit(&path, |bytes| {
        let (start, end) = (find(bytes, b"mdat") + 4, find(bytes, b"moov") - 4);
        let tenth = (end - start) / 10;
        bytes[start + 4 * tenth..start + 6 * tenth].fill(0);
    });
    let (pictures, error) = read(&path);
    assert!((25..38).contains(&pictures.len()), "{}", pictures.len());
    let error = error.unwrap().to_string();
    assert!(error.contains("a.mp4: ") && error.ends_with("the file is damaged"), "{error}");
}

#[test]
fn a_file_is_a_file_whatever_its_name() {
    let (folder, original) = video("a.mp4", "mp4v", 3);
    let names: [&OsStr; 14] = [
        "2024-05-01T12:30:05.mp4".as_ref(),
        "http:a.mp4".as_ref(),
        "file:a.mp4".as_ref(),
        "concat:a|b.mp4".as_ref(),
        "pipe:0".as_ref(),
        "clip%03d.mp4".as_ref(),
        "clip%03d.jpg".as_ref(),
        "clip*.png".as_ref(),
        "clip?[0-9].mp4".as_ref(),
        "-a.mp4".as_ref(),
        "0".as_ref(),
        "a b\n.mp4".as_ref(),
        "a.txt".as_ref(),
        OsStr::from_bytes(b"\xff\xfe.mp4"),
    ];
    for name in names {
        let path = folder.path().join(name);
        fs::copy(&original, &path).unwrap();
        let (pictures, error) = read(&path);
        assert!(pictures.len() == 3 && error.is_none(), "{name:?} {error:?}");
    }
}
