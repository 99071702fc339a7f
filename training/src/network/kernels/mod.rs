//! Loops over the pixels of feature maps for the CPU, where burn's own backend is slow or needs several passes.
//!
//! Feature maps are slices in NCHW. The expensive loops use the vector instructions of the processor, with some
//! images, a plane or a channel per task. No sum depends on the scheduling of the tasks, so a training is repeatable.

pub mod batch_norm;
pub mod conv;
pub mod max_pool;
mod rows;

use face_attributes_training::architecture::Pads;
use pulp::Arch;

/// Number of partial sums: those of one vector register or of a few.
const LANES: usize = 16;

/// Runs a loop with the vector instructions of the processor.
///
/// The closure must be marked `#[inline(always)]`. Compiled as a function of its own, it would use the instructions of the
/// oldest processor. This happens to each closure that is passed to pulp directly, because pulp requires its own trait. The
/// bound `FnOnce` makes inlining possible.
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
    /// The shape in burn's form.
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
    /// Sizes of the output for `maps`, with the same number of channels.
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
