//! Pixel layouts of camera images, by the names that ROS gives them.

use std::fmt;
use std::str::FromStr;

/// The byte order of samples wider than one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant byte first.
    LittleEndian,
    /// Most significant byte first.
    BigEndian,
}

/// A pixel layout, named as in ROS' `sensor_msgs/image_encodings.hpp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// 8-bit grey.
    Mono8,
    /// 16-bit grey, in the frame's byte order, with 10, 12, 14 or 16 used bits.
    Mono16,
    /// 8-bit blue, green, red.
    Bgr8,
    /// 8-bit red, green, blue.
    Rgb8,
    /// 8-bit blue, green, red, alpha.
    Bgra8,
    /// 8-bit red, green, blue, alpha.
    Rgba8,
    /// 4:2:0 in two planes: Y, then rows of U V, each for two rows of Y. The planes have the same step.
    Nv12,
    /// 4:2:0 in two planes: Y, then rows of V U, each for two rows of Y. The planes have the same step.
    Nv21,
    /// 4:2:2 as U Y V Y.
    Uyvy,
    /// 4:2:2 as Y U Y V.
    Yuyv,
    /// 8-bit Bayer pattern whose first row begins with red, green.
    BayerRggb8,
    /// 8-bit Bayer pattern whose first row begins with blue, green.
    BayerBggr8,
    /// 8-bit Bayer pattern whose first row begins with green, blue.
    BayerGbrg8,
    /// 8-bit Bayer pattern whose first row begins with green, red.
    BayerGrbg8,
}

impl Encoding {
    /// Every encoding under each name that ROS has for it, the name to print first. Cameras give grey as well under the names of
    /// OpenCV's types, which tell nothing of the meaning: one channel is read as grey, three as blue, green, red.
    pub const NAMES: [(Self, &'static str); 19] = [
        (Self::Mono8, "mono8"),
        (Self::Mono8, "8UC1"),
        (Self::Mono16, "mono16"),
        (Self::Mono16, "16UC1"),
        (Self::Bgr8, "bgr8"),
        (Self::Bgr8, "8UC3"),
        (Self::Rgb8, "rgb8"),
        (Self::Bgra8, "bgra8"),
        (Self::Rgba8, "rgba8"),
        (Self::Nv12, "nv12"),
        (Self::Nv21, "nv21"),
        (Self::Uyvy, "yuv422"),
        (Self::Uyvy, "uyvy"),
        (Self::Yuyv, "yuv422_yuy2"),
        (Self::Yuyv, "yuyv"),
        (Self::BayerRggb8, "bayer_rggb8"),
        (Self::BayerBggr8, "bayer_bggr8"),
        (Self::BayerGbrg8, "bayer_gbrg8"),
        (Self::BayerGrbg8, "bayer_grbg8"),
    ];

    /// Bytes from one pixel to the next in a row, of the first plane where there are two.
    pub fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Nv12 | Self::Nv21 => 1,
            Self::Mono8 | Self::BayerRggb8 | Self::BayerBggr8 | Self::BayerGbrg8 | Self::BayerGrbg8 => 1,
            Self::Mono16 | Self::Uyvy | Self::Yuyv => 2,
            Self::Bgr8 | Self::Rgb8 => 3,
            Self::Bgra8 | Self::Rgba8 => 4,
        }
    }

    /// Whether two neighbouring pixels of a row share their colour, so that a row must hold an even number of them.
    pub fn pairs_columns(self) -> bool {
        matches!(self, Self::Uyvy | Self::Yuyv) || self.pairs_rows()
    }

    /// Whether two neighbouring rows share their colour, which follows in a second plane.
    pub fn pairs_rows(self) -> bool {
        matches!(self, Self::Nv12 | Self::Nv21)
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(encoding, _)| encoding == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

/// What is quoted of an unknown name at most: a damaged message may hold anything there.
const MAX_NAME_CHARS: usize = 40;

/// An image encoding that is not read here, for example one of depth or of compressed data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("encoding {name:?} is not supported; supported are {}", supported())]
pub struct UnsupportedEncoding {
    /// The encoding as the image names it, cut after 40 characters.
    pub name: String,
}

fn supported() -> String {
    Encoding::NAMES.map(|(_, name)| name).join(", ")
}

impl FromStr for Encoding {
    type Err = UnsupportedEncoding;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(encoding, _)| *encoding)
            .ok_or_else(|| UnsupportedEncoding { name: name.chars().take(MAX_NAME_CHARS).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_name_reads_back_as_the_same_encoding() {
        for (encoding, _) in Encoding::NAMES {
            assert_eq!(encoding.to_string().parse(), Ok(encoding));
        }
    }

    #[test]
    fn the_names_of_opencv_s_types_are_read_as_grey_and_as_blue_green_red() {
        for (name, encoding) in [("8UC1", Encoding::Mono8), ("8UC3", Encoding::Bgr8), ("16UC1", Encoding::Mono16)] {
            assert_eq!(name.parse(), Ok(encoding));
        }
    }

    #[test]
    fn an_unsupported_encoding_is_refused_by_name() {
        for name in ["16SC1", "32FC1", "jpeg", "", "BGR8"] {
            let message = name.parse::<Encoding>().unwrap_err().to_string();
            assert!(message.contains(&format!("{name:?}")) && message.contains("bgr8"), "{message}");
        }
        let endless = "\n".repeat(100_000).parse::<Encoding>().unwrap_err().to_string();
        assert!(endless.len() < 400 && !endless.contains('\n'), "{endless}");
    }
}
