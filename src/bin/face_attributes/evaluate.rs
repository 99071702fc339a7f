//! x
use crate::Outcome;
#[derive(clap::Args)]
pub struct Args {}
pub fn run(_args: &Args) -> anyhow::Result<Outcome> {
    Ok(Outcome::Done)
}
