//! Sends the library's log records to ROS' log: the console in ROS' form, and ROS' log file.

use log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};
use r2r::LogSeverity;

/// Targets of this package, whose debug messages are let through; ROS filters them by `--ros-args --log-level`.
const OWN_TARGETS: &str = "face_attributes";

struct RosLogger {
    /// The name under which the node logs.
    node: String,
}

/// Makes ROS' log the process's log. Call it once ROS is initialised.
///
/// # Errors
/// Where a logger is set already.
pub fn forward_to_ros(node: &str) -> Result<(), SetLoggerError> {
    log::set_boxed_logger(Box::new(RosLogger { node: node.to_owned() }))?;
    log::set_max_level(LevelFilter::Debug);
    Ok(())
}

impl Log for RosLogger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        let max = if metadata.target().starts_with(OWN_TARGETS) { Level::Debug } else { Level::Warn };
        metadata.level() <= max
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let severity = match record.level() {
            Level::Error => LogSeverity::Error,
            Level::Warn => LogSeverity::Warn,
            Level::Info => LogSeverity::Info,
            Level::Debug | Level::Trace => LogSeverity::Debug,
        };
        // ROS takes C strings, in which a zero byte ends the text.
        let message = record.args().to_string().replace('\0', "\\0");
        r2r::log(&message, &self.node, record.file().unwrap_or_default(), record.line().unwrap_or(0), severity);
    }

    fn flush(&self) {}
}
