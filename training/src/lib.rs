//! The architectures that the trainer builds: the paper's networks and their teacher, as tables of layers.

pub mod architecture;
