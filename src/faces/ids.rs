//! Ids of faces.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Identifies a face while it is tracked. Among the ids of one [`FaceIds`], none is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FaceId {
    camera: u16,
    number: u64,
}

impl fmt::Display for FaceId {
    /// Begins with a letter, as REP-155 requires. Ids of the first camera have no prefix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { camera, number } = self;
        match camera {
            0 => write!(f, "face{number}"),
            camera => write!(f, "camera{}_face{number}", u32::from(*camera) + 1),
        }
    }
}

/// The ids of one camera. Clones count on together, so that a camera that is started again uses none twice.
#[derive(Debug, Clone)]
pub struct FaceIds {
    camera: u16,
    last: Arc<AtomicU64>,
}

impl FaceIds {
    /// `camera` counts from 0 and makes the ids of several cameras differ.
    pub fn of_camera(camera: u16) -> Self {
        Self { camera, last: Arc::default() }
    }

    /// An id that was not used before.
    pub fn next_id(&self) -> FaceId {
        FaceId { camera: self.camera, number: self.last.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}
