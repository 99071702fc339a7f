//! CPU time of one pass through each network, in the kernels and in tract alone, measured alternately in one run:
//! `cargo run --release -p face_attributes_tools --example network_cost`.

use std::time::Duration;

use cpu_time::ThreadTime;
use face_attributes::attributes::{BuiltIn, Emotion, Gender};
use face_attributes::faces::SearchNetwork;
use face_attributes::network::Model;
use opencv::core::{CV_8UC3, Mat, Scalar, randu};
use tract_onnx::prelude::*;

fn main() -> anyhow::Result<()> {
    classifier::<Emotion>()?;
    classifier::<Gender>()?;
    for (width, height) in [(320, 256), (480, 352), (640, 480)] {
        search(width, height)?;
    }
    Ok(())
}

fn classifier<A: BuiltIn>() -> anyhow::Result<()> {
    let model = Model::from_bytes(&format!("built-in {}", A::TASK), A::MODEL, &A::outputs())?;
    let size = model.input_size();
    let pixels: Vec<u8> = (0..size.area()).map(|pixel| (pixel * pixel % 251) as u8).collect();
    let tract = tract(A::MODEL, [1, size.height as usize, size.width as usize])?;
    compare(A::TASK, 2000, tract, || Ok(model.run(&pixels).map(drop)?))
}

fn search(width: i32, height: i32) -> anyhow::Result<()> {
    let mut picture = Mat::new_rows_cols_with_default(height, width, CV_8UC3, Scalar::default())?;
    randu(&mut picture, &Scalar::all(0.0), &Scalar::all(255.0))?;
    let mut network = SearchNetwork::load(None)?;
    let file = include_bytes!("../../models/search/centerface.onnx");
    let tract = tract(file, [3, height as usize, width as usize])?;
    compare(&format!("search {width}x{height}"), 40, tract, || Ok(network.search(&picture, width, 0.5).map(drop)?))
}

/// A pass in tract alone.
fn tract(file: &[u8], [channels, height, width]: [usize; 3]) -> anyhow::Result<impl FnMut() -> anyhow::Result<()>> {
    let network = tract_onnx::onnx()
        .with_ignore_output_shapes(true)
        .with_ignore_value_info(true)
        .model_for_read(&mut &*file)?
        .with_input_fact(0, f32::fact([1, channels, height, width]).into())?
        .into_optimized()?
        .into_runnable()?;
    let input = Tensor::zero::<f32>(&[1, channels, height, width])?;
    Ok(move || network.run(tvec!(input.clone().into())).map(drop))
}

fn compare(
    name: &str,
    runs: usize,
    mut tract: impl FnMut() -> anyhow::Result<()>,
    mut kernels: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (mut in_tract, mut in_kernels) = (Vec::with_capacity(runs), Vec::with_capacity(runs));
    for _ in 0..runs {
        in_tract.push(cpu_time(&mut tract)?);
        in_kernels.push(cpu_time(&mut kernels)?);
    }
    in_tract.sort();
    in_kernels.sort();
    for (what, position) in [("minimum", 0), ("median", runs / 2)] {
        let (tract, kernels) = (in_tract[position], in_kernels[position]);
        let ratio = tract.as_secs_f64() / kernels.as_secs_f64();
        println!("{name}, {what}: tract {tract:.2?}, kernels {kernels:.2?}, {ratio:.1} times as fast");
    }
    Ok(())
}

fn cpu_time(work: &mut impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let start = ThreadTime::now();
    work()?;
    Ok(start.elapsed())
}
