//! What the container of a video says for certain: whether the file is whole, and how many pictures it holds.
//!
//! OpenCV's count of pictures proves nothing: mostly it is the duration times the rate, and the duration may be that of the
//! sound, the rate a guess.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::completeness::gif_pictures;
use super::content::is_mp4;
use super::mp4;

/// What the container of a video says for certain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Container {
    /// Whether the file ends before its container does.
    pub is_cut_short: bool,
    /// How many pictures it holds; `None` where it gives no number or a guess.
    pub picture_count: Option<u64>,
}

impl Container {
    /// Reads the headers of a video file. Of formats that are not known here, nothing is said.
    pub fn read(file: &File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let head = read_up_to(file, 0, 64)?;
        let cut_short = |is_cut_short| Self { is_cut_short, picture_count: None };
        Ok(if head.starts_with(b"RIFF") {
            cut_short(riff_is_cut_short(file, length)?)
        } else if head.starts_with(&EBML) {
            cut_short(matroska_is_cut_short(file, &head, length)?)
        } else if head.starts_with(b"GIF8") {
            let mut bytes = Vec::new();
            (&*file).read_to_end(&mut bytes)?;
            cut_short(!gif_pictures(&bytes).are_complete)
        } else if is_mp4(&head) {
            mp4::read(file, length)?
        } else {
            Self::default()
        })
    }
}

/// Up to `count` bytes from `offset` on.
pub fn read_up_to(file: &File, offset: u64, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    let mut filled = 0;
    while filled < count {
        match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// AVI: one RIFF chunk, and from 1 GB on more of them, each with its size.
fn riff_is_cut_short(file: &File, length: u64) -> io::Result<bool> {
    // Some writers count the 8 bytes of the chunk's own header too.
    const TOLERANCE_BYTES: u64 = 8;
    let mut offset = 0;
    while let Some([b'R', b'I', b'F', b'F', size @ ..]) = read_up_to(file, offset, 8)?.first_chunk::<8>() {
        let size = u32::from_le_bytes(*size);
        // A recording that was broken off, or went to a pipe, has no size.
        if [0, u32::MAX].contains(&size) {
            return Ok(false);
        }
        offset += 8 + u64::from(size) + u64::from(size % 2);
    }
    Ok(offset > length + TOLERANCE_BYTES)
}

const EBML: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];
const SEGMENT: [u8; 4] = [0x18, 0x53, 0x80, 0x67];

/// Matroska and WebM (RFC 9559): a header, and a segment with all the rest.
fn matroska_is_cut_short(file: &File, head: &[u8], length: u64) -> io::Result<bool> {
    let Some((size, bytes)) = element_size(&head[EBML.len()..]) else { return Ok(false) };
    let segment = (EBML.len() + bytes) as u64 + size;
    let head = read_up_to(file, segment, 16)?;
    let size = head.strip_prefix(&SEGMENT).and_then(element_size);
    Ok(size.is_some_and(|(size, bytes)| segment + (SEGMENT.len() + bytes) as u64 + size > length))
}

/// The size of an element and the number of bytes in which it is written; `None` where it is left open (RFC 8794, section 4).
fn element_size(bytes: &[u8]) -> Option<(u64, usize)> {
    let count = bytes.first()?.leading_zeros() as usize + 1;
    let number =
        bytes.get(..count).filter(|_| count <= 8)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let largest = (1_u64 << (7 * count)) - 1;
    let size = number & largest;
    (size != largest).then_some((size, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_elements_are_read_as_matroska_writes_them() {
        let whole: [(&[u8], _); 3] =
            [(&[0x82], (2, 1)), (&[0x40, 0x02], (2, 2)), (&[0x01, 0, 0, 0, 0, 0, 0x12, 0x34], (0x1234, 8))];
        for (bytes, expected) in whole {
            assert_eq!(element_size(bytes), Some(expected), "{bytes:?}");
        }
        let open: [&[u8]; 4] = [&[0xff], &[0x01, 255, 255, 255, 255, 255, 255, 255], &[0x40], &[0; 9]];
        for bytes in open {
            assert_eq!(element_size(bytes), None, "{bytes:?}");
        }
    }
}
