//! The command line: the robot's pipeline on files, for people without a robot and for measuring.

mod detect;
mod evaluate;
mod explain;
mod hold;
mod occlude;
mod outcome;
mod progress;
mod selection;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use outcome::Outcome;

/// Finds faces and classifies their emotion and apparent gender.
#[derive(Parser)]
#[command(version, after_help = "Exit status: 0 done; 1 an input failed, the others were done; 2 wrong usage.")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Detect(detect::Args),
    Evaluate(evaluate::Args),
    Explain(explain::Args),
    Hold(hold::Args),
    Occlude(occlude::Args),
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let result = match Args::parse().command {
        Command::Detect(args) => detect::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Hold(args) => hold::run(&args),
        Command::Occlude(args) => occlude::run(&args),
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::AnInputFailed) => ExitCode::from(1),
        // Whoever reads the output has seen enough, as `head` does.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
