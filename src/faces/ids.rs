//! Ids of faces.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Identifies a face while it is tracked. Among the ids of one [`FaceIds`], none is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FaceId {
    source: Source,
    number: u64,
}

/// Where a face was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    /// In the frames of a camera, which count from 0.
    Camera(u16),
    /// In a still picture.
    Still,
}

impl fmt::Display for FaceId {
    /// Begins with a letter, as REP-155 requires. Ids of the first camera have no prefix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, number } = self;
        match source {
            Source::Camera(0) => write!(f, "face{number}"),
            Source::Camera(camera) => write!(f, "camera{}_face{number}", u32::from(*camera) + 1),
            Source::Still => write!(f, "still_face{number}"),
        }
    }
}

/// The ids of one camera or of still pictures. Clones count on together, so that a camera that is started again uses none twice.
#[derive(Debug, Clone)]
pub struct FaceIds {
    source: Source,
    last: Arc<AtomicU64>,
}

impl FaceIds {
    /// `camera` counts from 0 and makes the ids of several cameras differ.
    pub fn of_camera(camera: u16) -> Self {
        Self { source: Source::Camera(camera), last: Arc::default() }
    }

    /// For the faces of single pictures that no camera of a node delivers one after the other.
    pub fn of_stills() -> Self {
        Self { source: Source::Still, last: Arc::default() }
    }

    /// An id that was not used before.
    pub fn next_id(&self) -> FaceId {
        FaceId { source: self.source, number: self.last.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}
