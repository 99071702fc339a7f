//! Passes the newest item from one thread to another and drops older ones.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Holds at most one item. A closed mailbox returns none.
#[derive(Debug)]
pub struct Mailbox<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    newest: Option<T>,
    closed: bool,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Mailbox<T> {
    /// An empty, open mailbox.
    pub fn new() -> Self {
        Self { state: Mutex::new(State { newest: None, closed: false }), changed: Condvar::new() }
    }

    /// Puts an item in. Returns the item that it replaces, if that was not taken.
    pub fn put(&self, item: T) -> Option<T> {
        let replaced = self.lock().newest.replace(item);
        self.changed.notify_one();
        replaced
    }

    /// Waits for an item and takes it; `None` once the mailbox is closed.
    pub fn take(&self) -> Option<T> {
        let mut state = self.lock();
        while !state.closed {
            if let Some(item) = state.newest.take() {
                return Some(item);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    /// Closes the mailbox. Every [`Mailbox::take`] then returns `None`, those that wait included.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code that could panic runs under the lock, so the state is valid even where the lock is poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn only_the_newest_item_is_taken() {
        let mailbox = Mailbox::new();
        assert_eq!([mailbox.put(1), mailbox.put(2), mailbox.put(3)], [None, Some(1), Some(2)]);
        assert_eq!(mailbox.take(), Some(3));
        assert_eq!(mailbox.put(4), None);
    }

    #[test]
    fn an_item_wakes_the_thread_that_waits_and_closing_ends_it() {
        let mailbox = Arc::new(Mailbox::new());
        let (sender, taken) = std::sync::mpsc::channel();
        let reader = thread::spawn({
            let mailbox = Arc::clone(&mailbox);
            move || {
                while let Some(item) = mailbox.take() {
                    sender.send(item).unwrap();
                }
            }
        });
        mailbox.put("face");
        assert_eq!(taken.recv(), Ok("face"));
        mailbox.close();
        reader.join().unwrap();
        mailbox.put("late");
        assert_eq!(mailbox.take(), None);
    }
}
