//! Trains, imports and exports the networks of `face_attributes`.

mod export;
mod import;
mod model_file;
mod onnx_export;
mod task;
mod weights;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Converts released weights of mini-Xception to an ONNX file for the robot.
    Import(import::Arguments),
    /// Writes an ONNX file for the robot.
    Export(export::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Import(arguments) => import::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
    }
}
