//! The architectures that the trainer builds: the paper's networks and one that teaches them, as tables of layers.

pub mod architecture;
