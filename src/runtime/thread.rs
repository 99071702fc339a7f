//! A named thread whose panic becomes an error.

use std::io;
use std::thread::{Builder, JoinHandle};

use crate::panics::panic_message;

/// Why a thread did not start or did not finish.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ThreadError {
    #[error("cannot start the thread {name}: {error}")]
    Start { name: String, error: io::Error },
    #[error("the thread {name} failed: {reason}")]
    Panicked { name: String, reason: String },
}

/// A thread with a name, which `ps -T` and debuggers show.
#[derive(Debug)]
pub struct NamedThread<T> {
    name: String,
    handle: JoinHandle<T>,
}

impl<T: Send + 'static> NamedThread<T> {
    /// Starts a thread.
    ///
    /// # Errors
    /// [`ThreadError::Start`] where the system refuses one more.
    pub fn spawn(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<Self, ThreadError> {
        let name = name.to_owned();
        match Builder::new().name(name.clone()).spawn(work) {
            Ok(handle) => Ok(Self { name, handle }),
            Err(error) => Err(ThreadError::Start { name, error }),
        }
    }

    /// Whether the thread has ended, in whichever way.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Waits for the end of the thread and takes its result.
    ///
    /// # Errors
    /// [`ThreadError::Panicked`] has the message of its panic.
    pub fn join(self) -> Result<T, ThreadError> {
        let Self { name, handle } = self;
        handle.join().map_err(|payload| ThreadError::Panicked { name, reason: panic_message(&*payload).to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_has_its_name_and_its_panic_is_an_error() {
        let (sender, name) = mpsc::channel();
        let thread = NamedThread::<()>::spawn("worker", move || {
            sender.send(thread::current().name().map(str::to_owned)).unwrap();
            panic!("as {}", "said");
        });
        let error = thread.unwrap().join().unwrap_err().to_string();
        assert_eq!(error, "the thread worker failed: as said");
        assert_eq!(name.recv().unwrap().as_deref(), Some("worker"));
    }

    #[test]
    fn the_end_of_a_thread_gives_its_result() {
        assert_eq!(NamedThread::spawn("worker", || 7).unwrap().join().unwrap(), 7);
    }
}
