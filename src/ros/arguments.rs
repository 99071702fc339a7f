//! The arguments of the node's program. rcl ignores what it does not know; here it is refused by name.

use std::ffi::OsString;

use face_attributes::parameters::{RuleError, Source, is_token, nearest};

/// What `--version` prints.
pub const VERSION: &str = concat!("face_attributes_node ", env!("CARGO_PKG_VERSION"));

/// What `--help` prints.
pub const HELP: &str = "\
Finds faces in camera images and classifies their emotion and apparent gender: a ROS 2 node.

Usage: face_attributes_node [--help | --version] [--ros-args [ROS ARGUMENT]... [--]]

  -h, --help     Print this text
  -V, --version  Print the version

ROS arguments:
  -p, --param [NODE:]NAME:=VALUE       Set a parameter
      --params-file FILE               Set the parameters of a YAML file
  -r, --remap [NODE:]FROM:=TO          Rename a topic or service, the node (__node) or its namespace (__ns)
      --log-level [LOGGER:=]LEVEL      Log from this level on: debug, info, warn, error, fatal or unset
      --log-config-file FILE           Configure the logger by a file
      --log-file-name NAME             Begin the names of log files with this
  -e, --enclave PATH                   Use this security enclave
      --enable-rosout-logs, --disable-rosout-logs
      --enable-stdout-logs, --disable-stdout-logs
      --enable-external-lib-logs, --disable-external-lib-logs

The package's share folder has all parameters with their defaults in config/face_attributes.yaml. While the node runs,
'ros2 param describe /face_attributes NAME' shows the type, the range and the meaning of one.
";

const OWN_OPTIONS: [&str; 4] = ["-h", "--help", "-V", "--version"];
const BEGIN: &str = "--ros-args";
const END: &str = "--";
const LEVELS: [&str; 6] = ["unset", "debug", "info", "warn", "error", "fatal"];

/// Options that rcl takes between `--ros-args` and `--`, and what follows each.
const ROS_OPTIONS: [(&str, Option<&str>); 18] = [
    ("-p", Some(RULE)),
    ("--param", Some(RULE)),
    ("-r", Some(REMAP)),
    ("--remap", Some(REMAP)),
    (FILE_OPTION, Some("a file")),
    (LEVEL_OPTION, Some("a level")),
    ("--log-config-file", Some("a file")),
    ("--log-file-name", Some("a name")),
    ("-e", Some("an enclave")),
    ("--enclave", Some("an enclave")),
    ("--enable-rosout-logs", None),
    ("--disable-rosout-logs", None),
    ("--enable-stdout-logs", None),
    ("--disable-stdout-logs", None),
    ("--enable-external-lib-logs", None),
    ("--disable-external-lib-logs", None),
    (BEGIN, None),
    (END, None),
];
const RULE: &str = "name:=value";
const REMAP: &str = "from:=to";
const FILE_OPTION: &str = "--params-file";
const LEVEL_OPTION: &str = "--log-level";

/// What the program is asked to do.
#[derive(Debug, PartialEq)]
pub enum Request {
    /// Run the node.
    Run(Settings),
    /// Print [`HELP`] and end.
    Help,
    /// Print [`VERSION`] and end.
    Version,
}

/// What the ROS arguments set, each in the order of the arguments.
#[derive(Debug, Default, PartialEq)]
pub struct Settings {
    /// Where parameters come from.
    pub sources: Vec<Source>,
    /// The rules that rename topics and services. rcl reads them as well, and those for nodes and namespaces.
    pub remaps: Vec<Remap>,
}

/// A rule that renames: `[node:]from:=to`.
#[derive(Debug, Clone, PartialEq)]
pub struct Remap {
    /// The node that it is for; every one where there is none.
    pub node: Option<String>,
    /// Whether it is for topics; rules that begin with `rosservice://` are not.
    pub is_for_topics: bool,
    /// The name as the node gives it: relative, absolute or private.
    pub from: String,
    /// The name as others know it.
    pub to: String,
}

impl Remap {
    /// The rule of a text; `None` where rcl would refuse it.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once(":=")?;
        let (node, from) = match from.split_once(':') {
            Some((node, name)) if is_token(node) && !name.starts_with("//") => (Some(node.to_owned()), name),
            _ => (None, from),
        };
        let service = from.strip_prefix("rosservice://");
        let path = service.or_else(|| from.strip_prefix("rostopic://")).unwrap_or(from);
        let is_valid = match path {
            "__ns" => to == "/" || (to.starts_with('/') && is_topic(to)),
            "__node" | "__name" => is_token(to),
            path => is_topic(path) && is_topic(to),
        };
        let is_for_topics = service.is_none() && !path.starts_with("__");
        is_valid.then(|| Self { node, is_for_topics, from: path.to_owned(), to: to.to_owned() })
    }
}

/// Why the arguments were refused.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ArgumentError {
    #[error("unknown argument '{argument}'{}", suggestion(*.nearest))]
    Unknown { argument: String, nearest: Option<&'static str> },
    #[error("unknown ROS argument '{argument}'{}", suggestion(*.nearest))]
    UnknownRos { argument: String, nearest: Option<&'static str> },
    #[error("'{argument}' is a ROS argument: write it after '--ros-args'")]
    BeforeRosArgs { argument: String },
    #[error("'{argument}' is no ROS argument: write it before '--ros-args'")]
    AfterRosArgs { argument: String },
    #[error("argument '{option}' needs {value}")]
    NoValue { option: String, value: &'static str },
    #[error(transparent)]
    Rule(#[from] RuleError),
    #[error("argument '-r {text}': not of the form [node:]from:=to with valid ROS names")]
    Remap { text: String },
    #[error("argument '--log-level {text}': not one of {}, nor logger:=level", LEVELS.join(", "))]
    Level { text: String },
    #[error("argument {argument:?} is not UTF-8 text")]
    NotText { argument: OsString },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean '{nearest}'?"))
}

/// What the arguments after the program's name ask for.
///
/// # Errors
/// [`ArgumentError`] names the argument that is unknown, or wrong, or lacks its value.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, ArgumentError> {
    let mut arguments =
        arguments.into_iter().map(|text| text.into_string().map_err(|argument| ArgumentError::NotText { argument }));
    let mut settings = Settings::default();
    let mut is_ros = false;
    while let Some(argument) = arguments.next().transpose()? {
        let option = ROS_OPTIONS.iter().find(|(option, _)| *option == argument);
        match (is_ros, argument.as_str(), option) {
            (_, BEGIN, _) => is_ros = true,
            (true, END, _) => is_ros = false,
            (true, _, Some((_, None))) => {}
            (true, _, Some((_, Some(expected)))) => {
                let value = arguments.next().transpose()?.filter(|value| !is_option(value));
                let value = value.ok_or(ArgumentError::NoValue { option: argument.clone(), value: expected })?;
                check(&argument, expected, value, &mut settings)?;
            }
            (true, own, None) if OWN_OPTIONS.contains(&own) => return Err(ArgumentError::AfterRosArgs { argument }),
            (true, _, None) => {
                let nearest = nearest_option(&argument, ROS_OPTIONS.iter().map(|(option, _)| *option));
                return Err(ArgumentError::UnknownRos { argument, nearest });
            }
            (false, "-h" | "--help", _) => return Ok(Request::Help),
            (false, "-V" | "--version", _) => return Ok(Request::Version),
            (false, option, Some(_)) if option != END => return Err(ArgumentError::BeforeRosArgs { argument }),
            // The form of a remapping before `--ros-args` came; rcl warns of it and takes it.
            (false, text, _) => match Remap::parse(text) {
                Some(remap) => settings.remaps.push(remap),
                None => {
                    let nearest = nearest_option(&argument, OWN_OPTIONS.into_iter().chain([BEGIN]));
                    return Err(ArgumentError::Unknown { argument, nearest });
                }
            },
        }
    }
    Ok(Request::Run(settings))
}

/// Whether an argument that should be a value is an option: the value was forgotten.
fn is_option(argument: &str) -> bool {
    ROS_OPTIONS.iter().any(|(option, _)| *option == argument)
}

/// Checks an option's value, and keeps what the node needs of it.
fn check(option: &str, expected: &str, value: String, settings: &mut Settings) -> Result<(), ArgumentError> {
    match (option, expected) {
        (_, RULE) => settings.sources.push(Source::Rule(value.parse()?)),
        (FILE_OPTION, _) => settings.sources.push(Source::File(value.into())),
        (_, REMAP) => settings.remaps.push(Remap::parse(&value).ok_or(ArgumentError::Remap { text: value })?),
        (LEVEL_OPTION, _) if !is_level(&value) => return Err(ArgumentError::Level { text: value }),
        _ => {}
    }
    Ok(())
}

/// The nearest of long options to a long one, of short ones to a short one; `--option=value` is compared without its value.
fn nearest_option(argument: &str, options: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let option = argument.split('=').next().unwrap_or(argument);
    let is_long = option.chars().count() > 2;
    nearest(option, options.filter(|known| known.starts_with("--") == is_long && *known != END))
}

/// Whether it is the name of a topic or service: relative, absolute, or private to the node (`~/image`).
fn is_topic(name: &str) -> bool {
    let path = name.strip_prefix("~/").or_else(|| name.strip_prefix('/')).unwrap_or(name);
    path.split('/').all(is_token)
}

/// Whether rcl takes it for a level, of all loggers or of one: `[logger:=]level`.
fn is_level(text: &str) -> bool {
    let (logger, level) = text.split_once(":=").unwrap_or(("all", text));
    !logger.is_empty() && LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn parse_words(words: &str) -> Result<Request, ArgumentError> {
        parse(words.split_whitespace().map(OsString::from))
    }

    #[test]
    fn help_and_version_are_asked_for_outside_the_ros_arguments() {
        for words in ["--help", "-h", "--ros-args -p a:=1 -- --help", "-h --nonsense"] {
            assert_eq!(parse_words(words), Ok(Request::Help), "{words}");
        }
        for words in ["--version", "-V"] {
            assert_eq!(parse_words(words), Ok(Request::Version), "{words}");
        }
        assert!(HELP.lines().all(|line| line.len() <= 120));
        for (option, _) in ROS_OPTIONS {
            assert!(HELP.contains(option), "{option}");
        }
        for option in OWN_OPTIONS {
            assert!(HELP.contains(option), "{option}");
        }
    }

    #[test]
    fn sources_of_parameters_are_taken_in_their_order() {
        let words = "--ros-args -r image:=/camera/image -r __ns:=/robot --params-file a.yaml -p x.y:=1 --log-level debug \
                     --ros-args --param n:z:=off -- --ros-args --params-file b.yaml --enable-rosout-logs -e /e \
                     --log-config-file l --log-file-name f --disable-stdout-logs --log-level rcl:=WARN";
        let expected = vec![
            Source::File("a.yaml".into()),
            Source::Rule("x.y:=1".parse().unwrap()),
            Source::Rule("n:z:=off".parse().unwrap()),
            Source::File("b.yaml".into()),
        ];
        let Ok(Request::Run(settings)) = parse_words(words) else { panic!("refused") };
        assert_eq!(settings.sources, expected);
        assert_eq!(settings.remaps, ["image:=/camera/image", "__ns:=/robot"].map(|rule| Remap::parse(rule).unwrap()));
        for words in ["", "--ros-args", "--ros-args --"] {
            assert_eq!(parse_words(words), Ok(Request::Run(Settings::default())), "{words}");
        }
        let Ok(Request::Run(settings)) = parse_words("n:rostopic://image:=/camera") else { panic!("refused") };
        let remap = Remap {
            node: Some("n".to_owned()),
            is_for_topics: true,
            from: "image".to_owned(),
            to: "/camera".to_owned(),
        };
        assert_eq!(settings.remaps, [remap]);
    }

    #[test]
    fn what_is_unknown_or_lacks_its_value_is_refused_by_name() {
        for (words, reason) in [
            ("--nonsense", "unknown argument '--nonsense'"),
            ("--hlep", "unknown argument '--hlep'; did you mean '--help'?"),
            ("--vesrion", "did you mean '--version'?"),
            ("--ros-arg -p a:=1", "unknown argument '--ros-arg'; did you mean '--ros-args'?"),
            ("-v", "unknown argument '-v'; did you mean '-V'?"),
            ("image.png", "unknown argument 'image.png'"),
            ("image:=/a-b", "unknown argument 'image:=/a-b'"),
            ("--", "unknown argument '--'"),
            ("--ros-args -- x", "unknown argument 'x'"),
            ("--params-file x", "'--params-file' is a ROS argument: write it after '--ros-args'"),
            ("-p a:=1", "'-p' is a ROS argument"),
            ("--ros-args --prams-file x", "unknown ROS argument '--prams-file'; did you mean '--params-file'?"),
            ("--ros-args --params-file=x", "unknown ROS argument '--params-file=x'; did you mean '--params-file'?"),
            ("--ros-args --disable-rosout-log", "did you mean '--disable-rosout-logs'?"),
            ("--ros-args --loglevel debug", "did you mean '--log-level'?"),
            ("--ros-args -P a:=1", "unknown ROS argument '-P'; did you mean '-p'?"),
            ("--ros-args a:=1", "unknown ROS argument 'a:=1'"),
            ("--ros-args --help", "'--help' is no ROS argument: write it before '--ros-args'"),
            ("--ros-args -p", "argument '-p' needs name:=value"),
            ("--ros-args -p --", "argument '-p' needs name:=value"),
            ("--ros-args --params-file", "argument '--params-file' needs a file"),
            ("--ros-args --params-file --log-level debug", "argument '--params-file' needs a file"),
            ("--ros-args -r", "argument '-r' needs from:=to"),
            ("--ros-args -e --ros-args", "argument '-e' needs an enclave"),
            ("--ros-args --log-level", "argument '--log-level' needs a level"),
            ("--ros-args -p a", "argument '-p a': ':=' is missing"),
            ("--ros-args -p a:=", "argument '-p a:=': it has no value"),
            ("--ros-args -r image", "argument '-r image':"),
            ("--ros-args --log-level loud", "argument '--log-level loud': not one of unset, debug, info"),
            ("--ros-args --log-level :=info", "argument '--log-level :=info'"),
        ] {
            let message = parse_words(words).unwrap_err().to_string();
            assert!(message.contains(reason), "{words}: {message}");
        }
        let message = parse([OsString::from_vec(vec![b'-', 0xff])]).unwrap_err().to_string();
        assert!(message.contains("is not UTF-8"), "{message}");
        let message = parse([OsString::new()]).unwrap_err().to_string();
        assert_eq!(message, "unknown argument ''");
    }

    #[test]
    fn remappings_are_checked_as_rcl_checks_them() {
        for rule in [
            "a:=b",
            "a:=/b",
            "n:a:=b",
            "__ns:=/x",
            "__ns:=/x/y",
            "__ns:=/",
            "__node:=n",
            "__name:=n",
            "n:__ns:=/x",
            "~/a:=/b",
            "a/b:=c/d",
            "a:=~/x",
            "rostopic://a:=b",
            "rosservice://a:=b",
            "n:rostopic://a:=b",
        ] {
            assert!(Remap::parse(rule).is_some(), "{rule}");
        }
        for rule in [
            "a",
            "a:=",
            ":=b",
            "__ns:=x",
            "__ns:=/x/",
            "__node:=a/b",
            "/a/:=b",
            "a:=b/",
            "a:=~",
            "a-b:=c",
            "a:=b-c",
            "*:=b",
            "a b:=c",
            "1a:=b",
            "a:=1b",
            "a:=b:=c",
            "a:=b.yaml",
            "__params:=f",
            "--x:=y",
            ":a:=b",
        ] {
            assert!(Remap::parse(rule).is_none(), "{rule}");
        }
    }
}
