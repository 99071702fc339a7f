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

/// Where records go. Only one thread uses it at a time.
trait Sink: Send {
    /// Whether records of the level are wanted.
    fn is_enabled(&self, level: Level) -> bool;

    /// Takes a record.
    fn write(&self, record: &Record, text: &str);
}

/// Hands records to a sink, one after the other.
struct RosLogger<S> {
    sink: Mutex<S>,
}

/// Makes ROS' log the process's log.
///
/// # Errors
/// Where `/rosout` cannot be published or a logger is set already.
pub fn forward_to_ros(node: &mut Node) -> anyhow::Result<()> {
    let qos = QosProfile::default().reliable().transient_local().keep_last(ROSOUT_DEPTH);
    let rosout = if rcutils::is_rosout_enabled() { Some(node.create_publisher("/rosout", qos)?) } else { None };
    let name = node.logger().to_owned();
    // Creating the context has initialised rcutils, if that is possible.
    let is_console_broken = !rcutils::is_initialized();
    let sink = Ros { name_c: CString::new(name.clone())?, name, rosout, is_console_broken };
    log::set_boxed_logger(Box::new(RosLogger { sink: Mutex::new(sink) }))?;
    log::set_max_level(LevelFilter::Debug);
    Ok(())
}

impl<S: Sink> Log for RosLogger<S> {
    fn enabled(&self, metadata: &Metadata) -> bool {
        let max = if metadata.target().starts_with(OWN_TARGETS) { Level::Debug } else { Level::Warn };
        metadata.level() <= max
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let Some(_entered) = Entered::enter() else {
            print_plainly(record.level(), record.target(), &record.args().to_string());
            return;
        };
        let sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        if sink.is_enabled(record.level()) {
            // ROS takes C strings, in which a zero byte ends the text.
            sink.write(record, &record.args().to_string().replace('\0', "\\0"));
        }
    }

    fn flush(&self) {}
}

/// The time in which a thread logs.
struct Entered;

impl Entered {
    /// `None` where the thread is logging already.
    fn enter() -> Option<Self> {
        (!IS_LOGGING.replace(true)).then_some(Self)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        IS_LOGGING.set(false);
    }
}

/// The console and the log file through rcutils, and the topic `/rosout`.
struct Ros {
    /// The name under which the node logs.
    name: String,
    name_c: CString,
    /// `None` where `--disable-rosout-logs` was given. r2r's nodes do not publish their log themselves.
    rosout: Option<Publisher<LogMessage>>,
    /// Whether rcutils cannot log: then records are printed without it.
    is_console_broken: bool,
}

impl Sink for Ros {
    /// By `--log-level`; from info on where rcutils cannot say.
    fn is_enabled(&self, level: Level) -> bool {
        if self.is_console_broken { level <= Level::Info } else { rcutils::is_enabled(&self.name_c, level) }
    }

    fn write(&self, record: &Record, text: &str) {
        if self.is_console_broken {
            print_plainly(record.level(), &self.name, text);
        } else {
            let severity = match record.level() {
                Level::Error => LogSeverity::Error,
                Level::Warn => LogSeverity::Warn,
                Level::Info => LogSeverity::Info,
                Level::Debug | Level::Trace => LogSeverity::Debug,
            };
            r2r::log(text, &self.name, record.file().unwrap_or_default(), record.line().unwrap_or(0), severity);
        }
        if let Some(rosout) = &self.rosout {
            // There is nobody left to tell should this fail; the console has the record.
            let _ = rosout.publish(&self.rosout_message(record, text.to_owned()));
        }
    }
}

impl Ros {
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
            name: self.name.clone(),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    /// Keeps what is written, and logs while it does.
    struct Kept {
        records: Mutex<Vec<String>>,
        logger: Mutex<Option<Arc<RosLogger<Kept>>>>,
    }

    impl Sink for Kept {
        fn is_enabled(&self, level: Level) -> bool {
            level <= Level::Warn
        }

        fn write(&self, _record: &Record, text: &str) {
            self.records.lock().unwrap().push(text.to_owned());
            if let Some(logger) = &*self.logger.lock().unwrap() {
                log(logger, Level::Error, "while logging");
            }
        }
    }

    fn logger() -> Arc<RosLogger<Kept>> {
        Arc::new(RosLogger { sink: Mutex::new(Kept { records: Mutex::default(), logger: Mutex::default() }) })
    }

    fn log(logger: &RosLogger<Kept>, level: Level, text: &str) {
        logger.log(&Record::builder().level(level).target(OWN_TARGETS).args(format_args!("{text}")).build());
    }

    fn records(logger: &RosLogger<Kept>) -> Vec<String> {
        logger.sink.lock().unwrap().records.lock().unwrap().clone()
    }

    #[test]
    fn a_record_that_is_logged_while_logging_does_not_enter_again() {
        let logger = logger();
        *logger.sink.lock().unwrap().logger.lock().unwrap() = Some(Arc::clone(&logger));
        log(&logger, Level::Warn, "first");
        log(&logger, Level::Warn, "second");
        assert_eq!(records(&logger), ["first", "second"]);
        // The logger holds itself.
        *logger.sink.lock().unwrap().logger.lock().unwrap() = None;
    }

    #[test]
    fn no_record_of_two_threads_is_lost_and_the_level_counts() {
        let logger = logger();
        let threads = [(); 2].map(|()| {
            let logger = Arc::clone(&logger);
            thread::spawn(move || {
                for _ in 0..500 {
                    log(&logger, Level::Warn, "counted");
                    log(&logger, Level::Info, "below the level");
                }
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(records(&logger), vec!["counted"; 1000]);
    }
}
