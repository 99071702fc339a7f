//! What an answer rests on, by hiding parts of the face (Zeiler and Fergus 2014, section 4.2).
//!
//! [`mask`] hides a named part or draws glasses, [`figures`] says how much the answers change, and [`map`] slides a window
//! over the picture to see where the answer is most sensitive.

pub mod figures;
pub mod map;
pub mod mask;
