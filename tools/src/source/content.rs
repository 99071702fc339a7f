//! What a file holds, by its first bytes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::completeness::gif_pictures;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// One picture.
    Image,
    /// Pictures over time.
    Video,
    /// Something else, as far as its first bytes tell.
    Unknown,
}

impl Content {
    /// What the file holds. Its first bytes decide, and its name only where they leave it open.
    ///
    /// A file of unknown content that is named like an image counts as one: so a damaged image is an error and not left out. A
    /// JPEG file may be the first picture of a video in Motion JPEG; where it is named so, it counts as that.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut head = Vec::new();
        File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
        Ok(if head.starts_with(b"GIF8") {
            // An animation is a video, and a single picture is an image.
            if gif_pictures(&fs::read(path)?).count > 1 { Self::Video } else { Self::Image }
        } else if head.starts_with(JPEG) && has_extension(path, &["mjpeg", "mjpg"]) {
            Self::Video
        } else if is_image(&head) {
            Self::Image
        } else if is_video(&head) {
            Self::Video
        } else if Self::is_named_like_image(path) {
            Self::Image
        } else {
            Self::Unknown
        })
    }

    /// Whether the file's name ends like that of an image.
    pub fn is_named_like_image(path: &Path) -> bool {
        has_extension(path, &IMAGE_EXTENSIONS)
    }
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    known.contains(&extension.as_str())
}

/// Enough for four packets of an MPEG transport stream.
const HEAD_BYTES: u64 = 1024;

/// How image files are named, in lower case.
const IMAGE_EXTENSIONS: [&str; 18] = [
    "avif", "bmp", "dib", "gif", "heic", "heif", "jfif", "jp2", "jpe", "jpeg", "jpg", "pbm", "pgm", "png", "ppm",
    "tif", "tiff", "webp",
];

const JPEG: &[u8] = b"\xff\xd8\xff";

/// JPEG, PNG, TIFF and BigTIFF, JPEG 2000, JPEG XL, OpenEXR, Radiance HDR, Sun raster.
const IMAGE_PREFIXES: [&[u8]; 15] = [
    JPEG,
    b"\x89PNG\r\n\x1a\n",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"\0\0\0\x0cjP  ",
    b"\xff\x4f\xff\x51",
    b"\0\0\0\x0cJXL ",
    b"\xff\x0a",
    b"\x76\x2f\x31\x01",
    b"#?RADIANCE",
    b"#?RGBE",
    b"\x59\xa6\x6a\x95",
    b"P7\n",
];

fn is_image(head: &[u8]) -> bool {
    let is_webp = head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP");
    let is_heif = brand(head).is_some_and(|brand| HEIF_BRANDS.contains(&brand));
    let has_prefix = IMAGE_PREFIXES.iter().any(|prefix| head.starts_with(prefix));
    has_prefix || is_webp || is_heif || is_bmp(head) || is_netpbm(head)
}

/// Text may begin with the two letters of BMP, so the size of the header behind the file's header counts too.
fn is_bmp(head: &[u8]) -> bool {
    let header_size = head.get(14..18).map(|size| [size[0], size[1], size[2], size[3]]).map(u32::from_le_bytes);
    head.starts_with(b"BM") && header_size.is_some_and(|size| [12, 16, 40, 52, 56, 64, 108, 124].contains(&size))
}

/// P1 to P6 of Netpbm and PFM: behind the letters come blanks, and then the width or a comment.
fn is_netpbm(head: &[u8]) -> bool {
    let [b'P', b'1'..=b'6' | b'f' | b'F', blank, rest @ ..] = head else { return false };
    let next = rest.iter().find(|byte| !byte.is_ascii_whitespace());
    blank.is_ascii_whitespace() && next.is_some_and(|byte| byte.is_ascii_digit() || *byte == b'#')
}

/// Brands of HEIC and AVIF, which are built like MP4.
const HEIF_BRANDS: [&[u8]; 9] = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis"];

/// The main brand of a file that is built like MP4.
fn brand(head: &[u8]) -> Option<&[u8]> {
    (head.get(4..8)? == b"ftyp").then(|| head.get(8..12)).flatten()
}

/// Matroska and WebM, FLV, ASF (WMV), MXF, Y4M, IVF, RealMedia, NUT, DV, and streams of MPEG-1, 2 and 4, H.264 and H.265.
const VIDEO_PREFIXES: [&[u8]; 22] = [
    b"\x1a\x45\xdf\xa3",
    b"FLV\x01",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    b"\x06\x0e\x2b\x34",
    b"YUV4MPEG2 ",
    b"DKIF",
    b".RMF",
    b"nut/multimedia container",
    b"\x1f\x07\x00",
    b"\0\0\x01\xb0",
    b"\0\0\x01\xb3",
    b"\0\0\x01\xb5",
    b"\0\0\x01\xba",
    b"\0\0\x01\x09",
    b"\0\0\x01\x67",
    b"\0\0\x01\x27",
    b"\0\0\0\x01\x09",
    b"\0\0\0\x01\x67",
    b"\0\0\0\x01\x27",
    b"\0\0\0\x01\x40\x01",
    b"\0\0\0\x01\x46\x01",
    b"\0\0\x01\x40\x01",
];

fn is_video(head: &[u8]) -> bool {
    let is_avi = head.starts_with(b"RIFF") && [Some(&b"AVI "[..]), Some(b"AMV ")].contains(&head.get(8..12));
    let is_ogg = head.starts_with(b"OggS");
    let ogg_has_video = || [&b"theora"[..], b"BBCD", b"OVP80"].iter().any(|codec| contains(head, codec));
    let has_prefix = VIDEO_PREFIXES.iter().any(|prefix| head.starts_with(prefix));
    has_prefix || is_avi || (is_ogg && ogg_has_video()) || is_mp4(head) || is_transport_stream(head)
}

/// MP4 and QuickTime. Audio has brands of its own.
pub fn is_mp4(head: &[u8]) -> bool {
    const OLD_QUICKTIME: [&[u8]; 6] = [b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"];
    let first_box = head.get(4..8).unwrap_or_default();
    // Before the name stands the size of the box. As text, it would be larger.
    let is_old_quicktime = OLD_QUICKTIME.contains(&first_box) && head[0] < b' ';
    is_old_quicktime || brand(head).is_some_and(|brand| ![&b"M4A "[..], b"M4B "].contains(&brand))
}

/// MPEG transport streams have the same byte at the beginning of each packet; those of Blu-ray a time before it.
fn is_transport_stream(head: &[u8]) -> bool {
    const SYNC: u8 = 0x47;
    [(0, 188), (4, 192)].iter().any(|(first, step)| (0..4).all(|packet| head.get(first + packet * step) == Some(&SYNC)))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn content(folder: &TempDir, name: &str, bytes: &[u8]) -> Content {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        Content::of(&path).unwrap()
    }

    #[test]
    fn text_that_begins_like_a_signature_is_neither_image_nor_video() {
        let folder = tempfile::tempdir().unwrap();
        let texts = [
            "",
            "BMW, Audi, Opel",
            "P5 is a chip",
            "P1",
            "The free lunch",
            "GIF",
            "RIFF is not AVI",
            "#? what",
            "MM",
            "G",
        ];
        for text in texts {
            assert_eq!(content(&folder, "notes", text.as_bytes()), Content::Unknown, "{text}");
        }
        assert_eq!(content(&folder, "table.csv", &[b'G'; 2000]), Content::Video, "this is a transport stream");
    }

    #[test]
    fn the_name_counts_only_where_the_content_is_unknown_or_open() {
        let folder = tempfile::tempdir().unwrap();
        let [matroska, jpeg, text] = [&b"\x1a\x45\xdf\xa3...."[..], b"\xff\xd8\xff\xe0....", b"no picture"];
        let cases = [
            ("a.jpg", matroska, Content::Video),
            ("a.mkv", jpeg, Content::Image),
            ("a.mjpeg", jpeg, Content::Video),
            ("a.JPG", text, Content::Image),
            ("a.mp4", text, Content::Unknown),
            ("jpg", text, Content::Unknown),
        ];
        for (name, bytes, expected) in cases {
            assert_eq!(content(&folder, name, bytes), expected, "{name} {bytes:?}");
        }
    }

    #[test]
    fn what_is_built_like_mp4_is_told_by_its_brand() {
        let folder = tempfile::tempdir().unwrap();
        let cases =
            [("isom", Content::Video), ("qt  ", Content::Video), ("heic", Content::Image), ("M4A ", Content::Unknown)];
        for (brand, expected) in cases {
            let bytes = [b"\0\0\0\x18ftyp", brand.as_bytes(), &[0; 12]].concat();
            assert_eq!(content(&folder, "file", &bytes), expected, "{brand}");
        }
        assert_eq!(content(&folder, "file", b"\0\0\0\x08wide\0\0\0\0mdat"), Content::Video);
    }
}
