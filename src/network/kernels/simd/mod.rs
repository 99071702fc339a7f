//! Rows of pixels through vector instructions: the only part of the kernels whose speed needs `unsafe`.
//!
//! Each public function is safe: it checks once for a whole row that all that its tiles read and write lies in the slices, and an
//! [`Isa`] exists only for instructions that this processor has. A tile is some pixels of a row by some channels, held in
//! registers.
#![allow(
    unsafe_code,
    reason = "intrinsics and unchecked loads: with bounds checks in the innermost loops, the depthwise convolutions take several \
              times as long"
)]

/// The tiles of an instruction set, as functions of their own: the compiler takes minutes when all are inlined into one.
macro_rules! tiles {
    ($tile:ident; $($pixels:literal)*) => { [$($tile::<$pixels> as TilesFn),*] };
    ($tile:ident, $vectors:literal; $($pixels:literal)*) => { [$($tile::<$pixels, $vectors> as TilesFn),*] };
}
mod sets;
#[cfg(test)]
mod tests;
mod tile;
pub mod winograd;

use sets::*;
use tile::{Tile, TilesFn};

/// All maps have a multiple of this number of channels, the rest being 0.
pub const LANES: usize = 8;

/// A set of vector instructions that this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Isa {
    /// The sets that this processor has, the fastest one last.
    pub fn available() -> Vec<Self> {
        let mut kinds = vec![Kind::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            kinds.extend(has_avx2.then_some(Kind::Avx2));
            kinds.extend((has_avx2 && is_x86_feature_detected!("avx512f")).then_some(Kind::Avx512));
        }
        #[cfg(target_arch = "aarch64")]
        kinds.push(Kind::Neon);
        kinds.into_iter().map(Self).collect()
    }

    /// The fastest one that this processor has.
    pub fn fastest() -> Self {
        Self::available().pop().unwrap_or(Self(Kind::Portable))
    }

    /// How many of `channels` a tile of a convolution takes at once: 8, 16 or 32. `channels` is a multiple of 8.
    pub fn tile_channels(self, channels: usize) -> usize {
        let widths: &[usize] = match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => &[16],
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => &[32, 16],
            _ => &[],
        };
        widths.iter().copied().find(|width| *width <= channels).unwrap_or(LANES)
    }

    fn convolution_tiles(self, channels: usize) -> &'static [TilesFn] {
        match (self.0, channels) {
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx512, 32) => const { &tiles!(convolve_avx512, 2; 1 2 3 4 5 6 7 8 9 10) },
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx512, 16) => const { &tiles!(convolve_avx512, 1; 1 2 3 4 5 6 7 8 9 10) },
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx2, 16) => const { &tiles!(convolve_avx2, 2; 1 2 3 4 5 6) },
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx512 | Kind::Avx2, _) => const { &tiles!(convolve_avx2, 1; 1 2 3 4 5 6 7 8 9 10) },
            #[cfg(target_arch = "aarch64")]
            (Kind::Neon, _) => const { &tiles!(convolve_neon, 1; 1 2 3 4 5 6 7 8 9 10) },
            (Kind::Portable, _) => const { &tiles!(convolve_portable, 1; 1 2 3 4) },
        }
    }

    /// For 8 channels, see [`tile::gray_tile`].
    fn gray_tiles(self) -> &'static [TilesFn] {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => const { &tiles!(gray_avx512; 1 2 3 4 5 6 7 8 9) },
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => const { &tiles!(gray_avx2; 1 2 3 4 5 6 7 8 9) },
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => const { &tiles!(gray_neon; 1 2 3 4 5 6 7 8 9) },
            Kind::Portable => const { &tiles!(gray_portable; 1 2 3 4) },
        }
    }

    /// `stride`: see [`tile::depthwise_tile`].
    fn depthwise_tiles(self, stride: usize) -> &'static [TilesFn] {
        macro_rules! by_stride {
            ($tile:ident; $($pixels:literal)*) => {
                match stride {
                    1 => const { &tiles!($tile, 1; $($pixels)*) },
                    2 => const { &tiles!($tile, 2; $($pixels)*) },
                    _ => const { &tiles!($tile, 0; $($pixels)*) },
                }
            };
        }
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => by_stride!(depthwise_avx512; 1 2 3 4 5 6 7 8),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => by_stride!(depthwise_avx2; 1 2 3 4 5 6 7 8),
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => by_stride!(depthwise_neon; 1 2 3 4 5 6 7 8),
            Kind::Portable => by_stride!(depthwise_portable; 1 2 3 4),
        }
    }

    fn mean(self) -> unsafe fn(&Tile, usize, f32) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => mean_avx512,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => mean_avx2,
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => mean_neon,
            Kind::Portable => mean_portable,
        }
    }

    fn winograd(self) -> unsafe fn(&mut Patches) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => winograd_avx512,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => winograd_avx2,
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => winograd_neon,
            Kind::Portable => winograd_portable,
        }
    }

    /// `runs`: see [`tile::max_tile`].
    fn max(self, runs: usize) -> unsafe fn(&Tile, usize) {
        macro_rules! by_runs {
            ($max:ident) => {
                match runs {
                    2 => $max::<2>,
                    3 => $max::<3>,
                    _ => $max::<0>,
                }
            };
        }
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => by_runs!(max_avx512),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => by_runs!(max_avx2),
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => by_runs!(max_neon),
            Kind::Portable => by_runs!(max_portable),
        }
    }
}

/// What an output pixel is computed from: `rows` times `runs` pieces of `run_length` numbers.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub rows: usize,
    pub row_step: usize,
    pub runs: usize,
    pub run_step: usize,
    pub run_length: usize,
}

impl Window {
    /// How many numbers there are from the first to the last one.
    fn span(&self) -> usize {
        (self.rows - 1) * self.row_step + (self.runs - 1) * self.run_step + self.run_length
    }
}

/// Output pixels that follow each other, and what they are computed from. Steps are from one pixel to the next.
#[derive(Debug)]
pub struct Row<'a> {
    pub pixels: usize,
    pub window: Window,
    pub src: &'a [f32],
    pub src_step: usize,
    pub weights: &'a [f32],
    pub bias: &'a [f32],
    /// Added before the limits apply.
    pub add: Option<&'a [f32]>,
    pub add_step: usize,
    pub dst: &'a mut [f32],
    pub dst_step: usize,
    /// Smaller and larger outputs become these.
    pub limits: [f32; 2],
}

impl<'a> Row<'a> {
    /// Windows without weights. Steps are from one pixel to the next.
    pub fn pool(
        pixels: usize,
        window: Window,
        (src, src_step): (&'a [f32], usize),
        (dst, dst_step): (&'a mut [f32], usize),
    ) -> Self {
        let limits = [f32::NEG_INFINITY, f32::INFINITY];
        Self { pixels, window, src, src_step, weights: &[], bias: &[], add: None, add_step: 0, dst, dst_step, limits }
    }
}

/// Dense convolution of a row: `channels` outputs a pixel, as many as [`Isa::tile_channels`] says, each the sum over the window.
/// The weights are `[rows][runs][run_length][channels]`.
pub fn convolve(isa: Isa, channels: usize, row: &mut Row) {
    assert!(channels == isa.tile_channels(channels), "a tile has so many channels");
    check(row, channels, row.window.rows * row.window.runs * row.window.run_length * channels);
    let Window { runs, run_length, .. } = row.window;
    let is_gray = (runs, run_length, row.src_step, channels) == (1, 3, 1, LANES);
    run_tiles(if is_gray { isa.gray_tiles() } else { isa.convolution_tiles(channels) }, row);
}

/// Depthwise convolution of a row: `run_length` is the number of channels, a multiple of 8. The weights are
/// `[rows][runs][channels]`.
pub fn depthwise(isa: Isa, row: &mut Row) {
    let channels = row.window.run_length;
    assert!(channels.is_multiple_of(LANES), "channels are padded");
    check(row, channels, row.window.rows * row.window.runs * channels);
    let Window { runs, run_step, .. } = row.window;
    let stride = [1, 2].into_iter().find(|stride| runs == 3 && row.src_step == stride * run_step);
    run_tiles(isa.depthwise_tiles(stride.unwrap_or(0)), row);
}

/// The largest number of each window for each channel. `run_length` is the number of channels, a multiple of 8. Only the
/// windows and the destination of the row are used.
pub fn max_pool(isa: Isa, row: &mut Row) {
    let channels = row.window.run_length;
    assert!(channels.is_multiple_of(LANES), "channels are padded");
    check(row, channels, 0);
    // SAFETY: `check` has shown that all pixels of the row lie in the slices, and the function is for instructions that there
    // are.
    unsafe { isa.max(row.window.runs)(&tile(row, 0), row.pixels) };
}

/// The mean of each window over `count` for each channel. Only the windows and the destination of the row are used.
pub fn mean(isa: Isa, row: &mut Row, count: usize) {
    check(row, row.window.run_length, 0);
    // SAFETY: as for `max_pool`.
    unsafe { isa.mean()(&tile(row, 0), row.pixels, count as f32) };
}

/// What [`winograd`] computes: a map from windows of 3x3 pixels of another one.
#[derive(Debug)]
pub struct Patches<'a> {
    /// Height and width of the written map.
    pub size: [usize; 2],
    /// Begins with the first pixel of the first window.
    pub src: &'a [f32],
    pub src_row_step: usize,
    /// From one pixel to the next, a multiple of 8.
    pub src_step: usize,
    /// How many of the source's channels are not 0.
    pub channels: usize,
    /// `[product][channels][dst_step]`
    pub weights: &'a [f32],
    pub bias: &'a [f32],
    pub limits: [f32; 2],
    /// Begins with the first pixel.
    pub dst: &'a mut [f32],
    pub dst_row_step: usize,
    /// From one pixel to the next, a multiple of 8. All are written.
    pub dst_step: usize,
    pub scratch: &'a mut [f32],
}

impl Patches<'_> {
    /// How many numbers of working memory maps of these steps take.
    pub fn scratch_len(src_step: usize, dst_step: usize) -> usize {
        winograd::PRODUCTS * winograd::AT_ONCE * (src_step + dst_step)
    }
}

/// Convolution with windows of 3x3 pixels side by side. The source must reach to the end of the last whole patch.
pub fn winograd(isa: Isa, patches: &mut Patches) {
    let Patches { size: [height, width], src_row_step, src_step, dst_row_step, dst_step, channels, .. } = *patches;
    assert!(height > 0 && width > 0, "nothing to compute");
    assert!([src_step, dst_step].iter().all(|step| step.is_multiple_of(LANES)), "channels are padded");
    let [last_row, last_column] = [height, width].map(|side| side.next_multiple_of(winograd::SIDE) + 1);
    let reached = last_row * src_row_step + (last_column + 1) * src_step;
    assert!(channels <= src_step && reached <= patches.src.len(), "the windows end in the source");
    let reached = (height - 1) * dst_row_step + width * dst_step;
    assert!(reached <= patches.dst.len(), "the pixels end in the destination");
    assert!(patches.scratch.len() >= Patches::scratch_len(src_step, dst_step), "there is room for the products");
    let weights = winograd::PRODUCTS * channels * dst_step;
    assert!(weights <= patches.weights.len() && dst_step <= patches.bias.len(), "there are weights for all channels");
    // SAFETY: all that the patches read and write lies in the slices, and the function is for instructions that there are.
    unsafe { isa.winograd()(patches) };
}

/// Checks that all that the tiles of a row read and write lies in its slices.
fn check(row: &Row, channels: usize, weights: usize) {
    assert!(row.pixels > 0 && row.window.rows > 0 && row.window.runs > 0, "nothing to compute");
    let last = row.pixels - 1;
    assert!(last * row.src_step + row.window.span() <= row.src.len(), "the windows end in the source");
    assert!(last * row.dst_step + channels <= row.dst.len(), "the pixels end in the destination");
    assert!(row.add.is_none_or(|add| last * row.add_step + channels <= add.len()), "the pixels end in what is added");
    assert!(
        weights <= row.weights.len() && (weights == 0 || channels <= row.bias.len()),
        "there are weights for all channels"
    );
}

/// Runs a row in tiles of about equal size. `tiles[n]` is for tiles of n + 1 pixels.
fn run_tiles(tiles: &[TilesFn], row: &mut Row) {
    let count = row.pixels.div_ceil(tiles.len());
    let (pixels, larger) = (row.pixels / count, row.pixels % count);
    // SAFETY: `check` has shown that all pixels of the row lie in the slices, the tiles together have as many, and the functions
    // are for instructions that there are.
    unsafe {
        let tile = tile(row, 0);
        if larger > 0 {
            tiles[pixels](tile, larger);
        }
        if larger < count {
            tiles[pixels - 1](tile.after(larger * (pixels + 1)), count - larger);
        }
    }
}

/// The tile that begins at a pixel of the row.
///
/// # Safety
/// The row has the pixel, and [`check`] found nothing wrong.
unsafe fn tile(row: &mut Row, first: usize) -> Tile {
    // SAFETY: the caller's.
    unsafe {
        Tile {
            window: row.window,
            src: row.src.as_ptr().add(first * row.src_step),
            src_step: row.src_step,
            weights: row.weights.as_ptr(),
            bias: row.bias.as_ptr(),
            add: row.add.map(|add| add.as_ptr().add(first * row.add_step)),
            add_step: row.add_step,
            dst: row.dst.as_mut_ptr().add(first * row.dst_step),
            dst_step: row.dst_step,
            limits: row.limits,
        }
    }
}
