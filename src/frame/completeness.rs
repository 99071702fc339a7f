//! What the structure of a compressed picture tells before it is decoded: its size, and whether it reaches its end.
//!
//! OpenCV's decoder fills up with grey what is missing from a JPEG, and only warns. So the structure is followed here to the mark
//! of its end. What is behind that mark is ignored: cameras pad there. Damage before the mark is not found.

/// Whether a JPEG picture reaches its end.
pub fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const END_OF_IMAGE: u8 = 0xd9;
    segments(bytes).any(|segment| segment.marker == END_OF_IMAGE)
}

/// Whether a PNG picture reaches its end, by its chunks (W3C PNG, section 5.3).
pub fn png_is_complete(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some([a, b, c, d, kind @ ..]) = rest.first_chunk::<8>() {
        // Its length, its kind and its checksum are 12 bytes.
        let end = u32::from_be_bytes([*a, *b, *c, *d]) as usize + 12;
        let Some(behind) = rest.get(end..) else { return false };
        if kind == b"IEND" {
            return true;
        }
        rest = behind;
    }
    false
}

/// Width and height of a JPEG picture in pixels, by the header of its frame; `None` where it has none.
pub(super) fn jpeg_size(bytes: &[u8]) -> Option<(usize, usize)> {
    // The other markers in this range are those of tables, and one that is reserved.
    let is_frame = |marker| matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
    let header = segments(bytes).find(|segment| is_frame(segment.marker))?;
    let [_precision, height_high, height_low, width_high, width_low] = *header.content.first_chunk()?;
    let number = |high, low| usize::from(u16::from_be_bytes([high, low]));
    Some((number(width_high, width_low), number(height_high, height_low)))
}

/// Width and height of a PNG picture in pixels, by its first chunk; `None` where that is missing.
pub(super) fn png_size(bytes: &[u8]) -> Option<(usize, usize)> {
    let [width, height] = [16, 20].map(|at| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?) as usize));
    Some((width?, height?))
}

/// A marker of a JPEG picture and what belongs to it, without its length and without the data of a scan.
struct Segment<'a> {
    marker: u8,
    content: &'a [u8],
}

/// Follows the markers of a JPEG picture (ITU-T T.81, annex B), as far as there are bytes.
fn segments(bytes: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let mut rest = bytes.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        loop {
            // In the data of a scan, a byte 0xff is followed by 0, or by the marker of a restart.
            let start = rest.iter().position(|byte| *byte == 0xff)?;
            let length = rest[start..].iter().position(|byte| *byte != 0xff)?;
            let (marker, behind) = (rest[start + length], &rest[start + length + 1..]);
            rest = behind;
            match marker {
                0 | 1 | 0xd0..=0xd8 => {}
                0xd9 => return Some(Segment { marker, content: &[] }),
                _ => {
                    let length = usize::from(u16::from_be_bytes(*behind.first_chunk()?)).max(2);
                    let content = behind.get(2..length)?;
                    rest = behind.get(length..)?;
                    return Some(Segment { marker, content });
                }
            }
        }
    })
}
