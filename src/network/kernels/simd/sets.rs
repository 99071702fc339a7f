//! The instruction sets: their vectors, and their tiles.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::tile::{Tile, Vector, convolve_tile, depthwise_tile, gray_tile, max_tile, mean_tile};
use super::{Patches, winograd};

/// An instruction set: its vector's functions, and its tiles.
macro_rules! instruction_set {
    (
        $vector:ty, $lanes:literal, $rest:ty, $([$feature:literal],)? $convolve:ident, $gray:ident, $depthwise:ident, $max:ident,
        $mean:ident, $winograd:ident;
        $splat:expr, $load:expr, $store:expr, $add:expr, $sub:expr, $larger:expr, $smaller:expr, $add_product:expr
    ) => {
        // SAFETY of all: that of the intrinsics, which the callers guarantee.
        #[allow(unused_unsafe, reason = "plain numbers need none")]
        impl Vector for $vector {
            const LANES: usize = $lanes;
            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                unsafe { $splat(value) }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                unsafe { $load(from) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                unsafe { $store(to, self) }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                unsafe { $add(self, other) }
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                unsafe { $sub(self, other) }
            }
            #[inline(always)]
            unsafe fn max(self, other: Self) -> Self {
                unsafe { $larger(self, other) }
            }
            #[inline(always)]
            unsafe fn min(self, other: Self) -> Self {
                unsafe { $smaller(self, other) }
            }
            #[inline(always)]
            unsafe fn add_product(self, a: Self, b: Self) -> Self {
                unsafe { $add_product(a, b, self) }
            }
        }

        $(#[target_feature(enable = $feature)])?
        pub unsafe fn $convolve<const PIXELS: usize, const VECTORS: usize>(mut tile: Tile, count: usize) {
            unsafe {
                for number in 0..count {
                    convolve_tile::<$vector, PIXELS, VECTORS>(&tile);
                    if number + 1 < count {
                        tile = tile.after(PIXELS);
                    }
                }
            }
        }

        $(#[target_feature(enable = $feature)])?
        pub unsafe fn $gray<const PIXELS: usize>(mut tile: Tile, count: usize) {
            unsafe {
                for number in 0..count {
                    gray_tile::<$rest, PIXELS>(&tile);
                    if number + 1 < count {
                        tile = tile.after(PIXELS);
                    }
                }
            }
        }

        $(#[target_feature(enable = $feature)])?
        pub unsafe fn $depthwise<const PIXELS: usize, const STRIDE: usize>(mut tile: Tile, count: usize) {
            let channels = tile.window.run_length;
            let whole = channels - channels % $lanes;
            unsafe {
                for number in 0..count {
                    depthwise_tile::<$vector, PIXELS, STRIDE>(&tile, 0..whole);
                    if whole < channels {
                        depthwise_tile::<$rest, PIXELS, STRIDE>(&tile, whole..channels);
                    }
                    if number + 1 < count {
                        tile = tile.after(PIXELS);
                    }
                }
            }
        }

        $(#[target_feature(enable = $feature)])?
        pub unsafe fn $max<const RUNS: usize>(tile: &Tile, pixels: usize) {
            unsafe { max_tile::<$rest, RUNS>(tile, pixels) }
        }

        $(#[target_feature(enable = $feature)])?
        pub unsafe fn $mean(tile: &Tile, pixels: usize, count: f32) {
            unsafe { mean_tile::<$rest>(tile, pixels, count) }
        }

        $(#[target_feature(enable = $feature)])?
        pub unsafe fn $winograd(patches: &mut Patches) {
            unsafe { winograd::compute::<$vector, $rest>(patches) }
        }
    };
}

/// What any processor has; the compiler makes instructions of it.
#[derive(Clone, Copy)]
pub struct Lanes([f32; 8]);

/// An expression for each lane.
macro_rules! lanes {
    ($lane:ident => $value:expr) => {
        Lanes([
            {
                let $lane = 0;
                $value
            },
            {
                let $lane = 1;
                $value
            },
            {
                let $lane = 2;
                $value
            },
            {
                let $lane = 3;
                $value
            },
            {
                let $lane = 4;
                $value
            },
            {
                let $lane = 5;
                $value
            },
            {
                let $lane = 6;
                $value
            },
            {
                let $lane = 7;
                $value
            },
        ])
    };
}

instruction_set!(
    Lanes, 8, Lanes, convolve_portable, gray_portable, depthwise_portable, max_portable, mean_portable, winograd_portable;
    |value| Lanes([value; 8]),
    |from: *const f32| Lanes(from.cast::<[f32; 8]>().read_unaligned()),
    |to: *mut f32, Lanes(value)| to.cast::<[f32; 8]>().write_unaligned(value),
    |a: Lanes, b: Lanes| lanes!(lane => a.0[lane] + b.0[lane]),
    |a: Lanes, b: Lanes| lanes!(lane => a.0[lane] - b.0[lane]),
    |a: Lanes, b: Lanes| lanes!(lane => if a.0[lane] > b.0[lane] { a.0[lane] } else { b.0[lane] }),
    |a: Lanes, b: Lanes| lanes!(lane => if a.0[lane] < b.0[lane] { a.0[lane] } else { b.0[lane] }),
    |a: Lanes, b: Lanes, c: Lanes| lanes!(lane => c.0[lane] + a.0[lane] * b.0[lane])
);

#[cfg(target_arch = "x86_64")]
instruction_set!(
    __m256, 8, __m256, ["avx2,fma"], convolve_avx2, gray_avx2, depthwise_avx2, max_avx2, mean_avx2, winograd_avx2;
    _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_max_ps, _mm256_min_ps, _mm256_fmadd_ps
);

#[cfg(target_arch = "x86_64")]
instruction_set!(
    __m512, 16, __m256, ["avx2,fma,avx512f"], convolve_avx512, gray_avx512, depthwise_avx512, max_avx512, mean_avx512, winograd_avx512;
    _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_max_ps, _mm512_min_ps, _mm512_fmadd_ps
);

/// Two of NEON's vectors.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy)]
pub struct Neon(float32x4_t, float32x4_t);

#[cfg(target_arch = "aarch64")]
instruction_set!(
    Neon, 8, Neon, ["neon"], convolve_neon, gray_neon, depthwise_neon, max_neon, mean_neon, winograd_neon;
    |value| Neon(vdupq_n_f32(value), vdupq_n_f32(value)),
    |from: *const f32| Neon(vld1q_f32(from), vld1q_f32(from.add(4))),
    |to: *mut f32, Neon(low, high)| {
        vst1q_f32(to, low);
        vst1q_f32(to.add(4), high);
    },
    |a: Neon, b: Neon| Neon(vaddq_f32(a.0, b.0), vaddq_f32(a.1, b.1)),
    |a: Neon, b: Neon| Neon(vsubq_f32(a.0, b.0), vsubq_f32(a.1, b.1)),
    |a: Neon, b: Neon| Neon(vmaxq_f32(a.0, b.0), vmaxq_f32(a.1, b.1)),
    |a: Neon, b: Neon| Neon(vminq_f32(a.0, b.0), vminq_f32(a.1, b.1)),
    |a: Neon, b: Neon, c: Neon| Neon(vfmaq_f32(c.0, a.0, b.0), vfmaq_f32(c.1, a.1, b.1))
);
