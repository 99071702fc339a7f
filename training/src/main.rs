//! Trains, evaluates, imports and exports the networks of `face_attributes`.

mod augment;
mod camera;
mod cross_validate;
mod data;
mod dead_filters;
mod evaluate;
mod export;
mod glasses;
mod import;
mod model_file;
mod network;
mod onnx_encoding;
mod onnx_export;
mod progress;
mod random;
mod recipe;
mod train;
mod weights;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

/// Feature maps are megabytes. The system's allocator returns each one to the kernel, which fills new pages the next time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
    /// Trains a network.
    Train(train::Arguments),
    /// Measures the model of a training on the images that it did not learn from.
    Evaluate(evaluate::Arguments),
    /// Measures a recipe on all images: trains several networks, each without a part of the images, and measures it on that
    /// part.
    CrossValidate(cross_validate::Arguments),
    /// Writes an ONNX file for the robot.
    Export(export::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Import(arguments) => import::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::CrossValidate(arguments) => cross_validate::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
    }
}
