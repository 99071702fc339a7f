//! The priority of threads whose work can wait.

/// Added to the niceness of the thread: a tenth of the weight of inference when both want the same core.
const NICENESS: i32 = 10;

/// Lowers the priority of this thread: where cores are short, the faces of the next image come first.
pub fn yield_to_others(thread: &str) {
    // On Linux, niceness is a thread's, not the process's: nice(2).
    if let Err(error) = rustix::process::nice(NICENESS) {
        log::debug!("{thread} runs at the priority of inference: {error}");
    }
}
