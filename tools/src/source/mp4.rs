//! MP4 and QuickTime files (ISO/IEC 14496-12): boxes, each with its size and its kind, inside of others.

use std::fs::File;
use std::io;

use super::container::{Container, read_up_to};

/// The largest list of samples that is read: about 100 hours of video.
const MAX_MOVIE_BYTES: u64 = 256 << 20;

/// What a file says for certain.
pub fn read(file: &File, length: u64) -> io::Result<Container> {
    let mut container = Container::default();
    let mut offset = 0;
    while let Some(header) = Header::read(&read_up_to(file, offset, 16)?) {
        // The size may be left open in the last box.
        let Some(size) = header.size else { break };
        let end = offset.saturating_add(size);
        if end > length {
            container.is_cut_short = [b"moov", b"mdat", b"moof"].contains(&&header.kind);
            break;
        }
        if header.kind == *b"moov" && size <= MAX_MOVIE_BYTES {
            let movie = read_up_to(file, offset + header.bytes, (size - header.bytes) as usize)?;
            container.picture_count = picture_count(&movie);
        }
        offset = end;
    }
    Ok(container)
}

struct Header {
    kind: [u8; 4],
    /// Of the box with its header; `None` where it reaches to the end of the file.
    size: Option<u64>,
    /// Of the header.
    bytes: u64,
}

impl Header {
    /// `None` where there is no box.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (kind, size) = (*bytes.get(4..)?.first_chunk()?, number(bytes, 0)?);
        let (size, header_bytes) = match size {
            0 => (None, 8),
            1 => (Some(u64::from_be_bytes(*bytes.get(8..)?.first_chunk()?)), 16),
            size => (Some(size), 8),
        };
        size.is_none_or(|size| size >= header_bytes).then_some(Self { kind, size, bytes: header_bytes })
    }
}

/// The boxes in the content of another one.
fn boxes(mut content: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let header = Header::read(content)?;
        let size = header.size.map_or(content.len(), |size| size as usize);
        let inside = content.get(header.bytes as usize..size)?;
        content = &content[size..];
        Some((header.kind, inside))
    })
}

/// The content of the box that the path leads to, through the first box of each kind.
fn find<'a>(content: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(content, |content, kind| boxes(content).find(|(found, _)| found == *kind).map(|(_, it)| it))
}

/// How many pictures the one video track shows; `None` where there are several, of which FFmpeg picks one, or where the list of
/// its samples does not tell.
///
/// A track may show a part of its samples only: a film that was cut without a new encoding. And a file in fragments lists none
/// or some of them here.
fn picture_count(movie: &[u8]) -> Option<u64> {
    let is_video =
        |track: &[u8]| find(track, &[b"mdia", b"hdlr"]).and_then(|handler| handler.get(8..12)) == Some(b"vide");
    let mut tracks = boxes(movie).filter(|(kind, inside)| kind == b"trak" && is_video(inside));
    let (Some((_, track)), None) = (tracks.next(), tracks.next()) else { return None };
    let samples = find(track, &[b"mdia", b"minf", b"stbl", b"stsz"])
        .or_else(|| find(track, &[b"mdia", b"minf", b"stbl", b"stz2"]))
        .and_then(|sizes| number(sizes, 8))?;
    let is_whole = find(track, &[b"edts", b"elst"]).is_none_or(|edits| {
        let shown = Some(shown_duration(edits)).zip(timescale(find(movie, &[b"mvhd"])));
        let all = find(track, &[b"mdia", b"mdhd"]).and_then(|header| duration(header).zip(timescale(Some(header))));
        let seconds = |(duration, timescale): (u64, u64)| duration as f64 / timescale as f64;
        shown.map(seconds).zip(all.map(seconds)).is_some_and(|(shown, all)| shown >= MIN_SHOWN_SHARE * all)
    });
    (samples > 0 && is_whole).then_some(samples)
}

/// Share of a track's duration from which on it counts as shown whole: durations are rounded, and edits may skip what the decoder
/// needs to begin with.
const MIN_SHOWN_SHARE: f64 = 0.95;

/// The durations of the parts of its media that a track shows, in units of the movie.
fn shown_duration(edits: &[u8]) -> u64 {
    let is_long = edits.first() == Some(&1);
    let parts = edits.get(8..).unwrap_or_default().chunks_exact(if is_long { 20 } else { 12 });
    let part = |edit: &[u8]| {
        // A part that begins at -1 shows nothing.
        let (duration, start) = if is_long {
            (long(edit, 0)?, long(edit, 8)? as i64)
        } else {
            (number(edit, 0)?, number(edit, 4)? as i32 as i64)
        };
        (start >= 0).then_some(duration)
    };
    parts.filter_map(part).sum()
}

/// Units per second, of a header of a movie or of media.
fn timescale(header: Option<&[u8]>) -> Option<u64> {
    let header = header?;
    number(header, if header.first() == Some(&1) { 20 } else { 12 }).filter(|timescale| *timescale > 0)
}

fn duration(header: &[u8]) -> Option<u64> {
    if header.first() == Some(&1) { long(header, 24) } else { number(header, 16) }
}

/// The number in four bytes from `at` on.
fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|number| u32::from_be_bytes(*number).into())
}

/// The number in eight bytes from `at` on.
fn long(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|number| u64::from_be_bytes(*number))
}
