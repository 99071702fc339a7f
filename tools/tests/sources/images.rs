//! Image files.

use std::fs;
use std::path::{Path, PathBuf};

use face_attributes_tools::source::{Content, Source, SourceError, read_bgr, read_gray};
use opencv::core::{CV_8UC3, CV_16U, CV_16UC1, CV_32F, Mat, Vec3b, Vector, norm2_def};
use opencv::imgcodecs::{IMREAD_COLOR, IMREAD_IGNORE_ORIENTATION, imdecode, imencode};
use opencv::imgcodecs::{IMWRITE_JPEG_PROGRESSIVE, IMWRITE_JPEG_RST_INTERVAL, IMWRITE_PXM_BINARY};
use opencv::prelude::*;

/// Neither square nor symmetric; each pixel differs from its neighbours.
fn picture() -> Mat {
    let mut picture = Mat::new_rows_cols_with_default(37, 53, CV_8UC3, 0.into()).unwrap();
    for y in 0..37 {
        for x in 0..53 {
            let color = [x * 4, y * 6, (x * y + 97 * (x % 3)) % 256].map(|value| value as u8);
            *picture.at_2d_mut::<Vec3b>(y, x).unwrap() = Vec3b::from(color);
        }
    }
    picture
}

fn encoded(extension: &str, picture: &Mat, parameters: &[i32]) -> Vec<u8> {
    let mut bytes = Vector::new();
    assert!(imencode(extension, picture, &mut bytes, &Vector::from_slice(parameters)).unwrap());
    bytes.to_vec()
}

fn converted(picture: &Mat, depth: i32, scale: f64) -> Mat {
    let mut converted = Mat::default();
    picture.convert_to(&mut converted, depth, scale, 0.0).unwrap();
    converted
}

/// Images of the formats that OpenCV writes in every build, but for Radiance HDR: of a broken one, it writes a line to stderr.
fn images() -> Vec<(&'static str, Vec<u8>)> {
    let bgr = picture();
    let float = converted(&bgr, CV_32F, 1.0 / 255.0);
    let sixteen = converted(&bgr, CV_16U, 257.0);
    vec![
        (".jpg", encoded(".jpg", &bgr, &[])),
        (".jpg", encoded(".jpg", &bgr, &[IMWRITE_JPEG_PROGRESSIVE, 1])),
        (".jpg", encoded(".jpg", &bgr, &[IMWRITE_JPEG_RST_INTERVAL, 2])),
        (".png", encoded(".png", &bgr, &[])),
        (".png", encoded(".png", &sixteen, &[])),
        (".bmp", encoded(".bmp", &bgr, &[])),
        (".tiff", encoded(".tiff", &bgr, &[])),
        (".tiff", encoded(".tiff", &sixteen, &[])),
        (".webp", encoded(".webp", &bgr, &[])),
        (".ppm", encoded(".ppm", &bgr, &[])),
        (".ppm", encoded(".ppm", &bgr, &[IMWRITE_PXM_BINARY, 0])),
        (".pam", encoded(".pam", &bgr, &[])),
        (".pfm", encoded(".pfm", &float, &[])),
        (".ras", encoded(".ras", &bgr, &[])),
    ]
}

fn are_equal(one: &Mat, other: &Mat) -> bool {
    one.size().unwrap() == other.size().unwrap() && norm2_def(one, other).unwrap() == 0.0
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn an_image_is_the_same_under_every_name() {
    let folder = tempfile::tempdir().unwrap();
    for (extension, bytes) in images() {
        let expected = read_bgr(&write(folder.path(), &format!("image{extension}"), &bytes)).unwrap();
        assert_eq!((expected.cols(), expected.rows()), (53, 37), "{extension}");
        for name in ["image", "a.JFIF", "a.HEIC", "a.JPE", "a.mp4", "a.txt", "a:b%03d.gif", "-a*.png"] {
            let path = write(folder.path(), name, &bytes);
            assert_eq!(Content::of(&path).unwrap(), Content::Image, "{extension} {name}");
            assert!(are_equal(&read_bgr(&path).unwrap(), &expected), "{extension} {name}");
            let pictures: Vec<_> = Source::open(&path).unwrap().map(Result::unwrap).collect();
            assert!(pictures.len() == 1 && are_equal(&pictures[0].bgr, &expected), "{extension} {name}");
        }
    }
}

/// A JPEG whose EXIF data say that it is to be turned.
fn jpeg_with_orientation(orientation: u8) -> Vec<u8> {
    let jpeg = encoded(".jpg", &picture(), &[]);
    let entry = [1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0];
    let tiff = [&b"MM\0*\0\0\0\x08\0"[..], &entry, &[0; 4]].concat();
    let exif = [b"Exif\0\0", &tiff[..]].concat();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], b"\xff\xe1", &length, &exif, &jpeg[2..]].concat()
}

#[test]
fn an_image_is_upright_under_every_name() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = jpeg_with_orientation(6);
    let upright = imdecode(&Vector::from_slice(&bytes), IMREAD_COLOR).unwrap();
    let stored = imdecode(&Vector::from_slice(&bytes), IMREAD_COLOR | IMREAD_IGNORE_ORIENTATION).unwrap();
    assert_eq!((stored.cols(), stored.rows(), upright.cols(), upright.rows()), (53, 37, 37, 53));
    // Turned clockwise, the lower left corner comes to the upper left.
    assert_eq!(upright.at_2d::<Vec3b>(0, 0).unwrap(), stored.at_2d::<Vec3b>(36, 0).unwrap());
    for name in ["a.jpg", "a.jfif", "a"] {
        let path = write(folder.path(), name, &bytes);
        assert!(are_equal(&read_bgr(&path).unwrap(), &upright), "{name}");
        assert_eq!(read_gray(&path).unwrap().size().unwrap(), upright.size().unwrap(), "{name}");
    }
}

#[test]
fn an_image_that_is_cut_short_is_refused_or_whole() {
    let folder = tempfile::tempdir().unwrap();
    for (extension, bytes) in images() {
        let whole = read_bgr(&write(folder.path(), "whole", &bytes)).unwrap();
        let step = bytes.len() / 200 + 1;
        let lengths = (0..bytes.len()).step_by(step).chain(bytes.len() - 16..bytes.len());
        for length in lengths {
            // The name's ending claims an image where too few bytes are left to tell.
            let path = write(folder.path(), &format!("cut{extension}"), &bytes[..length]);
            match read_bgr(&path) {
                Ok(picture) => assert!(are_equal(&picture, &whole), "{extension} cut to {length} of {}", bytes.len()),
                Err(error) => assert!(error.to_string().contains("cut."), "{error}"),
            }
            assert!(read_gray(&path).is_err() || length > bytes.len() / 2, "{extension} cut to {length}");
        }
    }
}

#[test]
fn half_a_jpeg_is_refused_with_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = encoded(".jpg", &picture(), &[]);
    // A download that was broken off may have the size of the whole file.
    let mut padded = bytes.clone();
    padded[bytes.len() / 2..].fill(0);
    for cut in [&bytes[..bytes.len() / 2], &padded] {
        let error = read_bgr(&write(folder.path(), "a.jpg", cut)).unwrap_err();
        assert!(matches!(error, SourceError::ImageCutShort { .. }), "{error}");
    }
}

#[test]
fn what_is_behind_the_end_of_a_jpeg_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = encoded(".jpg", &picture(), &[]);
    let whole = read_bgr(&write(folder.path(), "whole.jpg", &bytes)).unwrap();
    // Another picture, also a broken one, a film, padding; and in the data before it a small picture of its own.
    let thumbnail = [&bytes[..2], b"\xff\xe2\x01\x02", &bytes[..256], &bytes[2..]].concat();
    let behind = [&bytes[..], &bytes[..bytes.len() / 2], b"\0\0\0\x18ftypmp42", &[0; 100], b"\xff"];
    let with_behind = behind.map(|behind| [&bytes[..], behind].concat());
    for bytes in with_behind.into_iter().chain([thumbnail]) {
        assert!(are_equal(&read_bgr(&write(folder.path(), "a.jpg", &bytes)).unwrap(), &whole));
    }
}

#[test]
fn of_16_bits_those_that_are_used_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    for bits in [10, 12, 14, 16] {
        let mut picture = Mat::new_rows_cols_with_default(3, 256, CV_16UC1, 0.into()).unwrap();
        for x in 0..256 {
            *picture.at_2d_mut::<u16>(1, x).unwrap() = (x as u16) << (bits - 8);
        }
        for extension in [".png", ".tiff", ".pgm"] {
            let path = write(folder.path(), &format!("a{extension}"), &encoded(extension, &picture, &[]));
            let (gray, bgr) = (read_gray(&path).unwrap(), read_bgr(&path).unwrap());
            for x in 0..256 {
                let case = format!("{extension} {bits} bits at {x}");
                assert_eq!(i32::from(*gray.at_2d::<u8>(1, x).unwrap()), x, "{case}");
                assert_eq!(bgr.at_2d::<Vec3b>(1, x).unwrap(), &Vec3b::all(x as u8), "{case}");
            }
        }
    }
}

#[test]
fn a_gif_is_an_image_or_a_video_by_its_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let colors = gif(1);
    let path = write(folder.path(), "a.jpg", &colors);
    assert_eq!(Content::of(&path).unwrap(), Content::Image);
    let bgr = read_bgr(&path).unwrap();
    assert_eq!((bgr.cols(), bgr.rows()), (3, 2));
    assert_eq!(bgr.at_2d::<Vec3b>(0, 0).unwrap(), &Vec3b::from([30, 20, 200]));
    assert_eq!(bgr.at_2d::<Vec3b>(1, 2).unwrap(), &Vec3b::from([210, 110, 10]));
    assert_eq!(read_gray(&path).unwrap().channels(), 1);
    let animated = write(folder.path(), "b.jpg", &gif(3));
    assert_eq!(Content::of(&animated).unwrap(), Content::Video);
    let times: Vec<_> = Source::open(&animated).unwrap().map(|picture| picture.unwrap().time.as_millis()).collect();
    assert_eq!(times, [0, 200, 400]);
    let error = read_bgr(&animated).unwrap_err();
    assert!(matches!(error, SourceError::VideoForImage { .. }), "{error}");
    for (count, cut) in [(1, 3), (3, 5)] {
        let bytes = gif(count);
        let cut = write(folder.path(), "cut.gif", &bytes[..bytes.len() - cut]);
        let last = Source::open(&cut).unwrap().last().unwrap();
        assert!(last.unwrap_err().to_string().contains("cut short"), "{count} pictures");
    }
}

/// A GIF of 3 x 2 pixels, red (200, 20, 30) but for the last pixel, which is blue (10, 110, 210); each picture for 0.2 s.
fn gif(pictures: usize) -> Vec<u8> {
    let header = b"GIF89a\x03\0\x02\0\x80\0\0";
    let palette = [200, 20, 30, 10, 110, 210];
    let delay = b"!\xf9\x04\0\x14\0\0\0";
    let place = b",\0\0\0\0\x03\0\x02\0\0";
    // Codes of 3 bits, the lowest first: clear, five times colour 0, colour 1, end. From the fourth on, they stay at 3 bits as
    // the table is cleared before it grows.
    let codes: [(u32, u32); 11] =
        [(4, 3), (0, 3), (0, 3), (4, 3), (0, 3), (0, 3), (4, 3), (0, 3), (1, 3), (4, 3), (5, 3)];
    let (mut bits, mut count, mut data) = (0_u32, 0, Vec::new());
    for (code, size) in codes {
        bits |= code << count;
        count += size;
        while count >= 8 {
            data.push(bits as u8);
            bits >>= 8;
            count -= 8;
        }
    }
    data.push(bits as u8);
    let mut bytes = [&header[..], &palette].concat();
    for _ in 0..pictures {
        bytes.extend([&delay[..], place, &[2, data.len() as u8], &data, &[0]].concat());
    }
    bytes.push(b';');
    bytes
}
