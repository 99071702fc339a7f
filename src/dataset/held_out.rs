//! Which pictures a training does not learn from.

use std::path::Path;

use sha2::{Digest, Sha256};

/// Whether a picture is among the share `fraction` (0 to 1) of all that a training keeps from learning.
///
/// The name of its file, or of its row in a table, decides alone: so it is the same in every training, on every machine, and
/// whatever is added to the data.
pub fn is_held_out(path: &Path, fraction: f64) -> bool {
    let name = path.file_name().unwrap_or_default();
    let digest = Sha256::digest(name.as_encoded_bytes());
    let first = digest.iter().take(4).fold(0, |number, byte| number << 8 | u64::from(*byte));
    (first as f64) < fraction * (1_u64 << 32) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_alone_decides() {
        let held_out = |path: &str| is_held_out(Path::new(path), 0.3);
        let count = (0..1000).filter(|number| held_out(&format!("{number}.png"))).count();
        assert!((250..350).contains(&count), "{count}");
        assert!((0..100).all(|number| held_out(&format!("a/{number}.png")) == held_out(&format!("b/c/{number}.png"))));
    }

    #[test]
    fn a_smaller_share_is_part_of_a_larger_one() {
        let held_out = |number: i32, fraction| is_held_out(Path::new(&format!("{number}.png")), fraction);
        assert!((0..1000).all(|number| held_out(number, 0.3) || !held_out(number, 0.1)));
        assert!((0..1000).all(|number| held_out(number, 1.0) && !held_out(number, 0.0)));
    }
}
