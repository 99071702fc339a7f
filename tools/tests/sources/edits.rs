//! Changes of videos, and what they show.

use std::path::Path;

use opencv::core::{Mat, Vec3b};
use opencv::prelude::*;

use crate::videos::{edit, find};

/// The corner of a picture that is of the colour given by its channel, 0 for blue: x and y are 0 at the left and the top.
pub fn corner_of(picture: &Mat, channel: usize) -> (i32, i32) {
    let places = [(0, 0), (0, 1), (1, 0), (1, 1)];
    let is_of_color = |(x, y): &(i32, i32)| {
        let (row, column) = (y * (picture.rows() - 9) + 4, x * (picture.cols() - 9) + 4);
        let color = picture.at_2d::<Vec3b>(row, column).unwrap();
        (0..3).all(|other| (color[other] > 150) == (other == channel))
    };
    places.into_iter().find(is_of_color).unwrap()
}

/// Writes a number in four bytes, the largest first.
pub fn put(bytes: &mut [u8], at: usize, number: i32) {
    bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
}

/// Has an MP4's pictures turned clockwise when they are shown, by the matrix in the header of the track.
pub fn set_rotation(path: &Path, degrees: i32) {
    const ONE: i32 = 1 << 16;
    let (cosine, sine) = match degrees {
        0 => (ONE, 0),
        90 => (0, ONE),
        180 => (-ONE, 0),
        270 => (0, -ONE),
        _ => panic!("{degrees}"),
    };
    edit(path, |bytes| {
        let matrix = find(bytes, b"tkhd\0") + 4 + 40;
        assert_eq!(bytes[matrix..matrix + 4], ONE.to_be_bytes());
        for (place, value) in [(0, cosine), (1, sine), (3, -sine), (4, cosine)] {
            put(bytes, matrix + 4 * place, value);
        }
    });
}

/// Gives the pictures of a Matroska file in Motion JPEG other times.
pub fn set_matroska_times(path: &Path, milliseconds: &[i16]) {
    edit(path, |bytes| {
        // Track 1, the time, flags, and the beginning of a JPEG.
        let is_block = |at: &usize| bytes[*at] == 0x81 && bytes[at + 4..].starts_with(b"\xff\xd8\xff");
        let blocks: Vec<_> = (0..bytes.len() - 8).filter(is_block).collect();
        assert_eq!(blocks.len(), milliseconds.len());
        for (at, time) in blocks.into_iter().zip(milliseconds) {
            bytes[at + 1..at + 3].copy_from_slice(&time.to_be_bytes());
        }
    });
}
