//! The gradients for which tract has no operator, as one operator.
//!
//! Each takes two tensors. The first is the input of the forward operator, or its output: see [`LocalGradient`]. The
//! second is the gradient with respect to its output. The result is the gradient with respect to its input. All are
//! float32, with a batch of one.

use std::ops::Range;

use tract_onnx::tract_hir::internal::*;

use super::window::Window;

/// Which operator's gradient is computed, and by which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LocalGradient {
    /// `g * (x > 0)`, where `x` is the input or the output of the rectifier.
    Relu,
    /// `g * (x > 0) * (g > 0)`: guided back-propagation (Springenberg et al. 2015, "Striving for Simplicity").
    GuidedRelu,
    /// The gradient of a window goes to its first largest element. Takes the input of the pool. Padding is never the
    /// largest.
    MaxPool(Window),
    /// The gradient of a window is shared equally by its elements, without the padding. Takes the input of the pool.
    AveragePool(Window),
    /// The gradient of a channel is shared equally by its rows and columns. Takes the input of the mean.
    SpatialMean,
    /// Of a softmax over all elements. Takes its output.
    Softmax,
    /// Of an operator that keeps each `stride`-th row and column of `rows` x `columns`. Puts zeros between the
    /// elements. Takes the gradient only.
    Stride {
        /// Step from one kept row or column to the next.
        stride: usize,
        /// Rows of the result.
        rows: usize,
        /// Columns of the result.
        columns: usize,
    },
}

impl Op for LocalGradient {
    fn name(&self) -> StaticName {
        "LocalGradient".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{self:?}")])
    }

    op_as_typed_op!();
}

impl EvalOp for LocalGradient {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (Some(forward), Some(gradient)) = (inputs.first(), inputs.last()) else { bail!("no inputs") };
        let mut result = Tensor::zero::<f32>(&self.result_shape(forward.shape()))?;
        let (x, g) = (forward.try_as_plain_ram()?, gradient.try_as_plain_ram()?);
        let (x, g) = (x.as_slice::<f32>()?, g.as_slice::<f32>()?);
        let mut plain_result = result.try_as_plain_ram_mut()?;
        let out = plain_result.as_slice_mut::<f32>()?;
        let maps = || Maps::new(&self.result_shape(forward.shape()), gradient.shape());
        match *self {
            Self::Relu => rectify(x, g, out, |_| true),
            Self::GuidedRelu => rectify(x, g, out, |g| g > 0.0),
            Self::MaxPool(window) => maps()?.max_pool(window, x, g, out),
            Self::AveragePool(window) => maps()?.average_pool(window, g, out),
            Self::SpatialMean => spatial_mean(g, out),
            Self::Softmax => softmax(x, g, out),
            Self::Stride { stride, .. } => maps()?.spread(stride, g, out),
        }
        Ok(tvec!(result.into_tvalue()))
    }
}

impl TypedOp for LocalGradient {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let shape = inputs[0].shape.as_concrete().context("a shape is not fixed")?;
        Ok(tvec!(f32::fact(self.result_shape(shape))))
    }

    as_op!();
}

impl LocalGradient {
    fn result_shape(&self, forward: &[usize]) -> TVec<usize> {
        match (*self, forward) {
            (Self::Stride { rows, columns, .. }, &[batch, channels, ..]) => tvec!(batch, channels, rows, columns),
            _ => forward.into(),
        }
    }
}

fn rectify(x: &[f32], g: &[f32], out: &mut [f32], passes: impl Fn(f32) -> bool) {
    for ((out, x), g) in out.iter_mut().zip(x).zip(g) {
        *out = if *x > 0.0 && passes(*g) { *g } else { 0.0 };
    }
}

fn spatial_mean(g: &[f32], out: &mut [f32]) {
    let area = out.len() / g.len();
    for (map, g) in out.chunks_exact_mut(area).zip(g) {
        map.fill(g / area as f32);
    }
}

fn softmax(y: &[f32], g: &[f32], out: &mut [f32]) {
    let mean: f32 = y.iter().zip(g).map(|(y, g)| y * g).sum();
    for ((out, y), g) in out.iter_mut().zip(y).zip(g) {
        *out = y * (g - mean);
    }
}

/// Sizes of the input and output feature maps of a sliding window, in elements.
struct Maps {
    rows: usize,
    columns: usize,
    result_rows: usize,
    result_columns: usize,
}

impl Maps {
    /// Takes the shapes `[1, channels, rows, columns]` of both.
    fn new(taken: &[usize], given: &[usize]) -> TractResult<Self> {
        match (taken, given) {
            (&[1, channels, rows, columns], &[1, result_channels, result_rows, result_columns])
                if channels == result_channels =>
            {
                Ok(Self { rows, columns, result_rows, result_columns })
            }
            _ => bail!("{taken:?} and {given:?} are not the feature maps of one image"),
        }
    }

    /// Each channel's slice of the two tensors.
    fn channels<'a>(&self, g: &'a [f32], out: &'a mut [f32]) -> impl Iterator<Item = (&'a [f32], &'a mut [f32])> {
        g.chunks_exact(self.result_rows * self.result_columns).zip(out.chunks_exact_mut(self.rows * self.columns))
    }

    /// For each element of the gradient, the rows and columns that its window covers.
    fn windows(&self, window: Window) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let Window { kernel, stride, top, left } = window;
        let covered = move |position: usize, before: usize, size: usize| {
            let start = position * stride;
            start.saturating_sub(before)..(start + kernel).saturating_sub(before).min(size)
        };
        let (rows, columns, result_columns) = (self.rows, self.columns, self.result_columns);
        (0..self.result_rows).flat_map(move |row| {
            let rows = covered(row, top, rows);
            (0..result_columns).map(move |column| (rows.clone(), covered(column, left, columns)))
        })
    }

    fn max_pool(&self, window: Window, x: &[f32], g: &[f32], out: &mut [f32]) {
        let area = self.rows * self.columns;
        for (x, (g, out)) in x.chunks_exact(area).zip(self.channels(g, out)) {
            for ((rows, columns), g) in self.windows(window).zip(g) {
                let mut best = (f32::NEG_INFINITY, None);
                for row in rows {
                    let start = row * self.columns + columns.start;
                    for (position, &value) in (start..).zip(&x[start..start + columns.len()]) {
                        if value > best.0 {
                            best = (value, Some(position));
                        }
                    }
                }
                if let Some(position) = best.1 {
                    out[position] += g;
                }
            }
        }
    }

    fn average_pool(&self, window: Window, g: &[f32], out: &mut [f32]) {
        for (g, out) in self.channels(g, out) {
            for ((rows, columns), g) in self.windows(window).zip(g) {
                let share = g / (rows.len() * columns.len()) as f32;
                for row in rows {
                    let start = row * self.columns;
                    for out in &mut out[start + columns.start..start + columns.end] {
                        *out += share;
                    }
                }
            }
        }
    }

    fn spread(&self, stride: usize, g: &[f32], out: &mut [f32]) {
        for (g, out) in self.channels(g, out) {
            for (g, out) in g.chunks_exact(self.result_columns).zip(out.chunks_mut(self.columns * stride)) {
                for (g, out) in g.iter().zip(out[..self.columns].iter_mut().step_by(stride)) {
                    *out = *g;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(op: LocalGradient, forward: (&[usize], &[f32]), gradient: (&[usize], &[f32])) -> (Vec<usize>, Vec<f32>) {
        let tensor = |(shape, values): (&[usize], &[f32])| Tensor::from_shape(shape, values).unwrap().into_tvalue();
        let results = op.eval(&EvalContext::out_of_plan(), tvec!(tensor(forward), tensor(gradient))).unwrap();
        (results[0].shape().to_vec(), results[0].try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec())
    }

    #[test]
    fn a_rectifier_passes_where_it_was_on_and_guided_only_what_is_positive() {
        let x = (&[1, 4][..], &[-1.0, 0.0, 2.0, 3.0][..]);
        let g = (&[1, 4][..], &[5.0, 6.0, -7.0, 8.0][..]);
        assert_eq!(run(LocalGradient::Relu, x, g).1, [0.0, 0.0, -7.0, 8.0]);
        assert_eq!(run(LocalGradient::GuidedRelu, x, g).1, [0.0, 0.0, 0.0, 8.0]);
    }

    // Two channels of 3 x 5, windows of 3 x 3 at every second row and column, with a row above and a column to the left
    // added: the windows cover rows 0-1, 1-2 and columns 0-1, 1-3, 3-4.
    const WINDOW: Window = Window { kernel: 3, stride: 2, top: 1, left: 1 };
    const TAKEN: [usize; 4] = [1, 2, 3, 5];
    const GIVEN: [usize; 4] = [1, 2, 2, 3];

    #[test]
    fn a_max_pool_gives_to_the_first_largest_element_and_sums_where_windows_overlap() {
        #[rustfmt::skip]
        let x = [
            -9.0, -8.0, -7.0, -1.0, -1.0,
            -2.0, -1.5, -7.0, -8.0, -9.0,
            -9.0, -9.0, -9.0, -9.0, -9.0,

            1.0, 2.0, 3.0, 4.0, 5.0,
            1.0, 2.0, 3.0, 4.0, 5.0,
            1.0, 2.0, 3.0, 4.0, 9.0,
        ];
        let g = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
        #[rustfmt::skip]
        let expected = [
            0.0, 0.0, 0.0, 2.0 + 4.0, 0.0,
            0.0, 1.0 + 8.0 + 16.0, 0.0, 32.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 0.0,

            0.0, 1.0, 0.0, 2.0, 4.0,
            0.0, 8.0, 0.0, 16.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 32.0,
        ];
        let (shape, result) = run(LocalGradient::MaxPool(WINDOW), (&TAKEN, &x), (&GIVEN, &g));
        assert_eq!((shape, result), (TAKEN.to_vec(), expected.to_vec()));
    }

    #[test]
    fn an_average_pool_shares_among_the_elements_that_are_not_padding() {
        let mut g = [0.0; 12];
        // The windows of 2 x 2 and of 2 x 3 elements.
        g[0] = 8.0;
        g[6 + 4] = 6.0;
        let mut expected = [0.0; 30];
        for position in [0, 1, 5, 6] {
            expected[position] = 2.0;
        }
        for position in [6, 7, 8, 11, 12, 13] {
            expected[15 + position] = 1.0;
        }
        let result = run(LocalGradient::AveragePool(WINDOW), (&TAKEN, &[0.0; 30]), (&GIVEN, &g)).1;
        assert_eq!(result, expected);
    }

    #[test]
    fn a_mean_shares_among_all_rows_and_columns() {
        let (shape, result) = run(LocalGradient::SpatialMean, (&TAKEN, &[0.0; 30]), (&[1, 2], &[15.0, -30.0]));
        assert_eq!((shape, result), (TAKEN.to_vec(), [[1.0; 15], [-2.0; 15]].concat()));
    }

    // Worked by hand: y * (g - sum(y * g)) with sum(y * g) = 0.5 + 1.5 = 2.
    #[test]
    fn a_softmax_shares_so_that_the_sum_is_zero() {
        let result = run(LocalGradient::Softmax, (&[1, 3], &[0.5, 0.25, 0.25]), (&[1, 3], &[1.0, 6.0, 0.0])).1;
        assert_eq!(result, [-0.5, 1.0, -0.5]);
    }

    #[test]
    fn a_stride_puts_zeros_between_and_fills_the_last_rows_and_columns() {
        let g = (&[1, 1, 2, 3][..], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]);
        let op = LocalGradient::Stride { stride: 2, rows: 4, columns: 5 };
        #[rustfmt::skip]
        let expected = [
            1.0, 0.0, 2.0, 0.0, 3.0,
            0.0, 0.0, 0.0, 0.0, 0.0,
            4.0, 0.0, 5.0, 0.0, 6.0,
            0.0, 0.0, 0.0, 0.0, 0.0,
        ];
        assert_eq!(run(op, g, g), (vec![1, 1, 4, 5], expected.to_vec()));
    }

    #[test]
    fn tensors_that_are_not_the_maps_of_one_image_are_an_error() {
        let tensor = |shape: &[usize]| Tensor::zero::<f32>(shape).unwrap().into_tvalue();
        let inputs = tvec!(tensor(&[1, 2, 3, 5]), tensor(&[1, 3, 2, 3]));
        let error = LocalGradient::MaxPool(WINDOW).eval(&EvalContext::out_of_plan(), inputs).unwrap_err();
        assert!(error.to_string().contains("not the feature maps of one image"), "{error}");
    }
}
