//! Which parts of the face an answer depends on, by hiding them (Zeiler and Fergus 2014, section 4.2).
//!
//! [`mask`] hides a named part or draws glasses. [`figures`] computes how much the answers change. [`map`] slides a window over
//! the picture to find where the answer is most sensitive.

pub mod figures;
mod lens;
pub mod map;
pub mod mask;
