//! One line of the diagnostics, as diagnostic_updater writes it.

use r2r::diagnostic_msgs::msg::{DiagnosticStatus, KeyValue};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Ok,
    Warn,
    Error,
}

/// What a task reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub level: Level,
    pub message: String,
    /// Keys with their values, in the order in which they are shown.
    pub values: Vec<(&'static str, String)>,
}

impl Status {
    /// A report without values.
    pub fn new(level: Level, message: impl Into<String>) -> Self {
        Self { level, message: message.into(), values: Vec::new() }
    }

    /// Adds a value.
    pub fn add(&mut self, key: &'static str, value: impl ToString) {
        self.values.push((key, value.to_string()));
    }

    /// Adds a number, with as many digits as C's `%f` writes.
    pub fn add_number(&mut self, key: &'static str, value: f64) {
        self.values.push((key, format!("{value:.6}")));
    }

    /// The message of the task `name`.
    pub fn message(self, name: String, hardware_id: String) -> DiagnosticStatus {
        let level = match self.level {
            Level::Ok => DiagnosticStatus::OK as u8,
            Level::Warn => DiagnosticStatus::WARN as u8,
            Level::Error => DiagnosticStatus::ERROR as u8,
        };
        let values = self.values.into_iter().map(|(key, value)| KeyValue { key: key.to_owned(), value }).collect();
        DiagnosticStatus { level, name, message: self.message, hardware_id, values }
    }
}
