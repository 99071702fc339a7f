//! Sends the log records of this package to ROS' log: the console and the log file through rcutils, and the topic `/rosout`.

use std::cell::Cell;
use std::ffi::CString;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};
use r2r::builtin_interfaces::msg::Time;
use r2r::rcl_interfaces::msg::Log as LogMessage;
use r2r::{LogSeverity, Node, Publisher, QosProfile};

use crate::rcutils;

/// Targets of this package, whose debug records are let through; ROS filters them by `--ros-args --log-level`.
const OWN_TARGETS: &str = "face_attributes";

/// As rcl's nodes keep for those who come late to `/rosout`.
const ROSOUT_DEPTH: usize = 1000;

thread_local! {
    /// Whether this thread is logging: r2r logs while it logs, and waits for itself where it is entered again.
    static IS_LOGGING: Cell<bool> = const { Cell::new(false) };
}

struct RosLogger {
    /// The name under which the node logs.
    node: String,
    node_c: CString,
    outputs: Mutex<Outputs>,
}

/// Where records go, one after the other.
struct Outputs {
    /// `None` where `--disable-rosout-logs` was given. r2r's nodes do not publish their log themselves.
    rosout: Option<Publisher<LogMessage>>,
    /// Whether rcutils cannot log: then records are printed without it.
    is_console_broken: bool,
}

/// Makes ROS' log the process's log.
///
/// # Errors
/// Where `/rosout` cannot be published or a logger is set already.
pub fn forward_to_ros(node: &mut Node) -> anyhow::Result<()> {
    let qos = QosProfile::default().reliable().transient_local().keep_last(ROSOUT_DEPTH);
    let rosout = if rcutils::is_rosout_enabled() { Some(node.create_publisher("/rosout", qos)?) } else { None };
    // Creating the context has initialised rcutils, if that is possible.
    let outputs = Mutex::new(Outputs { rosout, is_console_broken: !rcutils::is_initialized() });
    let name = node.logger().to_owned();
    log::set_boxed_logger(Box::new(RosLogger { node_c: CString::new(name.clone())?, node: name, outputs }))?;
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
        if IS_LOGGING.replace(true) {
            print_plainly(record.level(), record.target(), &record.args().to_string());
            return;
        }
        // ROS takes C strings, in which a zero byte ends the text.
        let text = record.args().to_string().replace('\0', "\\0");
        let outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_enabled(&outputs, record.level()) {
            self.print(&outputs, record, &text);
            if let Some(rosout) = &outputs.rosout {
                // There is nobody left to tell should this fail; the console has the record.
                let _ = rosout.publish(&self.rosout_message(record, text));
            }
        }
        drop(outputs);
        IS_LOGGING.set(false);
    }

    fn flush(&self) {}
}

impl RosLogger {
    /// Whether `--log-level` lets the record through; from info on where rcutils cannot say.
    fn is_enabled(&self, outputs: &Outputs, level: Level) -> bool {
        if outputs.is_console_broken { level <= Level::Info } else { rcutils::is_enabled(&self.node_c, level) }
    }

    fn print(&self, outputs: &Outputs, record: &Record, text: &str) {
        if outputs.is_console_broken {
            print_plainly(record.level(), &self.node, text);
        } else {
            let severity = match record.level() {
                Level::Error => LogSeverity::Error,
                Level::Warn => LogSeverity::Warn,
                Level::Info => LogSeverity::Info,
                Level::Debug | Level::Trace => LogSeverity::Debug,
            };
            r2r::log(text, &self.node, record.file().unwrap_or_default(), record.line().unwrap_or(0), severity);
        }
    }

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

/// Prints to stderr in the form of ROS' console, without ROS.
fn print_plainly(level: Level, name: &str, text: &str) {
    eprintln!("[{level}] [{name}]: {text}");
}
