//! What r2r does not pass on of ROS' logging: its settings and its levels.

#![allow(unsafe_code, reason = "rcl and rcutils are C libraries; each call says why it is sound")]

use std::env;
use std::ffi::CStr;

use log::Level;
use r2r_rcl::{
    RCUTILS_LOG_SEVERITY, g_rcutils_logging_initialized, rcl_logging_rosout_enabled,
    rcutils_logging_logger_is_enabled_for,
};

/// Environment variables that rcutils reads, of which each is 0 or 1.
const SWITCHES: [&str; 3] =
    ["RCUTILS_COLORIZED_OUTPUT", "RCUTILS_LOGGING_USE_STDOUT", "RCUTILS_LOGGING_BUFFERED_STREAM"];

/// Unsets the variables of rcutils that have no valid value: with one, rcutils could not log, and would say so with each
/// record of rcl, many times a second. Returns what to tell the user.
///
/// # Safety
/// As for [`env::remove_var`]: to be called while the process has one thread.
pub unsafe fn ignore_invalid_switches() -> Vec<String> {
    let mut ignored = Vec::new();
    for name in SWITCHES {
        // Empty counts as unset.
        let value = env::var_os(name).filter(|value| !["", "0", "1"].iter().any(|valid| value == valid));
        if let Some(value) = value {
            // SAFETY: the caller's promise.
            unsafe { env::remove_var(name) };
            ignored.push(format!("{name}={} is ignored: it takes 0 or 1", value.display()));
        }
    }
    ignored
}

/// Whether the logger `name` lets records of `level` through, by `--log-level`.
///
/// rcutils caches the answer without a lock: only one thread may ask or log at a time.
pub fn is_enabled(name: &CStr, level: Level) -> bool {
    // SAFETY: the name is a C string that outlives the call, which keeps no pointer to it.
    unsafe { rcutils_logging_logger_is_enabled_for(name.as_ptr(), severity(level) as i32) }
}

/// Whether rcutils can log.
///
/// Only one thread may ask or log at a time.
pub fn is_initialized() -> bool {
    // SAFETY: a plain flag, written by the calls that log.
    unsafe { g_rcutils_logging_initialized }
}

/// Whether the log goes to `/rosout`, which `--disable-rosout-logs` forbids.
pub fn is_rosout_enabled() -> bool {
    // SAFETY: reads a flag that rcl sets when the context is created.
    unsafe { rcl_logging_rosout_enabled() }
}

fn severity(level: Level) -> RCUTILS_LOG_SEVERITY {
    match level {
        Level::Error => RCUTILS_LOG_SEVERITY::RCUTILS_LOG_SEVERITY_ERROR,
        Level::Warn => RCUTILS_LOG_SEVERITY::RCUTILS_LOG_SEVERITY_WARN,
        Level::Info => RCUTILS_LOG_SEVERITY::RCUTILS_LOG_SEVERITY_INFO,
        Level::Debug | Level::Trace => RCUTILS_LOG_SEVERITY::RCUTILS_LOG_SEVERITY_DEBUG,
    }
}
