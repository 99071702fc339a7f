//! Random networks whose maps exceed the cache, so that their steps run band by band: odd sizes, strides and pads.

use std::ops::Range;

use super::made_tests::Made;
use super::tests::{check_proto, numbers};
use super::*;

const SEEDS: Range<u64> = 0..60;
const RANGE: [f32; 2] = [-1.0, 1.0];

/// Whole numbers without a pattern, always the same for a seed.
struct Choice(std::vec::IntoIter<f32>);

impl Choice {
    fn new(seed: u64) -> Self {
        Self(numbers(seed, 1000, [0.0, 1.0]).into_iter())
    }

    /// One of the values.
    fn of(&mut self, values: &[i64]) -> i64 {
        let share = self.0.next().unwrap();
        values[(f64::from(share) * values.len() as f64) as usize]
    }

    /// Whether something is so in this share of cases.
    fn is(&mut self, share: f32) -> bool {
        self.0.next().unwrap() < share
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Map {
    name: String,
    channels: usize,
    size: [i64; 2],
}

struct Windows {
    kernel: [i64; 2],
    strides: [i64; 2],
    pads: [i64; 4],
    /// Height and width of what they give.
    given: [i64; 2],
}

/// A network that grows.
struct Random {
    made: Made,
    choice: Choice,
    maps: Vec<Map>,
    count: usize,
}

impl Random {
    fn new(seed: u64) -> (Self, [usize; 3]) {
        let mut choice = Choice::new(seed);
        let input = [choice.of(&[1, 3]), choice.of(&[61, 75, 96, 100, 120]), choice.of(&[37, 64, 83, 98, 110])];
        let [channels, height, width] = input;
        let maps = vec![Map { name: "image".to_owned(), channels: channels as usize, size: [height, width] }];
        let input = input.map(|size| size as usize);
        (Self { made: Made::new(input, &[]), choice, maps, count: 0 }, input)
    }

    fn name(&mut self) -> String {
        self.count += 1;
        format!("{}", self.count)
    }

    /// Random windows, if they fit a map of this size.
    fn window(&mut self, size: [i64; 2], kernels: &[i64]) -> Option<Windows> {
        let kernel = [self.choice.of(kernels), self.choice.of(kernels)];
        let kernel = if self.choice.is(0.6) { [kernel[0]; 2] } else { kernel };
        let mut strides = [1; 2];
        if self.choice.is(0.4) {
            strides = [self.choice.of(&[1, 2, 3]), self.choice.of(&[1, 2, 3])];
        }
        let pad = |choice: &mut Choice, kernel: i64| choice.of(&(0..kernel).collect::<Vec<_>>());
        let mut pads = [0, 1, 2, 3].map(|side| pad(&mut self.choice, kernel[side % 2]));
        if self.choice.is(0.6) {
            pads = [kernel[0] / 2, kernel[1] / 2, kernel[0] / 2, kernel[1] / 2];
        }
        let given = [0, 1].map(|axis| (size[axis] + pads[axis] + pads[axis + 2] - kernel[axis]) / strides[axis] + 1);
        let fits = (0..2).all(|axis| size[axis] + pads[axis] + pads[axis + 2] >= kernel[axis] && given[axis] > 3);
        fits.then_some(Windows { kernel, strides, pads, given })
    }

    fn push(&mut self, name: &str, channels: usize, size: [i64; 2]) {
        self.maps.push(Map { name: name.to_owned(), channels, size });
    }

    fn convolution(&mut self, input: &Map, is_depthwise: bool) {
        let Some(Windows { kernel, strides, pads, given }) = self.window(input.size, &[1, 2, 3, 3, 3, 5]) else {
            return;
        };
        let outputs = if is_depthwise { input.channels } else { self.choice.of(&[5, 8, 24, 33, 64]) as usize };
        let inputs = if is_depthwise { 1 } else { input.channels };
        let (name, weights) = (self.name(), self.name());
        let most = (3.0 / (inputs as i64 * kernel[0] * kernel[1]) as f32).sqrt();
        let shape = [outputs, inputs, kernel[0] as usize, kernel[1] as usize];
        let group = if is_depthwise { outputs as i64 } else { 1 };
        let attributes: &[(&str, &[i64])] = &[("strides", &strides), ("pads", &pads), ("group", &[group])];
        self.made.weights(&weights, &shape, [-most, most]).weights(&format!("{weights}.bias"), &[outputs], [-0.5, 0.5]);
        self.made.node("Conv", &[&input.name, &weights, &format!("{weights}.bias")], &name, attributes);
        self.push(&name, outputs, given);
    }

    fn pool(&mut self, input: &Map) {
        let Some(Windows { kernel, strides, pads, given }) = self.window(input.size, &[2, 3, 3]) else { return };
        let op = if self.choice.is(0.8) { "MaxPool" } else { "AveragePool" };
        let name = self.name();
        let attributes: &[(&str, &[i64])] = &[("strides", &strides), ("pads", &pads), ("kernel_shape", &kernel)];
        self.made.node(op, &[&input.name], &name, attributes);
        self.push(&name, input.channels, given);
    }

    fn relu(&mut self, input: &Map) {
        let name = self.name();
        self.made.node("Relu", &[&input.name], &name, &[]);
        self.push(&name, input.channels, input.size);
    }

    /// Adds an earlier map of the same shape, where there is one.
    fn sum(&mut self, input: &Map) {
        let earlier = self
            .maps
            .iter()
            .rev()
            .skip(1)
            .find(|map| map.name != "image" && (map.channels, map.size) == (input.channels, input.size));
        let Some(earlier) = earlier.cloned() else { return };
        let name = self.name();
        self.made.node("Add", &[&input.name, &earlier.name], &name, &[]);
        self.push(&name, input.channels, input.size);
    }

    fn transposed(&mut self, input: &Map) {
        let block = [self.choice.of(&[1, 2]), self.choice.of(&[1, 2])];
        let outputs = self.choice.of(&[5, 24]) as usize;
        let (name, weights) = (self.name(), self.name());
        let most = (3.0 / input.channels as f32).sqrt();
        self.made.weights(&weights, &[input.channels, outputs, block[0] as usize, block[1] as usize], [-most, most]);
        self.made.node("ConvTranspose", &[&input.name, &weights], &name, &[("strides", &block)]);
        self.push(&name, outputs, [input.size[0] * block[0], input.size[1] * block[1]]);
    }

    /// Halves a map of even sides, doubles it again, and adds the map.
    fn pyramid(&mut self, input: &Map) {
        let (channels, [height, width]) = (input.channels, input.size);
        if height % 2 + width % 2 > 0 {
            return;
        }
        let [half, name, weights] = [0; 3].map(|_| self.name());
        let pool: &[(&str, &[i64])] = &[("strides", &[2, 2]), ("kernel_shape", &[2, 2])];
        let most = (3.0 / channels as f32).sqrt();
        self.made
            .node("MaxPool", &[&input.name], &half, pool)
            .weights(&weights, &[channels, channels, 2, 2], [-most, most])
            .node("ConvTranspose", &[&half, &weights], &name, &[("strides", &[2, 2])]);
        self.push(&name, channels, input.size);
        self.sum(&Map { name, ..input.clone() });
    }

    fn grow(&mut self) {
        // Mostly a chain, sometimes a branch.
        let back = if self.choice.is(0.8) { 1 } else { self.choice.of(&[2, 3]) as usize };
        let from = self.maps.len().saturating_sub(back).max(usize::from(self.maps.len() > 1));
        let input = self.maps[from].clone();
        if from == 0 {
            return self.convolution(&input, false);
        }
        match self.choice.of(&[0, 0, 0, 1, 1, 1, 2, 3, 3, 4, 5, 6]) {
            0 => self.convolution(&input, false),
            1 => self.convolution(&input, true),
            2 => self.pool(&input),
            3 => self.relu(&input),
            4 => self.sum(&input),
            5 => self.pyramid(&input),
            _ => self.transposed(&input),
        }
    }
}

/// Whether some step runs in several bands.
fn is_in_bands(model: &ModelProto, input: [usize; 3]) -> bool {
    let kernels = Kernels::translate_for(model, input, RANGE, Isa::fastest()).unwrap();
    let mut steps: Vec<_> = (0..).map_while(|task| kernels.plan.step_of(task)).collect();
    let tasks = steps.len();
    steps.sort();
    steps.dedup();
    tasks > steps.len()
}

#[test]
fn random_networks_agree_with_tract_under_each_instruction_set() {
    let mut in_bands = 0;
    for seed in SEEDS {
        let (mut random, input) = Random::new(seed);
        for _ in 0..random.choice.of(&[3, 6, 9]) {
            random.grow();
        }
        let [_, .., before, last] = &random.maps[..] else { continue };
        let outputs = [(before.name.clone(), "early"), (last.name.clone(), "result")];
        for (name, output) in outputs.iter().skip(usize::from(seed % 3 != 0)) {
            random.made.node("Identity", &[name], output, &[]).output(output);
        }
        let model = random.made.model();
        // Shown where the test fails.
        println!("seed {seed}: {input:?}, the last maps {:?}", random.maps);
        in_bands += usize::from(is_in_bands(&model, input));
        check_proto(&model, input, RANGE, 1);
    }
    assert!(in_bands > SEEDS.end as usize / 4, "{in_bands}");
}
