//! What parameter files and `-p` arguments share of YAML.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use super::scalar::unquoted;
use super::{Kind, Value};

/// The key below a node's name that holds its parameters; rcl compares the beginning only.
pub(super) const PARAMETERS_KEY: &str = "ros__parameters";

/// The tag `!!str`, which makes a string of any scalar.
const STRING_TAG: &str = "tag:yaml.org,2002:str";

/// Elements that are shown of an array that no parameter takes.
const SHOWN_ELEMENTS: usize = 8;

/// Why YAML was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum YamlError {
    #[error("{0}")]
    Syntax(String),
    #[error("ROS 2 takes no YAML aliases ('*name'): write the value out, or put a name that begins with '*' in quotes")]
    Alias,
    #[error("the document is empty")]
    EmptyDocument,
    #[error("a second document begins without '---'")]
    SecondDocument,
    #[error("a list where sections are expected, for example '/**:' and below it '{PARAMETERS_KEY}:'")]
    ListOfSections,
    #[error("a list or mapping where a name is expected")]
    KeyIsNoName,
    #[error("an empty name")]
    EmptyKey,
    #[error("'{PARAMETERS_KEY}' without the name of a node above it")]
    NoNodeName,
    #[error(
        "'{name}' is no name of a node: between '/' it takes '*', '**', or letters, digits and '_' that begin with no digit"
    )]
    InvalidName { name: String },
    #[error("'{name}' has no '{PARAMETERS_KEY}:' below it")]
    NoSection { name: String },
    #[error(
        "'{PARAMETERS_KEY}' takes 'name: value' below it, got '{got}'; no parameters are written '{PARAMETERS_KEY}: {{}}'"
    )]
    NoParameters { got: String },
    #[error("'{key}' follows '{PARAMETERS_KEY}' of the same node; give it a section of its own")]
    AfterParameters { key: String },
    #[error("parameter '{name}' has no value; an empty string is written ''")]
    NoValue { name: String },
    #[error("the group '{name}' is empty")]
    EmptyGroup { name: String },
    #[error("an array holds plain values only, no arrays or groups")]
    NestedArray,
    #[error("an array with an empty element")]
    EmptyElement,
    #[error("an array holds values of one type, got {first} and {other}")]
    MixedArray { first: Kind, other: Kind },
    #[error("it has no value; an empty string is written ''")]
    Nothing,
    #[error("a mapping where a value is expected")]
    Mapping,
}

/// The line and the reason of what the parser refused.
pub(super) fn syntax_error(error: &ScanError) -> (usize, YamlError) {
    // The parser looks up what an alias means before it tells that there is one.
    let is_alias = error.info().contains("unknown anchor");
    let reason = if is_alias { YamlError::Alias } else { YamlError::Syntax(error.info().to_owned()) };
    (error.marker().line(), reason)
}

/// What a scalar means; `None` where nothing is written.
pub(super) fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Option<Value> {
    let is_quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
    if text.is_empty() && !is_quoted {
        return None;
    }
    let is_string = tag.is_some_and(|tag| format!("{}{}", tag.handle, tag.suffix) == STRING_TAG);
    Some(if is_quoted || is_string { Value::from(text) } else { unquoted(text) })
}

/// Collects the elements of an array.
#[derive(Debug, Default)]
pub(super) struct ArrayReader {
    first: Option<Kind>,
    elements: Vec<Value>,
}

impl ArrayReader {
    /// `None` is an element for which nothing is written.
    pub(super) fn push(&mut self, value: Option<Value>) -> Result<(), YamlError> {
        let value = value.ok_or(YamlError::EmptyElement)?;
        let kind = value.kind();
        if let (Some(first), Some(other)) = (self.first, kind)
            && first != other
        {
            return Err(YamlError::MixedArray { first, other });
        }
        self.first = kind;
        self.elements.push(value);
        Ok(())
    }

    /// An array without elements has no type in YAML. It is one of strings here, as no parameter takes another one.
    pub(super) fn finish(self) -> Value {
        let text = |value: &Value| if let Value::String(text) = value { Some(text.clone()) } else { None };
        if let Some(texts) = self.elements.iter().map(text).collect() {
            return Value::Strings(texts);
        }
        let shown: Vec<_> = self.elements.iter().take(SHOWN_ELEMENTS).map(Value::to_string).collect();
        let more = if self.elements.len() > SHOWN_ELEMENTS { ", ..." } else { "" };
        Value::Other(format!("[{}{more}]", shown.join(", ")))
    }
}

/// The value that `-p name:=text` gives.
pub(super) fn value(text: &str) -> Result<Value, YamlError> {
    let mut value = None;
    let mut array: Option<ArrayReader> = None;
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| syntax_error(&error).1)?;
        match event {
            Event::Scalar(text, style, _, tag) => {
                let element = scalar(&text, style, tag.as_deref());
                match &mut array {
                    Some(array) => array.push(element)?,
                    None => value = element,
                }
            }
            Event::SequenceStart(..) if array.is_some() => return Err(YamlError::NestedArray),
            Event::SequenceStart(..) => array = Some(ArrayReader::default()),
            Event::SequenceEnd => value = array.take().map(ArrayReader::finish),
            Event::MappingStart(..) => return Err(YamlError::Mapping),
            Event::Alias(_) => return Err(YamlError::Alias),
            Event::DocumentStart(_) if documents > 0 => return Err(YamlError::SecondDocument),
            Event::DocumentStart(_) => documents += 1,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::MappingEnd => {}
        }
    }
    value.ok_or(YamlError::Nothing)
}
