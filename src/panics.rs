//! Turns a panic in a library into an error.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Does `work`; where it panics, the error is the panic's message, and nothing is printed.
///
/// Meant for reading and preparing networks, where libraries panic at wrong input. After a panic, what `work` was changing must
/// not be used.
///
/// # Errors
/// The message of the panic.
pub fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    install_hook();
    let outer = IS_CAUGHT.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    IS_CAUGHT.set(outer);
    result.map_err(|payload| panic_message(&*payload).to_owned())
}

/// The message of a panic.
pub fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let message = payload.downcast_ref::<String>().map(String::as_str);
    message.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}

/// The hook that prints panics belongs to the whole process: it is wrapped once, and stays silent only in a thread that
/// catches.
fn install_hook() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_CAUGHT.get() {
                print(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(catch_panic(|| 7), Ok(7));
        assert_eq!(catch_panic(|| panic!("as {}", "said")), Err::<(), _>("as said".to_owned()));
        assert_eq!(catch_panic(|| panic!("plain")), Err::<(), _>("plain".to_owned()));
    }

    #[test]
    fn a_panic_within_a_caught_one_leaves_the_outer_caught() {
        let outer = catch_panic(|| {
            assert_eq!(catch_panic(|| panic!("inner")), Err::<(), _>("inner".to_owned()));
            assert!(IS_CAUGHT.get());
            panic!("outer");
        });
        assert_eq!(outer, Err::<(), _>("outer".to_owned()));
        assert!(!IS_CAUGHT.get());
    }
}
