//! Values of ROS parameters.

use std::fmt;

/// The type of a parameter's value, by its ROS name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants say what they are")]
pub enum Kind {
    Bool,
    Integer,
    Double,
    String,
    Strings,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Integer => "integer",
            Self::Double => "double",
            Self::String => "string",
            Self::Strings => "string_array",
        })
    }
}

/// A parameter's value.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the variants say what they are")]
pub enum Value {
    Bool(bool),
    Integer(i64),
    Double(f64),
    String(String),
    Strings(Vec<String>),
    /// A value of a type that no parameter here has, such as an array of numbers, as text.
    Other(String),
}

impl fmt::Display for Value {
    /// As in a parameter file: a string in quotes, a double with a decimal point.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Double(value) => write!(f, "{value:?}"),
            Self::String(value) => write!(f, "{value:?}"),
            Self::Strings(values) => write!(f, "{values:?}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<&[String]> for Value {
    fn from(values: &[String]) -> Self {
        Self::Strings(values.to_vec())
    }
}

impl Value {
    /// Its type; `None` for what no parameter of this node takes.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Bool(_) => Some(Kind::Bool),
            Self::Integer(_) => Some(Kind::Integer),
            Self::Double(_) => Some(Kind::Double),
            Self::String(_) => Some(Kind::String),
            Self::Strings(_) => Some(Kind::Strings),
            Self::Other(_) => None,
        }
    }
}
