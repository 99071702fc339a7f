//! The number of OpenCV's threads, in a process in which no other test uses OpenCV.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use face_attributes::runtime::set_opencv_threads;
use opencv::core::get_num_threads;

#[test]
fn the_number_can_be_changed() {
    for threads in [2, 3, 3] {
        set_opencv_threads(threads).unwrap();
        assert_eq!(get_num_threads().unwrap(), threads);
    }
}
