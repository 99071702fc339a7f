//! rten as one of the programs that `benches/peers/run` measures side by side: one pass through a network.
//!
//! It reads one JSON object per line from standard input and answers with one, see benches/peers/README.md.

use std::fs;
use std::io::{BufRead, Write, stdin, stdout};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use cpu_time::ProcessTime;
use rten::{Model, RunOptions, ThreadPool};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;
use serde::Deserialize;
use serde_json::json;

/// One line of standard input.
#[derive(Deserialize)]
struct Request {
    /// File of the network's input: 32-bit numbers, channel by channel and row by row.
    values: PathBuf,
    /// Samples, channels, height and width.
    shape: [usize; 4],
    /// Number of passes.
    runs: usize,
    /// Where the outputs go, as 32-bit numbers.
    outputs: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let [_, file] = &std::env::args().collect::<Vec<_>>()[..] else { bail!("usage: peer_worker_rten NETWORK") };
    let network = Model::load_file(file).with_context(|| format!("rten refuses {file}"))?;
    let options = RunOptions::default().with_thread_pool(Some(ThreadPool::with_num_threads(1).into()));
    println!("{}", json!({ "ready": true }));
    for line in stdin().lock().lines() {
        answer(&network, &options, &serde_json::from_str(&line?)?)?;
        stdout().flush()?;
    }
    Ok(())
}

fn answer(network: &Model, options: &RunOptions, request: &Request) -> anyhow::Result<()> {
    let bytes = fs::read(&request.values).with_context(|| format!("cannot read {}", request.values.display()))?;
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
    ensure!(values.len() == request.shape.iter().product::<usize>(), "{} values", values.len());
    let input = NdTensor::from_data(request.shape, values);
    let [input_id] = network.input_ids() else { bail!("the network has {} inputs", network.input_ids().len()) };
    let (mut wall_ms, mut cpu_ms) = (Vec::new(), Vec::new());
    let mut outputs = Vec::new();
    for _ in 0..request.runs {
        let (wall, cpu) = (Instant::now(), ProcessTime::now());
        outputs = network.run(vec![(*input_id, input.view().into())], network.output_ids(), Some(options.clone()))?;
        cpu_ms.push(1e3 * cpu.elapsed().as_secs_f64());
        wall_ms.push(1e3 * wall.elapsed().as_secs_f64());
    }
    let mut file = Vec::new();
    for output in outputs {
        let output: rten_tensor::Tensor<f32> =
            output.try_into().map_err(|_| anyhow::anyhow!("an output is not of f32"))?;
        file.extend(output.iter().flat_map(|value| value.to_le_bytes()));
    }
    fs::write(&request.outputs, file).with_context(|| format!("cannot write {}", request.outputs.display()))?;
    println!("{}", json!({ "wall_ms": wall_ms, "cpu_ms": cpu_ms, "faces": [] }));
    Ok(())
}
