//! Loops over the pixels of feature maps for the processor, which burn's own backend does slowly or not in one go.
//!
//! Feature maps are slices in NCHW. The loops that matter run with the vector instructions that the processor has, one plane
//! or one channel per task; no sum depends on how the tasks are scheduled, so a training can be repeated.

pub mod batch_norm;
pub mod conv;
pub mod depthwise;
pub mod max_pool;

use face_attributes_training::architecture::Pads;
use pulp::Arch;

/// Partial sums that a vector register holds, or a few of them.
const LANES: usize = 16;

/// Runs a loop with the vector instructions that the processor has.
///
/// The closure must be marked `#[inline(always)]`: compiled as a function of its own, it has the instructions of the oldest
/// processor. That happens to every closure which is passed to pulp directly, as pulp asks for a trait of its own: the bound
/// `FnOnce` is what lets it be inlined.
#[inline(always)]
fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

/// Sizes of a batch of feature maps, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maps {
    /// Number of images.
    pub batch: usize,
    /// Number of channels.
    pub channels: usize,
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
}

impl Maps {
    /// The shape as burn writes it.
    pub fn dims(self) -> [usize; 4] {
        [self.batch, self.channels, self.height, self.width]
    }

    /// Number of elements in one channel of one image.
    fn plane(self) -> usize {
        self.height * self.width
    }

    /// Number of elements of one image.
    fn image(self) -> usize {
        self.channels * self.plane()
    }
}

impl From<[usize; 4]> for Maps {
    fn from([batch, channels, height, width]: [usize; 4]) -> Self {
        Self { batch, channels, height, width }
    }
}

/// A square window that moves over feature maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Side of the window.
    pub kernel: usize,
    /// Step of the window.
    pub stride: usize,
    /// Rows and columns of zeros around the feature map.
    pub pads: Pads,
}

impl Window {
    /// Sizes of what comes out for `maps`, with as many channels.
    pub fn output(self, maps: Maps) -> Maps {
        let Maps { height, width, .. } = self.padded(maps);
        let steps = |length: usize| (length - self.kernel) / self.stride + 1;
        Maps { height: steps(height), width: steps(width), ..maps }
    }

    /// Sizes of `maps` with the zeros around them.
    fn padded(self, maps: Maps) -> Maps {
        let Pads { top, left, bottom, right } = self.pads;
        Maps { height: maps.height + top + bottom, width: maps.width + left + right, ..maps }
    }

    /// Number of elements in the window.
    fn taps(self) -> usize {
        self.kernel * self.kernel
    }
}

/// Writes a plane of `maps` with zeros around it into `padded`.
#[inline(always)]
fn pad(plane: &[f32], maps: Maps, window: Window, padded: &mut Vec<f32>) {
    let sizes = window.padded(maps);
    padded.clear();
    padded.resize(sizes.plane(), 0.0);
    for (row, source) in plane.chunks_exact(maps.width).enumerate() {
        padded[(row + window.pads.top) * sizes.width + window.pads.left..][..maps.width].copy_from_slice(source);
    }
}
