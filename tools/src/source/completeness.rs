//! Whether an image file reaches its end.
//!
//! Decoders fill up with grey what is missing from a JPEG, and only warn. So the structure of the file is followed here to the
//! mark of its end. What is behind that mark is ignored: cameras put previews and films there. Damage before the mark is not
//! found.

use face_attributes::frame::{jpeg_is_complete, png_is_complete};

/// Whether the image ends where its format says. Formats that are not followed here count as complete: OpenCV refuses those that
/// are cut short.
pub fn is_complete(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"\xff\xd8") {
        jpeg_is_complete(bytes)
    } else if bytes.starts_with(b"\x89PNG") {
        png_is_complete(bytes)
    } else if bytes.starts_with(b"GIF8") {
        gif_pictures(bytes).are_complete
    } else if bytes.starts_with(b"RIFF") {
        // WebP.
        little_endian(bytes, 4).is_some_and(|size| size + 8 <= bytes.len())
    } else {
        true
    }
}

/// The pictures of a GIF file.
pub struct GifPictures {
    /// How many begin.
    pub count: u64,
    /// Whether the last one ends.
    pub are_complete: bool,
}

/// Follows the blocks of a GIF file (GIF89a, section 17 and following).
pub fn gif_pictures(bytes: &[u8]) -> GifPictures {
    const HEADER_BYTES: usize = 13;
    let mut count = 0;
    let mut at = HEADER_BYTES + color_table_bytes(bytes.get(10));
    loop {
        let end_of_block = match bytes.get(at) {
            // Some writers leave out the mark of the end.
            Some(b';') | None => return GifPictures { count, are_complete: count > 0 && at <= bytes.len() },
            Some(b',') => {
                count += 1;
                // The place and size of the picture, its colours, and the size of the codes.
                sub_blocks_end(bytes, at + 11 + color_table_bytes(bytes.get(at + 9)))
            }
            Some(b'!') => sub_blocks_end(bytes, at + 2),
            Some(_) => None,
        };
        let Some(end) = end_of_block else { return GifPictures { count, are_complete: false } };
        at = end;
    }
}

/// How long the colour table is that these flags tell of.
fn color_table_bytes(flags: Option<&u8>) -> usize {
    let flags = flags.copied().unwrap_or(0);
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Where blocks end of which each begins with its size, and the last one is empty; `None` where the file ends before.
fn sub_blocks_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let size = usize::from(*bytes.get(at)?);
        at += size + 1;
        if size == 0 {
            return Some(at);
        }
    }
}

/// The number in four bytes from `at` on.
fn little_endian(bytes: &[u8], at: usize) -> Option<usize> {
    let number = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*number) as usize)
}
