//! Which sections of a parameter file are for which node.

use std::fmt;

/// The node whose sections are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeTarget {
    /// The node of this full name, for example `/robot/face_attributes`.
    FullName(String),
    /// A node of this name, whatever its namespace: for a program that has none.
    AnyNamespace(String),
}

impl NodeTarget {
    /// Whether a section is for this node.
    ///
    /// In a section's name `*` stands for one name and `**` for any number of them, none included. A leading `/` may be
    /// missing. Where the namespace is not known, the section's last name decides.
    pub fn matches(&self, section: &str) -> bool {
        match self {
            Self::FullName(name) => {
                let section: Vec<_> = parts(section).collect();
                let name: Vec<_> = parts(name).collect();
                parts_match(&section, &name)
            }
            Self::AnyNamespace(name) => parts(section).last().is_some_and(|last| is_wildcard(last) || last == name),
        }
    }
}

impl fmt::Display for NodeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::FullName(name) | Self::AnyNamespace(name)) = self;
        f.write_str(name)
    }
}

/// Whether rcl takes the name for that of a section.
pub(super) fn is_section_name(name: &str) -> bool {
    parts(name).all(|part| is_wildcard(part) || is_name(part))
}

/// The name of a section below a namespace.
pub(super) fn join(namespace: &str, name: &str) -> String {
    let separator = if namespace.is_empty() || namespace.ends_with('/') { "" } else { "/" };
    format!("{namespace}{separator}{name}")
}

fn parts(name: &str) -> impl Iterator<Item = &str> {
    name.strip_prefix('/').unwrap_or(name).split('/')
}

fn is_wildcard(part: &str) -> bool {
    matches!(part, "*" | "**")
}

/// Whether ROS takes it for the name of a node or a namespace.
pub(super) fn is_name(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with(|first: char| first.is_ascii_digit())
        && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether the pattern's parts mean the name's. Returns to the last `**` only, which keeps the time below the product of the
/// lengths.
fn parts_match(pattern: &[&str], name: &[&str]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry = None;
    while n < name.len() || p < pattern.len() {
        match (pattern.get(p), name.get(n)) {
            (Some(&"**"), _) => {
                retry = Some((p, n + 1));
                p += 1;
            }
            (Some(part), Some(actual)) if *part == "*" || part == actual => {
                p += 1;
                n += 1;
            }
            _ => match retry {
                Some((wildcard, next)) if next <= name.len() => {
                    retry = Some((wildcard, next + 1));
                    (p, n) = (wildcard + 1, next);
                }
                _ => return false,
            },
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_matches_the_nodes_that_its_pattern_means() {
        let node = NodeTarget::FullName("/robot/face_attributes".to_owned());
        for section in [
            "/**",
            "/robot/face_attributes",
            "robot/face_attributes",
            "/*/face_attributes",
            "/robot/*",
            "/robot/**",
            "/**/face_attributes",
            "/*/*",
            "/**/*",
            "/**/**",
            "/robot/**/face_attributes",
            "**/face_attributes",
            "/*/**",
            "/**/robot/**/*",
        ] {
            assert!(node.matches(section), "{section}");
        }
        for section in [
            "/face_attributes",
            "face_attributes",
            "/*",
            "*",
            "/other/face_attributes",
            "/robot",
            "/robot/face_attributes/more",
            "/robot/*/face_attributes",
            "/*/*/*",
            "/robot/face",
            "/**/other",
        ] {
            assert!(!node.matches(section), "{section}");
        }
        let node = NodeTarget::FullName("/face_attributes".to_owned());
        for section in ["/*", "*", "face_attributes", "/**", "**", "/**/face_attributes", "/**/*"] {
            assert!(node.matches(section), "{section}");
        }
        assert!(!node.matches("/*/face_attributes"));
    }

    #[test]
    fn many_wildcards_are_matched_quickly() {
        let node = NodeTarget::FullName(format!("{}/z", "/a".repeat(100)));
        assert!(!node.matches(&format!("{}/b", "/**/a".repeat(50))));
        assert!(node.matches(&format!("{}/z", "/**/a".repeat(50))));
    }

    #[test]
    fn without_a_namespace_the_last_part_decides() {
        let node = NodeTarget::AnyNamespace("face_attributes".to_owned());
        for section in ["/**", "/robot/*", "/**/face_attributes", "robot/face_attributes", "face_attributes", "/a/b/**"]
        {
            assert!(node.matches(section), "{section}");
        }
        for section in ["/face_attributes/other", "face_attribute", "/robot/other"] {
            assert!(!node.matches(section), "{section}");
        }
    }

    #[test]
    fn names_are_checked_as_rcl_checks_them() {
        for name in ["/**", "/*", "*", "face", "/robot/face", "robot/face", "/*/**", "_a1/b_", "/**/face"] {
            assert!(is_section_name(name), "{name}");
        }
        for name in
            ["/", "", "/**/", "/robot//face", "face-1", "1face", "/1/face", "/robot*/face", "/***", "~face", "é", "//a"]
        {
            assert!(!is_section_name(name), "{name}");
        }
    }

    #[test]
    fn names_are_joined_with_one_slash() {
        assert_eq!(join("", "/robot"), "/robot");
        assert_eq!(join("/robot", "face"), "/robot/face");
        assert_eq!(join("/robot/", "face"), "/robot/face");
    }
}
