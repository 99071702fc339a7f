//! The full names of topics, as rcl resolves them. r2r does not tell them.

#[cfg(any(feature = "hri_msgs", feature = "tf2_msgs"))]
use face_attributes::parameters::NODE_NAME;

use crate::arguments::Remap;

/// Resolves the names of one node.
#[derive(Debug, Clone)]
pub struct Names {
    /// `/` or, for example, `/robot`.
    namespace: String,
    node: String,
    remaps: Vec<Remap>,
}

impl Names {
    /// The names of the node `node` in `namespace`, by the rules in the order of the process's arguments.
    pub fn new(namespace: String, node: String, remaps: Vec<Remap>) -> Self {
        Self { namespace, node, remaps }
    }

    /// The full name of a topic that is relative, absolute, or private to the node (`~/faces`): that by which others know it.
    pub fn topic(&self, name: &str) -> String {
        let expanded = self.expand(name);
        let is_meant = |remap: &&Remap| {
            remap.is_for_topics
                && remap.node.as_ref().is_none_or(|node| *node == self.node)
                && self.expand(&remap.from) == expanded
        };
        self.remaps.iter().find(is_meant).map_or_else(|| expanded.clone(), |remap| self.expand(&remap.to))
    }

    /// The full name of a topic that a rule renames; else `None`.
    pub fn remapped(&self, name: &str) -> Option<String> {
        let resolved = self.topic(name);
        (resolved != self.expand(name)).then_some(resolved)
    }

    /// What ids begin with on topics that the nodes of a robot share: the namespace, and the node's name where it is another one than
    /// it is called by itself. Empty for a node that is started without names.
    #[cfg(any(feature = "hri_msgs", feature = "tf2_msgs"))]
    pub fn id_prefix(&self) -> String {
        let node = (self.node != NODE_NAME).then_some(&self.node[..]);
        let parts = self.namespace.split('/').chain(node).filter(|part| !part.is_empty());
        let prefix: String = parts.flat_map(|part| [part, "_"]).collect();
        // REP-155: an id begins with a letter.
        prefix.trim_start_matches('_').to_owned()
    }

    /// The full name before it is remapped.
    fn expand(&self, name: &str) -> String {
        let namespace = self.namespace.trim_end_matches('/');
        match name.strip_prefix('~') {
            Some(private) => format!("{namespace}/{}{private}", self.node),
            None if name.starts_with('/') => name.to_owned(),
            None => format!("{namespace}/{name}"),
        }
    }
}

/// The topic `name` beside another one, in its namespace: `/camera/camera_info` beside `/camera/image_raw`.
pub fn sibling(topic: &str, name: &str) -> String {
    let namespace = topic.rsplit_once('/').map_or("", |(namespace, _)| namespace);
    format!("{namespace}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(namespace: &str, rules: &[&str]) -> Names {
        let remaps = rules.iter().map(|rule| Remap::parse(rule).unwrap()).collect();
        Names::new(namespace.to_owned(), "face_attributes".to_owned(), remaps)
    }

    #[test]
    fn names_are_below_the_namespace_and_the_node() {
        let root = names("/", &[]);
        assert_eq!(root.topic("image"), "/image");
        assert_eq!(root.topic("~/faces"), "/face_attributes/faces");
        let robot = names("/robot", &[]);
        assert_eq!(robot.topic("front/image"), "/robot/front/image");
        assert_eq!(robot.topic("~/faces"), "/robot/face_attributes/faces");
        assert_eq!(robot.topic("/image"), "/image");
    }

    #[test]
    fn the_first_rule_that_means_the_topic_counts() {
        let robot = names("/robot", &["other:image:=/a", "rosservice://image:=/b", "/robot/image:=cam", "image:=/c"]);
        assert_eq!(robot.topic("image"), "/robot/cam");
        assert_eq!(robot.topic("/robot/image"), "/robot/cam");
        assert_eq!(robot.topic("image/compressed"), "/robot/image/compressed");
        let own =
            names("/", &["face_attributes:image:=/head/image_raw", "~/faces:=people", "rostopic://x:=y", "__ns:=/"]);
        assert_eq!(own.topic("image"), "/head/image_raw");
        assert_eq!(own.topic("~/faces"), "/people");
        assert_eq!(own.topic("x"), "/y");
        assert_eq!((own.remapped("x"), own.remapped("z")), (Some("/y".to_owned()), None));
    }

    #[test]
    #[cfg(any(feature = "hri_msgs", feature = "tf2_msgs"))]
    fn ids_tell_of_nodes_that_have_names() {
        let prefix =
            |namespace: &str, node: &str| Names::new(namespace.to_owned(), node.to_owned(), Vec::new()).id_prefix();
        assert_eq!(prefix("/", "face_attributes"), "");
        assert_eq!(prefix("/robot/head", "face_attributes"), "robot_head_");
        assert_eq!(prefix("/robot", "people"), "robot_people_");
        assert_eq!(prefix("/_a", "_b"), "a__b_");
    }

    #[test]
    fn siblings_share_the_namespace() {
        assert_eq!(sibling("/head/camera/image_raw", "camera_info"), "/head/camera/camera_info");
        assert_eq!(sibling("/image", "camera_info"), "/camera_info");
    }
}
