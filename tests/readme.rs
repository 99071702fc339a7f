//! The README tells of the parameters what the code does.

use face_attributes::parameters::{Definition, Mutability, Parameters, TABLE};

fn row(definition: &Definition) -> String {
    let Definition { name, description, mutability, .. } = definition;
    let kind = definition.kind();
    let range = match definition.range() {
        Some((min, max)) => format!("{min} to {max}"),
        None => definition.choices().join(", "),
    };
    let default = definition.get(&Parameters::default()).to_string().replace('"', "");
    let when = match mutability {
        Mutability::Live => "",
        Mutability::AtConfigure => " While not active.",
        Mutability::ReadOnly => " Read only.",
    };
    format!("| `{name}` | {kind} | {default} | {range} | {description}{when} |")
}

#[test]
fn the_table_of_parameters_is_complete_and_true() {
    let readme = include_str!("../README.md");
    let rows: Vec<_> = TABLE.iter().map(row).collect();
    assert!(readme.contains(&rows.join("\n")), "README.md should have these rows:\n{}", rows.join("\n"));
}

#[test]
fn no_figure_is_missing() {
    for document in [include_str!("../README.md"), include_str!("../models/README.md")] {
        assert!(!document.contains("FIGURE"), "a figure has a placeholder");
    }
}
