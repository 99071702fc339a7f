//! Why a set of a parameter is refused, in the words of rclcpp where it has some.

use face_attributes::parameters::{Kind, ParameterError, Value};

use super::message::NOT_SET;

/// Why a set was refused; the old values stay.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SetError {
    #[error("parameter list cannot be empty")]
    Empty,
    #[error("parameter '{name}' cannot be set because it was not declared")]
    NotDeclared { name: String },
    #[error("parameter '{name}' cannot be set because it is read-only")]
    ReadOnly { name: &'static str },
    #[error("parameter '{name}' cannot be set while the node is active; deactivate the node first")]
    Active { name: &'static str },
    #[error("cannot undeclare a statically typed parameter: '{name}'")]
    Undeclare { name: &'static str },
    #[error(
        "Wrong parameter type, parameter {{{name}}} is of type {{{expected}}}, setting it to {{{got}}} is not allowed."
    )]
    Type { name: &'static str, expected: Kind, got: String },
    #[error("Parameter {{{name}}} doesn't comply with {number} range. It takes {min} to {max}, got {got}.")]
    Range { name: &'static str, number: &'static str, min: f64, max: f64, got: Value },
    #[error(transparent)]
    Value(ParameterError),
    #[error("parameter '{name}' cannot be set: {reason}")]
    Failed { name: &'static str, reason: String },
}

impl From<ParameterError> for SetError {
    fn from(error: ParameterError) -> Self {
        match error {
            ParameterError::Unknown { name } => Self::NotDeclared { name },
            ParameterError::Type { name, got: Value::Other(text), .. } if text == NOT_SET => Self::Undeclare { name },
            ParameterError::Type { name, expected, got } => {
                let got = got.kind().map_or_else(|| got.to_string(), |kind| kind.to_string());
                Self::Type { name, expected, got }
            }
            ParameterError::Range { name, min, max, got } => {
                let number = if let Value::Integer(_) = got { "integer" } else { "floating point" };
                Self::Range { name, number, min, max, got }
            }
            other => Self::Value(other),
        }
    }
}
