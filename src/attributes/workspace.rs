//! Pictures of one face, which are written anew for each face.

use opencv::core::Mat;

/// Memory for the pictures of one face. It is kept from face to face: in the steady state, none is allocated.
#[derive(Debug, Default)]
pub struct Workspace {
    /// The network's picture.
    pub(super) crop: Mat,
    /// The same with left and right exchanged.
    pub(super) mirrored: Mat,
    /// The part of the image that a crop shows, where it is turned or continued.
    pub(super) part: Mat,
    /// The face in a fixed size.
    pub(super) small: Mat,
    /// A filter's result on it.
    pub(super) filtered: Mat,
}

#[cfg(test)]
impl Workspace {
    /// Where the pictures are in memory.
    pub fn addresses(&self) -> impl Iterator<Item = *const u8> {
        use opencv::prelude::*;

        [&self.crop, &self.mirrored, &self.part, &self.small, &self.filtered].into_iter().map(|mat| mat.data())
    }
}
