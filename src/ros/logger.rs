//! Sends the library's log records to ROS' log: the console and the log file through rcutils, and the topic `/rosout`.

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};
use r2r::builtin_interfaces::msg::Time;
use r2r::rcl_interfaces::msg::Log as LogMessage;
use r2r::{LogSeverity, Node, Publisher, QosProfile};

/// Targets of this package, whose debug messages are let through; ROS filters them by `--ros-args --log-level`.
const OWN_TARGETS: &str = "face_attributes";

/// As rcl's nodes keep for those who come late to `/rosout`.
const ROSOUT_DEPTH: usize = 1000;

struct RosLogger {
    /// The name under which the node logs.
    node: String,
    /// r2r's nodes do not publish their log themselves.
    rosout: Mutex<Publisher<LogMessage>>,
}

/// Makes ROS' log the process's log.
///
/// # Errors
/// Where `/rosout` cannot be published or a logger is set already.
pub fn forward_to_ros(node: &mut Node) -> anyhow::Result<()> {
    let qos = QosProfile::default().reliable().transient_local().keep_last(ROSOUT_DEPTH);
    let rosout = Mutex::new(node.create_publisher("/rosout", qos)?);
    log::set_boxed_logger(Box::new(RosLogger { node: node.logger().to_owned(), rosout }))?;
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
        // Not where publishing itself logs, and not debug messages, which rcutils may be told to leave out.
        if record.level() <= Level::Info
            && let Ok(rosout) = self.rosout.try_lock()
        {
            // There is nobody left to tell should this fail; the console has the message.
            let _ = rosout.publish(&self.rosout_message(record, message));
        }
    }

    fn flush(&self) {}
}

impl RosLogger {
    fn rosout_message(&self, record: &Record, msg: String) -> LogMessage {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let level = match record.level() {
            Level::Error => LogMessage::ERROR as u8,
            Level::Warn => LogMessage::WARN as u8,
            Level::Info => LogMessage::INFO as u8,
            Level::Debug | Level::Trace => LogMessage::DEBUG as u8,
        };
        LogMessage {
            stamp: Time { sec: now.as_secs() as i32, nanosec: now.subsec_nanos() },
            level,
            name: self.node.clone(),
            msg,
            file: record.file().unwrap_or_default().to_owned(),
            function: String::new(),
            line: record.line().unwrap_or(0),
        }
    }
}
