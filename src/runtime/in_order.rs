//! Keeps what several threads publish on one topic in order.

use std::sync::{Mutex, PoisonError};

/// Lets work pass whose number is higher than that of all work before it.
#[derive(Debug, Default)]
pub struct InOrder {
    newest: Mutex<Option<u64>>,
}

impl InOrder {
    /// Does `work`, unless work of the same or a higher number was done already. One piece of work is done at a time.
    pub fn pass<T>(&self, number: u64, work: impl FnOnce() -> T) -> Option<T> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.is_some_and(|newest| number <= newest) {
            return None;
        }
        *newest = Some(number);
        Some(work())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_never_goes_back() {
        let in_order = InOrder::default();
        let passed: Vec<_> = [0, 3, 1, 3, 4].into_iter().filter_map(|n| in_order.pass(n, || n)).collect();
        assert_eq!(passed, [0, 3, 4]);
    }
}
