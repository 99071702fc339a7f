//! Reads ROS 2 parameter files by rcl's rules, so that the node and the command line mean the same by the same file.
//!
//! The parser's events are read rather than a tree: a tree hides which scalars were quoted, which keys came twice and where
//! an alias was.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use saphyr_parser::{Event, Parser};

use super::Value;
use super::target::{is_section_name, join};
use super::yaml::{ArrayReader, PARAMETERS_KEY, YamlError, scalar, syntax_error};

/// Characters that a message shows of a wrong text.
const SHOWN_CHARACTERS: usize = 40;

/// Why a parameter file was refused.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ParameterFileError {
    #[error("parameter file {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("parameter file {}: it is not UTF-8 text", path.display())]
    NotText { path: PathBuf },
    #[error("parameter file {}, line {line}: {error}", path.display())]
    Yaml { path: PathBuf, line: usize, error: YamlError },
}

/// The parameters that a file has for the nodes of one name or pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Name of the node after its namespaces, as written: `/robot/face_attributes`, `face_attributes`, `/**`.
    pub name: String,
    /// The parameters in the order of the file; of equal names the last counts.
    pub entries: Vec<Entry>,
}

/// One parameter of a section.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Dotted name.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Line of the file, from 1.
    pub line: usize,
}

/// The sections of a parameter file in the order in which they first appear; equal ones are merged.
///
/// # Errors
/// [`ParameterFileError`] where the file cannot be read, is no YAML, or is no parameter file to rcl.
pub fn read_sections(path: &Path) -> Result<Vec<Section>, ParameterFileError> {
    let bytes = fs::read(path).map_err(|error| ParameterFileError::Unreadable { path: path.to_owned(), error })?;
    let text = String::from_utf8(bytes).map_err(|_| ParameterFileError::NotText { path: path.to_owned() })?;
    sections(&text).map_err(|(line, error)| ParameterFileError::Yaml { path: path.to_owned(), line, error })
}

/// An error and the line where it is.
type Located = (usize, YamlError);

fn sections(text: &str) -> Result<Vec<Section>, Located> {
    let mut reader = Reader::default();
    // Windows' editors begin a file with a byte order mark.
    let text = with_spaces_before_values(text.strip_prefix('\u{feff}').unwrap_or(text));
    for event in Parser::new_from_str(&text) {
        let (event, span) = event.map_err(|error| syntax_error(&error))?;
        let line = span.start.line();
        reader.read(event, line).map_err(|error| (line, error))?;
    }
    Ok(reader.sections)
}

/// The text with a space for a tab between a name's colon and its value: rcl takes that tab, our parser does not.
fn with_spaces_before_values(text: &str) -> String {
    let line = |line: &str| match line.split_once(":\t") {
        Some((name, value)) if name.chars().all(|c| c.is_ascii_alphanumeric() || " _./*".contains(c)) => {
            format!("{name}: {value}")
        }
        _ => line.to_owned(),
    };
    text.split_inclusive('\n').map(line).collect()
}

#[derive(Default)]
struct Reader {
    sections: Vec<Section>,
    index_of_name: HashMap<String, usize>,
    documents: usize,
    /// What is open, the innermost last. A stack of our own: a file may nest deeper than the thread's stack.
    open: Vec<Open>,
}

/// A collection whose end has not come yet. A key stays until its value comes.
enum Open {
    /// A mapping of namespaces and nodes; it is complete once the parameters of a node have come.
    Nodes { name: String, key: Option<String>, is_complete: bool },
    /// A mapping of parameters and groups of parameters; a key has its line.
    Group { section: usize, name: String, key: Option<(String, usize)>, is_empty: bool },
    /// The value of a parameter that is an array.
    Array { section: usize, name: String, line: usize, elements: ArrayReader },
}

impl Reader {
    fn read(&mut self, event: Event, line: usize) -> Result<(), YamlError> {
        match event {
            Event::DocumentStart(is_explicit) => {
                if self.documents > 0 && !is_explicit {
                    return Err(YamlError::SecondDocument);
                }
                self.documents += 1;
            }
            Event::Scalar(text, style, _, tag) => {
                self.read_scalar(&text, scalar(&text, style, tag.as_deref()), line)?;
            }
            Event::MappingStart(..) => self.start_mapping()?,
            Event::SequenceStart(..) => self.start_array()?,
            Event::MappingEnd | Event::SequenceEnd => self.end()?,
            Event::Alias(_) => return Err(YamlError::Alias),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    /// A key, or the value of the key before. `value` is `None` where nothing is written.
    fn read_scalar(&mut self, text: &str, value: Option<Value>, line: usize) -> Result<(), YamlError> {
        match self.open.last_mut() {
            // To rcl, a text without any mapping is a file without sections.
            None => value.map(|_| ()).ok_or(YamlError::EmptyDocument),
            Some(Open::Nodes { key: None, .. } | Open::Group { key: None, .. }) if text.is_empty() => {
                Err(YamlError::EmptyKey)
            }
            Some(Open::Nodes { is_complete: true, .. }) => Err(YamlError::AfterParameters { key: text.to_owned() }),
            Some(Open::Nodes { key: key @ None, .. }) => {
                *key = Some(text.to_owned());
                Ok(())
            }
            Some(Open::Nodes { name, key: Some(key), .. }) => Err(no_section(name, key, text)),
            Some(Open::Group { key: key @ None, is_empty, .. }) => {
                (*key, *is_empty) = (Some((text.to_owned(), line)), false);
                Ok(())
            }
            Some(Open::Group { section, name, key: key @ Some(_), .. }) => {
                let (key, line) = key.take().unwrap_or_default();
                let (section, name) = (*section, dotted(name, &key));
                let value = value.ok_or_else(|| YamlError::NoValue { name: name.clone() })?;
                self.add(section, Entry { name, value, line });
                Ok(())
            }
            Some(Open::Array { elements, .. }) => elements.push(value),
        }
    }

    fn start_mapping(&mut self) -> Result<(), YamlError> {
        let opened = match self.open.last_mut() {
            None => Open::Nodes { name: String::new(), key: None, is_complete: false },
            Some(Open::Nodes { name, key, is_complete }) => {
                let key = key.take().ok_or(YamlError::KeyIsNoName)?;
                if key.starts_with(PARAMETERS_KEY) {
                    *is_complete = true;
                    let name = name.clone();
                    Open::Group { section: self.section(name)?, name: String::new(), key: None, is_empty: true }
                } else {
                    Open::Nodes { name: join(name, &key), key: None, is_complete: false }
                }
            }
            Some(Open::Group { section, name, key, .. }) => {
                let (key, _) = key.take().ok_or(YamlError::KeyIsNoName)?;
                Open::Group { section: *section, name: dotted(name, &key), key: None, is_empty: true }
            }
            Some(Open::Array { .. }) => return Err(YamlError::NestedArray),
        };
        self.open.push(opened);
        Ok(())
    }

    fn start_array(&mut self) -> Result<(), YamlError> {
        let opened = match self.open.last_mut() {
            None => return Err(YamlError::ListOfSections),
            Some(Open::Nodes { key: None, .. }) => return Err(YamlError::KeyIsNoName),
            Some(Open::Nodes { name, key: Some(key), .. }) => return Err(no_section(name, key, "a list")),
            Some(Open::Group { section, name, key, .. }) => {
                let (key, line) = key.take().ok_or(YamlError::KeyIsNoName)?;
                let (section, name) = (*section, dotted(name, &key));
                Open::Array { section, name, line, elements: ArrayReader::default() }
            }
            Some(Open::Array { .. }) => return Err(YamlError::NestedArray),
        };
        self.open.push(opened);
        Ok(())
    }

    fn end(&mut self) -> Result<(), YamlError> {
        match self.open.pop() {
            // rcl loses track of the names that follow. Only a section may be empty.
            Some(Open::Group { name, is_empty: true, .. }) if !name.is_empty() => Err(YamlError::EmptyGroup { name }),
            Some(Open::Array { section, name, line, elements }) => {
                self.add(section, Entry { name, value: elements.finish(), line });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Index of the section of this name, which is new or continued.
    fn section(&mut self, name: String) -> Result<usize, YamlError> {
        if name.is_empty() {
            return Err(YamlError::NoNodeName);
        }
        if !is_section_name(&name) {
            return Err(YamlError::InvalidName { name });
        }
        let sections = &mut self.sections;
        Ok(*self.index_of_name.entry(name).or_insert_with_key(|name| {
            sections.push(Section { name: name.clone(), entries: Vec::new() });
            sections.len() - 1
        }))
    }

    fn add(&mut self, section: usize, entry: Entry) {
        if let Some(section) = self.sections.get_mut(section) {
            section.entries.push(entry);
        }
    }
}

/// What is wrong with a value where the parameters of a node are expected.
fn no_section(namespace: &str, key: &str, got: &str) -> YamlError {
    if key.starts_with(PARAMETERS_KEY) {
        YamlError::NoParameters { got: got.lines().next().unwrap_or_default().chars().take(SHOWN_CHARACTERS).collect() }
    } else {
        YamlError::NoSection { name: join(namespace, key) }
    }
}

fn dotted(group: &str, name: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{group}.{name}") }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// `section name=value@line` for each parameter; a section without any is its name.
    fn read(text: &str) -> String {
        let mut read = Vec::new();
        for Section { name, entries } in sections(text).unwrap() {
            let mut section = name;
            for Entry { name, value, line } in entries {
                write!(section, " {name}={value}@{line}").unwrap();
            }
            read.push(section);
        }
        read.join("; ")
    }

    #[test]
    fn parameters_are_read_with_their_sections_and_lines() {
        for (text, expected) in [
            ("/**:\n  ros__parameters:\n    a: 1\n    b.c: 2\n    d: {e: 'x', f: {g: off}}\n", {
                "/** a=1@3 b.c=2@4 d.e=\"x\"@5 d.f.g=false@5"
            }),
            ("robot:\n  face: {ros__parameters: {a: 1}}\n  other: {ros__parameters: {a: 2}}\n", {
                "robot/face a=1@2; robot/other a=2@3"
            }),
            ("/robot/: {face: {ros__parameters: {a: 1}}}", "/robot/face a=1@1"),
            ("a: {x: {}, ros__parameters: {b: 1}}", "a b=1@1"),
            ("/**:\n  ros__parameters: {}\n", "/**"),
            ("/**: {}", ""),
            ("", ""),
            ("# nothing\n", ""),
            ("text", ""),
            ("a: {ros__parameters: {b: [1, 2], c: [], d: [x, \"y\"]}}", "a b=[1, 2]@1 c=[]@1 d=[\"x\", \"y\"]@1"),
            ("a:\n  ros__parameters:\n    b:\n      - 1\n      - 2\n    c: >-\n      5\n", "a b=[1, 2]@3 c=5@6"),
            ("a: {ros__parameters: {b: [1,2,3,4,5,6,7,8,9]}}", "a b=[1, 2, 3, 4, 5, 6, 7, 8, ...]@1"),
            ("a: {ros__parameters: {b: yes, c: \"yes\", d: 'yes', e: !!str yes, f: !!str 5}}", {
                "a b=true@1 c=\"yes\"@1 d=\"yes\"@1 e=\"yes\"@1 f=\"5\"@1"
            }),
            ("a: {ros__parameters: {b: null, c: ~, d: ''}}", "a b=\"null\"@1 c=\"~\"@1 d=\"\"@1"),
            ("a: {ros__parameters: {b: &x 5}}", "a b=5@1"),
            ("a: {ros__parameters: {qos_overrides: {/image: {publisher: {depth: 1}}}}}", {
                "a qos_overrides./image.publisher.depth=1@1"
            }),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn equal_sections_are_merged_and_documents_continue_each_other() {
        let text =
            "/**: {ros__parameters: {a: 1}}\nx: {ros__parameters: {a: 2}}\n/**: {ros__parameters: {b: 3, a: 4}}\n";
        assert_eq!(read(text), "/** a=1@1 b=3@3 a=4@3; x a=2@2");
        assert_eq!(read("/**: {ros__parameters: {a: 1}}\n---\n/**: {ros__parameters: {b: 2}}\n"), "/** a=1@1 b=2@3");
    }

    #[test]
    fn line_ends_tabs_and_a_byte_order_mark_are_as_rcl_takes_them() {
        assert_eq!(read("/**:\r\n  ros__parameters:\r\n    a: off\r\n"), "/** a=false@3");
        assert_eq!(read("\u{feff}/**: {ros__parameters: {a: 1}}"), "/** a=1@1");
        assert_eq!(read("/**:\t\n  ros__parameters:\n    a:\t7\n    b: \"x:\ty\"\t\n"), "/** a=7@3 b=\"x:\\ty\"@4");
        assert_eq!(sections("/**:\n\tros__parameters:\n\t\ta: 1\n").unwrap_err().0, 2);
    }

    #[test]
    fn what_rcl_refuses_is_refused_with_line_and_reason() {
        for (text, line, reason) in [
            ("/**:\n  ros__parameters:\n    a: &x {b: 1}\n    c: *x\n", 4, "aliases"),
            ("/**:\n  ros__parameters:\n    c: *x\n", 3, "aliases"),
            ("/**:\n  ros__parameters:\n    <<: *x\n", 3, "aliases"),
            ("**/face:\n  ros__parameters: {a: 1}\n", 1, "begins with '*' in quotes"),
            ("/**:\n  ros__parameters:\n", 2, "'ros__parameters' takes 'name: value' below it, got ''"),
            ("/**:\n  ros__parameters: 5\n", 2, "got '5'"),
            ("/**:\n  ros__parameters:\n    a:1\n", 3, "got 'a:1'"),
            ("/**:\n  ros__parameters:\n    - a\n", 3, "got 'a list'"),
            ("/**:\n", 1, "'/**' has no 'ros__parameters:' below it"),
            ("detector: {min_neighbors: 3}\n", 1, "'detector/min_neighbors' has no 'ros__parameters:'"),
            ("a: [1]\n", 1, "'a' has no 'ros__parameters:'"),
            ("- a\n", 1, "a list where sections are expected"),
            ("---\n", 2, "the document is empty"),
            ("ros__parameters: {a: 1}\n", 1, "without the name of a node"),
            ("a:\n  ros__parameters: {b: 1}\n  ros__parameters: {c: 1}\n", 3, "follows 'ros__parameters'"),
            ("a:\n  ros__parameters: {b: 1}\n  c: {ros__parameters: {d: 1}}\n", 3, "'c' follows 'ros__parameters'"),
            ("a:\n  ros__parameters:\n    b:\n    c: 1\n", 3, "parameter 'b' has no value"),
            ("a:\n  ros__parameters:\n    b: {c: {}}\n", 3, "the group 'b.c' is empty"),
            ("a:\n  ros__parameters:\n    b: [1, 2.0]\n", 3, "got integer and double"),
            ("a:\n  ros__parameters:\n    b: [[1], [2]]\n", 3, "no arrays or groups"),
            ("a:\n  ros__parameters:\n    b: [{c: 1}]\n", 3, "no arrays or groups"),
            ("a:\n  ros__parameters:\n    [b]: 1\n", 3, "where a name is expected"),
            ("a:\n  ros__parameters:\n    '': 1\n", 3, "an empty name"),
            ("face-1:\n  ros__parameters: {a: 1}\n", 2, "'face-1' is no name of a node"),
            ("/**/:\n  ros__parameters: {a: 1}\n", 2, "'/**/' is no name of a node"),
            ("/a: {/b: {ros__parameters: {c: 1}}}\n", 1, "'/a//b' is no name of a node"),
            ("/**: {ros__parameters: {a: 1}}\n...\n/**: {ros__parameters: {a: 1}}\n", 3, "without '---'"),
            ("/**:\n  ros__parameters:\n    a: b: c\n", 3, "mapping values are not allowed"),
            ("/**:\n  ros__parameters:\n    a: \"\\q\"\n", 3, "unknown escape character"),
        ] {
            let (error_line, error) = sections(text).unwrap_err();
            assert!(error.to_string().contains(reason), "{text}: {error}");
            assert_eq!(error_line, line, "{text}: {error}");
        }
    }

    #[test]
    fn deep_nesting_is_read_or_refused_but_never_overflows_the_stack() {
        let mut block = "/**:\n ros__parameters:\n".to_owned();
        for depth in 0..2000 {
            writeln!(block, "{}a:", " ".repeat(depth + 2)).unwrap();
        }
        assert!(matches!(sections(&block).unwrap_err(), (_, YamlError::NoValue { .. })));
        for (open, close) in [("{a: ", "}"), ("[", "]")] {
            let flow = format!("/**: {{ros__parameters: {{a: {}1{}}}}}", open.repeat(100_000), close.repeat(100_000));
            assert!(sections(&flow).is_err());
        }
    }

    #[test]
    fn a_file_that_is_no_text_is_named_once() {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("latin1.yaml");
        fs::write(&binary, b"/**: {ros__parameters: {a: \"\xe9\"}}").unwrap();
        let wrong = folder.path().join("wrong.yaml");
        fs::write(&wrong, "/**:\n  ros__parameters: [").unwrap();
        for (path, reason) in [
            (folder.path().to_owned(), "directory"),
            (folder.path().join("missing.yaml"), "No such file"),
            (binary, "not UTF-8 text"),
            (wrong, ", line 2: "),
        ] {
            let message = read_sections(&path).unwrap_err().to_string();
            assert!(message.starts_with(&format!("parameter file {}", path.display())), "{message}");
            assert!(message.contains(reason), "{message}");
            assert_eq!(message.matches(&path.display().to_string()).count(), 1, "{message}");
        }
    }
}
