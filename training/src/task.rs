//! What a network decides.

use clap::ValueEnum;

/// What a network decides, and with it the meaning of its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// One of the seven emotions of FER-2013.
    Emotion,
    /// Apparent gender.
    Gender,
}

impl Task {
    /// Name, as written into a model file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Emotion => "emotion",
            Self::Gender => "gender",
        }
    }

    /// Labels in the order of the network's outputs, which is that of the authors' released
    /// networks.
    pub fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Emotion => &["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"],
            Self::Gender => &["woman", "man"],
        }
    }
}
