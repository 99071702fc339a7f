//! The number of threads that OpenCV may use.

use opencv::core;

/// Why the number of threads could not be set.
#[derive(Debug, thiserror::Error)]
#[error("detector.threads: OpenCV refuses {threads} threads: {error}")]
pub struct ThreadsError {
    threads: i32,
    error: opencv::Error,
}

/// Sets how many threads OpenCV may use in this process.
///
/// Call it while no other thread uses OpenCV: to change the number, OpenCV ends its pool of threads.
///
/// # Errors
/// [`ThreadsError`] where OpenCV refuses the number.
pub fn set_opencv_threads(threads: i32) -> Result<(), ThreadsError> {
    core::set_num_threads(threads).map_err(|error| ThreadsError { threads, error })
}
