//! The definition of one parameter: name, description, type, limits and accessors.

use super::{Kind, Parameters, Value};

/// One parameter.
#[derive(Debug)]
pub struct Definition {
    /// Dotted name, for example `detector.min_face_size`.
    pub name: &'static str,
    /// What it means, in one sentence.
    pub description: &'static str,
    /// When it can be changed.
    pub mutability: Mutability,
    /// Type, limits and accessors.
    pub field: Field,
}

/// When a parameter can be changed while the node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutability {
    /// At any time; it takes effect from the next image on.
    Live,
    /// While the node is not active: it is read when the node is configured or activated.
    AtConfigure,
    /// Never: it is read once, at the start.
    ReadOnly,
}

/// Type and limits of a parameter, and how it is read from and written to [`Parameters`].
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields say what they are; a range has its smallest and largest value")]
pub enum Field {
    Bool {
        get: fn(&Parameters) -> bool,
        set: fn(&mut Parameters, bool),
    },
    Integer {
        get: fn(&Parameters) -> i32,
        set: fn(&mut Parameters, i32),
        range: (i32, i32),
    },
    Double {
        get: fn(&Parameters) -> f64,
        set: fn(&mut Parameters, f64),
        range: (f64, f64),
    },
    String {
        get: fn(&Parameters) -> &str,
        set: fn(&mut Parameters, &str),
    },
    /// A string that is limited to the names of an enum. The argument of `set` is one of them.
    Choice {
        get: fn(&Parameters) -> &'static str,
        set: fn(&mut Parameters, &str),
        choices: fn() -> Vec<&'static str>,
    },
    /// Strings that all differ.
    Strings {
        get: fn(&Parameters) -> &[String],
        set: fn(&mut Parameters, &[String]),
        /// Whether an element is valid.
        check: fn(&str) -> bool,
        /// What `check` takes.
        elements: &'static str,
    },
}

/// Why a parameter was refused. Its value did not change.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ParameterError {
    #[error("there is no parameter '{name}'")]
    Unknown { name: String },
    #[error("parameter '{name}' is of type {expected}, got {got}")]
    Type { name: &'static str, expected: Kind, got: Value },
    #[error("parameter '{name}' takes {min} to {max}, got {got}")]
    Range { name: &'static str, min: f64, max: f64, got: Value },
    #[error("parameter '{name}' takes one of {}, got {got}", choices.join(", "))]
    Choice { name: &'static str, choices: Vec<&'static str>, got: Value },
    #[error("parameter '{name}' takes {elements}, got {element:?}")]
    Element { name: &'static str, elements: &'static str, element: String },
    #[error("parameter '{name}' takes each element once, got {element:?} again")]
    Repeated { name: &'static str, element: String },
    #[error("parameter '{name}' takes no text with a zero byte, got {got}")]
    ZeroByte { name: &'static str, got: Value },
}

impl Definition {
    /// Type of the value.
    pub fn kind(&self) -> Kind {
        match self.field {
            Field::Bool { .. } => Kind::Bool,
            Field::Integer { .. } => Kind::Integer,
            Field::Double { .. } => Kind::Double,
            Field::String { .. } | Field::Choice { .. } => Kind::String,
            Field::Strings { .. } => Kind::Strings,
        }
    }

    /// Smallest and largest value of a number.
    pub fn range(&self) -> Option<(f64, f64)> {
        match self.field {
            Field::Integer { range: (min, max), .. } => Some((min.into(), max.into())),
            Field::Double { range, .. } => Some(range),
            _ => None,
        }
    }

    /// The values that a string is limited to. Empty where it is not limited.
    pub fn choices(&self) -> Vec<&'static str> {
        if let Field::Choice { choices, .. } = self.field { choices() } else { Vec::new() }
    }

    /// Its value in `parameters`.
    pub fn get(&self, parameters: &Parameters) -> Value {
        match self.field {
            Field::Bool { get, .. } => get(parameters).into(),
            Field::Integer { get, .. } => Value::Integer(get(parameters).into()),
            Field::Double { get, .. } => get(parameters).into(),
            Field::String { get, .. } => get(parameters).into(),
            Field::Choice { get, .. } => get(parameters).into(),
            Field::Strings { get, .. } => get(parameters).into(),
        }
    }

    /// Changes its value in `parameters`. An integer is converted where a double is expected.
    ///
    /// # Errors
    /// [`ParameterError`] where the value is of another type or out of range.
    pub fn set(&self, parameters: &mut Parameters, value: &Value) -> Result<(), ParameterError> {
        match (&self.field, value) {
            (Field::Bool { set, .. }, Value::Bool(value)) => set(parameters, *value),
            (Field::Integer { set, range: (min, max), .. }, Value::Integer(number)) => {
                let number = i32::try_from(*number).ok().filter(|number| (min..=max).contains(&number));
                set(parameters, number.ok_or_else(|| self.out_of_range(value))?);
            }
            (Field::Double { set, range, .. }, Value::Double(number)) => {
                set(parameters, self.within(*range, *number, value)?);
            }
            (Field::Double { set, range, .. }, Value::Integer(number)) => {
                set(parameters, self.within(*range, *number as f64, value)?);
            }
            // A text of ROS ends at a zero byte, and r2r panics at one.
            (Field::String { .. }, Value::String(text)) if text.contains('\0') => {
                return Err(ParameterError::ZeroByte { name: self.name, got: value.clone() });
            }
            (Field::String { set, .. }, Value::String(text)) => set(parameters, text),
            (Field::Choice { set, choices, .. }, Value::String(text)) => {
                let choices = choices();
                if !choices.contains(&text.as_str()) {
                    return Err(ParameterError::Choice { name: self.name, choices, got: value.clone() });
                }
                set(parameters, text);
            }
            (Field::Strings { set, check, elements, .. }, Value::Strings(texts)) => {
                if let Some(element) = texts.iter().find(|text| !check(text)).cloned() {
                    return Err(ParameterError::Element { name: self.name, elements, element });
                }
                let is_repeated = |(index, text): &(usize, &String)| texts[..*index].contains(text);
                if let Some((_, element)) = texts.iter().enumerate().find(is_repeated) {
                    return Err(ParameterError::Repeated { name: self.name, element: element.clone() });
                }
                set(parameters, texts);
            }
            _ => return Err(ParameterError::Type { name: self.name, expected: self.kind(), got: value.clone() }),
        }
        Ok(())
    }

    /// The number if it is in the range. NaN is in no range.
    fn within(&self, (min, max): (f64, f64), number: f64, value: &Value) -> Result<f64, ParameterError> {
        if (min..=max).contains(&number) { Ok(number) } else { Err(self.out_of_range(value)) }
    }

    fn out_of_range(&self, got: &Value) -> ParameterError {
        let (min, max) = self.range().unwrap_or_default();
        ParameterError::Range { name: self.name, min, max, got: got.clone() }
    }
}
