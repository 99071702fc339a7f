use tract_onnx::prelude::*;

use super::*;

const EMOTION: &[u8] = include_bytes!("../../../models/emotion_mini_xception.onnx");
const GENDER: &[u8] = include_bytes!("../../../models/gender_mini_xception.onnx");
const TEACHER: &[u8] = include_bytes!("../../../training/teachers/emotion_residual_cnn_sharpened.onnx");
const CENTERFACE: &[u8] = include_bytes!("../../../models/search/centerface.onnx");

fn proto(bytes: &[u8]) -> ModelProto {
    tract_onnx::onnx().proto_model_for_read(&mut &*bytes).unwrap()
}

/// Numbers in `range` without a pattern, always the same for a `seed`.
pub fn numbers(seed: u64, count: usize, range: [f32; 2]) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    (0..count).map(|_| range[0] + next() * (range[1] - range[0])).collect()
}

struct Reference(Arc<TypedRunnableModel>);

impl Reference {
    fn new(proto: &ModelProto, [channels, height, width]: [usize; 3]) -> Self {
        let onnx = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
        let model = onnx.model_for_proto_model(proto).unwrap();
        let model = model.with_input_fact(0, f32::fact([1, channels, height, width]).into()).unwrap();
        Self(model.into_optimized().unwrap().into_runnable().unwrap())
    }

    fn run(&self, [channels, height, width]: [usize; 3], picture: &[f32]) -> Vec<Vec<f32>> {
        let tensor = Tensor::from_shape(&[1, channels, height, width], picture).unwrap();
        let outputs = self.0.run(tvec!(tensor.into())).unwrap();
        outputs.iter().map(|output| output.to_plain_array_view::<f32>().unwrap().iter().copied().collect()).collect()
    }
}

fn run(kernels: &Arc<Kernels>, [channels, height, width]: [usize; 3], picture: &[f32]) -> Vec<Vec<f32>> {
    let write = |row: usize, line: &mut [f32]| {
        for (position, value) in line.iter_mut().enumerate() {
            let (column, channel) = (position / channels, position % channels);
            *value = picture[(channel * height + row) * width + column];
        }
    };
    kernels.begin(write).finish().to_vec()
}

/// The largest difference over the largest value, or over 1.
fn difference(expected: &[Vec<f32>], got: &[Vec<f32>]) -> f32 {
    assert_eq!(expected.len(), got.len());
    let of_output = |(expected, got): (&Vec<f32>, &Vec<f32>)| {
        assert_eq!(expected.len(), got.len());
        let scale = expected.iter().fold(1.0_f32, |scale, value| scale.max(value.abs()));
        expected.iter().zip(got).map(|(expected, got)| (expected - got).abs() / scale).fold(0.0, f32::max)
    };
    expected.iter().zip(got).map(of_output).fold(0.0, f32::max)
}

fn check(bytes: &[u8], input: [usize; 3], range: [f32; 2], pictures: u64) {
    check_proto(&proto(bytes), input, range, pictures);
}

pub fn check_proto(proto: &ModelProto, input: [usize; 3], range: [f32; 2], pictures: u64) {
    let reference = Reference::new(proto, input);
    for isa in Isa::available() {
        let kernels = Arc::new(Kernels::translate_for(proto, input, range, isa).unwrap());
        for seed in 0..pictures {
            let picture = numbers(seed, input.iter().product(), range);
            let difference = difference(&reference.run(input, &picture), &run(&kernels, input, &picture));
            assert!(difference <= 1e-5, "{isa:?}, picture {seed}: {difference}");
        }
    }
}

#[test]
fn the_classifiers_agree_with_tract_under_each_instruction_set() {
    for bytes in [EMOTION, GENDER] {
        check(bytes, [1, 64, 64], [-1.0, 1.0], 20);
    }
}

#[test]
fn the_residual_teacher_agrees_with_tract_under_each_instruction_set() {
    check(TEACHER, [1, 48, 48], [-1.0, 1.0], 3);
}

#[test]
fn the_search_network_agrees_with_tract_under_each_instruction_set() {
    for size in [[3, 64, 96], [3, 160, 128]] {
        check(CENTERFACE, size, [0.0, 255.0], 2);
    }
    // The picture of a camera's image.
    check(CENTERFACE, [3, 384, 512], [0.0, 255.0], 1);
}

#[test]
fn the_memory_of_a_run_that_panicked_is_not_used_again() {
    let kernels = Kernels::translate(&proto(EMOTION), [1, 64, 64], [-1.0, 1.0]).unwrap();
    let answer = || kernels.begin(|_, line| line.fill(0.5)).finish().to_vec();
    let expected = answer();
    let mut broken = kernels.begin(|_, line| line.fill(0.5));
    broken.arena = Arena::default();
    assert!(catch_panic(|| broken.advance(1.0)).is_err());
    drop(broken);
    assert_eq!(answer(), expected);
}

/// `cargo test --release -p face_attributes --lib -- --ignored --nocapture cost_of_each_step`
#[test]
#[ignore = "a measurement"]
fn cost_of_each_step() {
    let cases = [
        (EMOTION, [1, 64, 64], [-1.0, 1.0]),
        (GENDER, [1, 64, 64], [-1.0, 1.0]),
        (CENTERFACE, [3, 256, 320], [0.0, 255.0]),
    ];
    for (bytes, input, range) in cases {
        for isa in Isa::available() {
            let kernels = Arc::new(Kernels::translate_for(&proto(bytes), input, range, isa).unwrap());
            let mut least = vec![u128::MAX; 200];
            let runs = 40_000_000 / input.iter().product::<usize>() / 4 / if isa == Isa::fastest() { 1 } else { 8 };
            for _ in 0..runs {
                let mut progress = kernels.begin(|_, line| line.fill(0.5));
                let mut times = vec![0; 200];
                let mut task = 0;
                while let Some(step) = kernels.plan.step_of(task) {
                    let begin = std::time::Instant::now();
                    kernels.plan.run_task(task, &mut progress.arena);
                    times[step] += begin.elapsed().as_nanos();
                    task += 1;
                }
                for (least, time) in least.iter_mut().zip(times) {
                    *least = time.min(*least);
                }
            }
            least.retain(|time| *time > 0);
            let whole = (0..runs).map(|_| {
                let begin = std::time::Instant::now();
                kernels.begin(|_, line| line.fill(0.5)).finish();
                begin.elapsed().as_nanos()
            });
            let (whole, steps) = (whole.min().unwrap_or_default() / 1000, least.iter().sum::<u128>() / 1000);
            println!("{input:?} {isa:?}: {whole} us, its steps {steps} us");
            for (step, time) in least.iter().enumerate() {
                println!("  {step}: {:.1} us {}", *time as f64 / 1000.0, kernels.plan.describe(step, *time as f64));
            }
        }
    }
}
