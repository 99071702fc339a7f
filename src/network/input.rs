//! The input of a network: a grey picture of a fixed size whose pixels are scaled to a range.

use opencv::core::Size;
use tract_onnx::prelude::*;

use super::RunError;

/// The largest side of a network's input picture, in pixels.
pub const MAX_INPUT_SIDE_PX: usize = 1024;

/// The interval that a network's input pixels are scaled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelRange {
    /// 0 to 1.
    ZeroToOne,
    /// -1 to 1.
    MinusOneToOne,
}

impl PixelRange {
    /// Scales an 8-bit pixel.
    pub fn scale(self, pixel: u8) -> f32 {
        let unit = f32::from(pixel) / 255.0;
        match self {
            Self::ZeroToOne => unit,
            Self::MinusOneToOne => (unit - 0.5) * 2.0,
        }
    }
}

/// The input of a network: a grey picture of a fixed size whose pixels are scaled to a range.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModelInput {
    pub size: Size,
    pub pixel_range: PixelRange,
}

impl ModelInput {
    /// Checks the number of pixels.
    pub fn check(self, pixels: &[u8]) -> Result<(), RunError> {
        let (expected, got) = (self.size.area() as usize, pixels.len());
        if got == expected { Ok(()) } else { Err(RunError::PixelCount { expected, got }) }
    }

    /// The tensor `[1, 1, height, width]` of a grey 8-bit picture, given row by row without padding.
    pub fn tensor(self, pixels: &[u8]) -> Result<Tensor, RunError> {
        self.check(pixels)?;
        let [width, height] = [self.size.width, self.size.height].map(|side| side as usize);
        let scaled: Vec<f32> = pixels.iter().map(|pixel| self.pixel_range.scale(*pixel)).collect();
        Tensor::from_shape(&[1, 1, height, width], &scaled).map_err(RunError::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_scaled_to_the_ends_of_the_range() {
        assert_eq!([0, 255].map(|pixel| PixelRange::MinusOneToOne.scale(pixel)), [-1.0, 1.0]);
        assert_eq!([0, 255].map(|pixel| PixelRange::ZeroToOne.scale(pixel)), [0.0, 1.0]);
    }
}
