//! What the library allocates per frame in its steady state, on a face that moves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use face_attributes::frame::{ByteOrder, Encoding, Frame};
use face_attributes::pipeline::{Pipeline, PipelineParameters};
use opencv::core::{CV_8UC3, Mat, Rect, Scalar};
use opencv::imgcodecs::{IMREAD_COLOR, imread};
use opencv::prelude::*;

/// Counts what Rust's allocator gives. OpenCV's own memory is not in it.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code, reason = "an allocator has unsafe functions; this one adds counts to those of the system")]
// SAFETY: each call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

fn count(size: usize) {
    COUNT.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(size, Ordering::Relaxed);
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What was allocated in one frame.
#[derive(Debug, Clone, Copy, Default)]
struct Allocated {
    count: usize,
    bytes: usize,
}

fn allocated(work: impl FnOnce()) -> Allocated {
    let counts = || [&COUNT, &BYTES].map(|counter| counter.load(Ordering::Relaxed));
    let [count, bytes] = counts();
    work();
    let [count_after, bytes_after] = counts();
    Allocated { count: count_after - count, bytes: bytes_after - bytes }
}

/// The answer for one face: the list of faces as they were found, the list of faces as they are described, and one list of
/// probabilities for each of its four estimates.
const OF_ANSWER: usize = 6;

/// Bytes of the smallest picture on the way of a frame, a crop of 64x64 pixels: who allocates less allocates no picture, no tensor
/// and no map.
const SMALLEST_PICTURE: usize = 64 * 64;

const WIDTH: i32 = 640;
const HEIGHT: i32 = 480;

/// The bytes of a frame in which the portrait has moved, blue, green, red.
fn frame_bytes(number: u32) -> Vec<u8> {
    let portrait =
        imread(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astronaut.jpg"), IMREAD_COLOR).unwrap();
    let mut frame = Mat::new_rows_cols_with_default(HEIGHT, WIDTH, CV_8UC3, Scalar::all(90.0)).unwrap();
    let turn = f64::from(number) / 20.0;
    let (x, y) = ((60.0 + 50.0 * turn.sin()) as i32, (20.0 + 15.0 * turn.cos()) as i32);
    let shown = Rect::new(0, 0, portrait.cols().min(WIDTH - x), portrait.rows().min(HEIGHT - y));
    let mut place = Mat::roi_mut(&mut frame, Rect::new(x, y, shown.width, shown.height)).unwrap();
    Mat::roi(&portrait, shown).unwrap().copy_to(&mut place).unwrap();
    drop(place);
    frame.data_bytes().unwrap().to_vec()
}

#[test]
fn a_frame_allocates_no_more_than_its_answer() {
    let frames: Vec<_> = (0..180).map(frame_bytes).collect();
    let mut pipeline = Pipeline::load(PipelineParameters::default()).unwrap();
    let mut steady = Vec::new();
    for (number, bytes) in (0..).zip(&frames) {
        let time = Duration::from_secs_f64(f64::from(number) / 30.0);
        let frame = Frame::new(
            WIDTH as usize,
            HEIGHT as usize,
            3 * WIDTH as usize,
            Encoding::Bgr8,
            ByteOrder::LittleEndian,
            bytes,
        )
        .unwrap();
        let mut scene = None;
        let of_frame = allocated(|| scene = Some(pipeline.process(&frame, time).unwrap()));
        let faces = scene.unwrap().faces;
        if number >= 60 {
            assert!(faces.len() == 1 && faces[0].raw.emotion.is_some(), "frame {number}: {faces:?}");
            steady.push(of_frame);
        }
    }
    let (searched, others): (Vec<Allocated>, Vec<Allocated>) =
        steady.into_iter().partition(|frame| frame.count > OF_ANSWER);
    assert!(others.iter().all(|frame| frame.bytes < SMALLEST_PICTURE), "{others:?}");
    // Three times per second, a search of the whole frame ends. It has lists of what it found.
    assert!(searched.len() <= 3 * 120 / 30, "{searched:?}");
    assert!(searched.iter().all(|frame| frame.count <= OF_ANSWER + 4), "{searched:?}");
    assert!(searched.iter().all(|frame| frame.bytes < SMALLEST_PICTURE), "{searched:?}");
}
