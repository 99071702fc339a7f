//! Small videos of kinds that OpenCV does not write by itself: it writes plain ones, and their bytes are changed.

use std::fs;
use std::path::Path;

use opencv::core::{CV_8UC3, Mat, Rect, Scalar, Size};
use opencv::prelude::*;
use opencv::videoio::VideoWriter;

/// Neither square nor symmetric, in multiples of what codecs round to.
pub const SIZE: Size = Size::new(96, 64);

/// Pictures per second.
pub const RATE: f64 = 10.0;

/// Writes a video of so many pictures: red in the upper left quarter, blue below it, green to its right. The container is that of
/// the name's ending, the codec is by its four letters.
pub fn write_video(path: &Path, codec: &str, count: usize) {
    let &[a, b, c, d] = codec.as_bytes() else { panic!("{codec}") };
    let codec = VideoWriter::fourcc(a.into(), b.into(), c.into(), d.into()).unwrap();
    let mut writer = VideoWriter::new(path, codec, RATE, SIZE, true).unwrap();
    assert!(writer.is_opened().unwrap(), "{}", path.display());
    for number in 0..count {
        // The lower right quarter changes, so that there is something to encode.
        let gray = Scalar::all(10.0 * (number % 20) as f64);
        let mut picture = Mat::new_size_with_default(SIZE, CV_8UC3, gray).unwrap();
        let Size { width, height } = SIZE / 2;
        let quarters = [(0, 0, (0.0, 0.0, 255.0)), (0, height, (255.0, 0.0, 0.0)), (width, 0, (0.0, 255.0, 0.0))];
        for (x, y, (blue, green, red)) in quarters {
            let color = Scalar::new(blue, green, red, 0.0);
            let mut part = Mat::roi_mut(&mut picture, Rect::new(x, y, width, height)).unwrap();
            part.set_to_def(&color).unwrap();
        }
        writer.write(&picture).unwrap();
    }
    writer.release().unwrap();
}

/// Changes the bytes of a file.
pub fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Where these bytes are; the first place of several.
pub fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted).unwrap()
}

/// Gives a Matroska file another duration, as a longer sound does.
pub fn set_matroska_duration(path: &Path, milliseconds: f64) {
    edit(path, |bytes| {
        // The element's name and its size, 8 bytes.
        let at = find(bytes, b"\x44\x89\x88") + 3;
        bytes[at..at + 8].copy_from_slice(&milliseconds.to_be_bytes());
    });
}
