//! The argument `-p [node:]name:=value`, by rcl's grammar.

use std::str::FromStr;

use super::Value;
use super::target::is_name;
use super::yaml::{self, YamlError};

/// What rcl writes for a rule that names no node.
const EVERY_NODE: &str = "/**";

/// A parameter that an argument gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// As written.
    pub text: String,
    /// The section that it belongs to: a node's name, or `/**`.
    pub section: String,
    /// Dotted name of the parameter.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// Why a rule was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum RuleError {
    #[error("argument '-p {text}': ':=' is missing; write '-p name:=value'")]
    NoSeparator { text: String },
    #[error("argument '-p {text}': '{name}' is no name of a parameter")]
    Name { text: String, name: String },
    #[error("argument '-p {text}': '{node}' is no name of a node; it takes no namespace")]
    Node { text: String, node: String },
    #[error("argument '-p {text}': {error}")]
    Value { text: String, error: YamlError },
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (target, value) = text.split_once(":=").ok_or_else(|| RuleError::NoSeparator { text: text.to_owned() })?;
        let (node, name) = target.split_once(':').map_or((None, target), |(node, name)| (Some(node), name));
        if let Some(node) = node.filter(|node| !is_token(node)) {
            return Err(RuleError::Node { text: text.to_owned(), node: node.to_owned() });
        }
        if !is_parameter_name(name) {
            return Err(RuleError::Name { text: text.to_owned(), name: name.to_owned() });
        }
        let value = yaml::value(value).map_err(|error| RuleError::Value { text: text.to_owned(), error })?;
        let section = node.unwrap_or(EVERY_NODE).to_owned();
        Ok(Self { text: text.to_owned(), section, name: name.to_owned(), value })
    }
}

/// Whether rcl takes it for a name in an argument.
pub fn is_token(text: &str) -> bool {
    is_name(text) && !text.starts_with("__")
}

/// Parts between dots, each of which may be a path such as `/image`: `qos_overrides./image.publisher.depth`.
fn is_parameter_name(name: &str) -> bool {
    name.split('.').all(|part| part.strip_prefix('/').unwrap_or(part).split('/').all(is_token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_a_section_a_name_and_a_value() {
        for (text, section, name, value) in [
            ("gender.margin:=0.35", "/**", "gender.margin", Value::Double(0.35)),
            ("face_attributes:gender.enabled:=off", "face_attributes", "gender.enabled", Value::Bool(false)),
            ("a:=010", "/**", "a", Value::Integer(8)),
            ("a:='off'", "/**", "a", Value::from("off")),
            ("a:=''", "/**", "a", Value::from("")),
            ("a:=!!str 5", "/**", "a", Value::from("5")),
            ("a:=b:=c", "/**", "a", Value::from("b:=c")),
            ("a:=x y", "/**", "a", Value::from("x y")),
            ("a:=/a/b.onnx", "/**", "a", Value::from("/a/b.onnx")),
            ("a:=[1, 2]", "/**", "a", Value::Other("[1, 2]".to_owned())),
            ("a:=[]", "/**", "a", Value::Strings(Vec::new())),
            ("a:=[front, '2']", "/**", "a", Value::Strings(vec!["front".to_owned(), "2".to_owned()])),
            (
                "qos_overrides./image.publisher.depth:=1",
                "/**",
                "qos_overrides./image.publisher.depth",
                Value::Integer(1),
            ),
        ] {
            let rule: Rule = text.parse().unwrap();
            assert_eq!((rule.section.as_str(), rule.name.as_str(), rule.value), (section, name, value), "{text}");
        }
    }

    #[test]
    fn a_wrong_rule_is_refused_with_the_reason() {
        for (text, reason) in [
            ("a", "argument '-p a': ':=' is missing"),
            ("a=1", "':=' is missing"),
            ("a: =1", "':=' is missing"),
            (":=1", "'' is no name of a parameter"),
            ("1a:=1", "'1a' is no name of a parameter"),
            ("a..b:=1", "no name of a parameter"),
            ("a-b:=1", "no name of a parameter"),
            ("a :=1", "no name of a parameter"),
            ("__a:=1", "no name of a parameter"),
            ("n:b:a:=1", "'b:a' is no name of a parameter"),
            ("/n:a:=1", "'/n' is no name of a node"),
            ("*:a:=1", "'*' is no name of a node"),
            (":a:=1", "'' is no name of a node"),
            ("a:=", "argument '-p a:=': it has no value"),
            ("a:= # c", "it has no value"),
            ("a:={b: 1}", "a mapping where a value is expected"),
            ("a:=b: 1", "a mapping where a value is expected"),
            ("a:=*x", "aliases"),
            ("a:=&x [*x]", "aliases"),
            ("a:=[1, 2.0]", "values of one type, got integer and double"),
            ("a:=[[1]]", "plain values only"),
            ("a:=[1, ~, '", "argument '-p a:=[1, ~, '':"),
            ("a:=\"x", "argument '-p a:=\"x': "),
        ] {
            let message = text.parse::<Rule>().unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
            assert_eq!(message.matches("argument '").count(), 1, "{message}");
        }
    }
}
