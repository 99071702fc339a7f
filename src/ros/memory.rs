//! Memory that was freed goes back to the system.

/// Gives back what the allocator keeps of freed memory. Loading networks leaves much of it, and cleaning up all of the rest.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: glibc's function may be called at any time and from any thread.
    #[allow(unsafe_code, reason = "glibc has no safe interface")]
    unsafe {
        libc::malloc_trim(0);
    }
}
