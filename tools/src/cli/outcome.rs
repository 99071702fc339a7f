//! How a command ended that could begin its work.

/// Decides the exit status.
pub enum Outcome {
    /// All inputs were processed.
    Done,
    /// An input failed; the others were processed.
    AnInputFailed,
}
