//! Random numbers that do not depend on earlier draws, so that a training can be resumed at any epoch.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The purpose of random numbers.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// The augmentation of the image at a position.
    Image(u32),
    /// The order of an epoch.
    Order,
    /// The dropout of a batch.
    Dropout(u32),
    /// The views of the image at a position for the teachers. The views of one image are numbered like epochs.
    Teachers(u32),
    /// The glasses on the image at a position.
    Glasses(u32),
    /// The faults of the camera in the image at a position.
    Camera(u32),
}

/// The numbers for a purpose in an epoch.
pub fn numbers(seed: u64, epoch: u32, purpose: Purpose) -> ChaCha8Rng {
    let (kind, index) = match purpose {
        Purpose::Image(index) => (0, index),
        Purpose::Order => (1 << 62, 0),
        Purpose::Dropout(index) => (2 << 62, index),
        Purpose::Teachers(index) => (3 << 62, index),
        Purpose::Glasses(index) => (1 << 61, index),
        Purpose::Camera(index) => (3 << 61, index),
    };
    // The stream is ChaCha's nonce and the seed is its key, so no two purposes share numbers.
    let mut numbers = ChaCha8Rng::seed_from_u64(seed ^ kind);
    numbers.set_stream(u64::from(epoch) << 32 | u64::from(index));
    numbers
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::RngCore;

    use super::*;

    #[test]
    fn every_purpose_has_its_numbers() {
        let first = |seed, epoch, purpose| numbers(seed, epoch, purpose).next_u64();
        let purposes = [
            Purpose::Image(0),
            Purpose::Image(1),
            Purpose::Order,
            Purpose::Dropout(0),
            Purpose::Teachers(0),
            Purpose::Teachers(1),
            Purpose::Glasses(0),
            Purpose::Camera(0),
        ];
        let all: HashSet<_> = (0..3)
            .flat_map(|seed| (0..3).map(move |epoch| (seed, epoch)))
            .flat_map(|(seed, epoch)| purposes.map(|purpose| first(seed, epoch, purpose)))
            .collect();
        assert_eq!(all.len(), 3 * 3 * purposes.len());
        assert_eq!(first(1, 2, Purpose::Image(3)), first(1, 2, Purpose::Image(3)));
    }
}
