//! CPU time of an explanation in forward passes, both measured alternately in one run, for each built-in network and method:
//! `cargo run --release -p face_attributes_tools --example saliency_cost`.

use std::time::Duration;

use cpu_time::ThreadTime;
use face_attributes::attributes::BuiltIn;
use face_attributes::attributes::{Emotion, Gender};
use face_attributes::network::Model;
use face_attributes::saliency::{Explainer, Method, Neuron};

/// How often each is run; the least disturbed run counts.
const RUNS: usize = 200;

fn main() -> anyhow::Result<()> {
    measure::<Emotion>()?;
    measure::<Gender>()
}

fn measure<A: BuiltIn>() -> anyhow::Result<()> {
    let model = Model::from_bytes(&format!("built-in {}", A::TASK), A::MODEL, &A::outputs())?;
    let pixels: Vec<u8> = (0..model.input_size().area()).map(|pixel| (pixel * pixel % 251) as u8).collect();
    for method in [Method::Guided, Method::Gradient, Method::GradCam] {
        let explainer = Explainer::of_classes(&model, method)?;
        let (mut forward, mut explained) = (Duration::MAX, Duration::MAX);
        for _ in 0..RUNS {
            forward = forward.min(cpu_time(|| model.run(&pixels).map(drop))?);
            explained = explained.min(cpu_time(|| explainer.explain(&pixels, Neuron::class(0)).map(drop))?);
        }
        let ratio = explained.as_secs_f64() / forward.as_secs_f64();
        let task = A::TASK;
        println!("{task}: forward pass {forward:.2?}, {method:?} {explained:.2?}, ratio {ratio:.2}");
    }
    Ok(())
}

fn cpu_time<E>(work: impl FnOnce() -> Result<(), E>) -> Result<Duration, E> {
    let start = ThreadTime::now();
    work()?;
    Ok(start.elapsed())
}
