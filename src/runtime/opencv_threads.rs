//! The number of threads that OpenCV may use.

use std::sync::Mutex;
use std::sync::PoisonError;

use opencv::core;

/// Why the number of threads could not be set.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ThreadsError {
    #[error("detector.threads: OpenCV refuses {threads} threads: {error}")]
    Refused { threads: i32, error: opencv::Error },
    #[error("detector.threads: this process has set OpenCV to {set} threads, and cannot change it to {threads}")]
    AlreadySet { set: i32, threads: i32 },
}

/// Sets how many threads OpenCV may use in this process. A second call must ask for the same number.
///
/// Call it at the start of the process. To change the number, OpenCV ends its thread pool, which is not allowed while
/// another thread uses the pool.
///
/// # Errors
/// [`ThreadsError`] where OpenCV refuses the number, or another one was set before.
pub fn set_opencv_threads(threads: i32) -> Result<(), ThreadsError> {
    static SET: Mutex<Option<i32>> = Mutex::new(None);
    let mut set = SET.lock().unwrap_or_else(PoisonError::into_inner);
    match *set {
        Some(set) if set == threads => Ok(()),
        Some(set) => Err(ThreadsError::AlreadySet { set, threads }),
        None => {
            core::set_num_threads(threads).map_err(|error| ThreadsError::Refused { threads, error })?;
            *set = Some(threads);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_set_once() {
        assert!(set_opencv_threads(2).is_ok() && set_opencv_threads(2).is_ok());
        assert_eq!(core::get_num_threads().unwrap(), 2);
        let refusal = set_opencv_threads(3).unwrap_err().to_string();
        assert!(refusal.contains("has set OpenCV to 2 threads, and cannot change it to 3"), "{refusal}");
        assert_eq!(core::get_num_threads().unwrap(), 2);
    }
}
