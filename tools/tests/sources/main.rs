//! Pictures from files, as the library gives them.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, also in a function that it calls")]

mod edits;
mod images;
mod video_files;
#[path = "../videos/mod.rs"]
mod videos;
