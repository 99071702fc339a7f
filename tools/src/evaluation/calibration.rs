//! Calibration: whether the confidence of a network is its accuracy.

use serde::Serialize;

use super::Prediction;
use face_attributes::attributes::Attribute;

/// Number of confidence bins of equal width, as in Guo et al.
pub const BINS: usize = 15;

/// The calibration of a network, after Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks" (ICML 2017).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// Expected calibration error, 0 to 1: the mean difference of confidence and accuracy over the answers. `None` without
    /// answers.
    pub expected_error: Option<f64>,
    /// Mean negative logarithm (nats) of the probability of the right class; `None` without answers.
    pub negative_log_likelihood: Option<f64>,
    /// [`BINS`] bins, from confidence 0 to 1.
    pub bins: Vec<Bin>,
}

/// The answers of a confidence above `(n - 1) / BINS` and up to `n / BINS`, for bin n of 1 to [`BINS`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Number of answers.
    pub count: u64,
    /// Their mean confidence, 0 to 1; `None` without answers.
    pub confidence: Option<f64>,
    /// The fraction of right answers, 0 to 1; `None` without answers.
    pub accuracy: Option<f64>,
}

impl Calibration {
    /// Compares the confidence of answers with their accuracy.
    pub fn of<A: Attribute>(predictions: &[Prediction<A>]) -> Self {
        let mut sums = [(0_u64, 0.0, 0_u64); BINS];
        for prediction in predictions {
            let confidence = prediction.confidence();
            let index = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
            let (count, confidences, right) = &mut sums[index];
            *count += 1;
            *confidences += confidence;
            *right += u64::from(prediction.is_right());
        }
        let total = predictions.len() as f64;
        let gap = |(_, confidences, right): (u64, f64, u64)| (confidences - right as f64).abs();
        let mean = |sum: f64, count: f64| (count > 0.0).then(|| sum / count);
        Self {
            expected_error: mean(sums.into_iter().map(gap).sum(), total),
            negative_log_likelihood: mean(predictions.iter().map(|p| -log(p.probability_of(p.truth))).sum(), total),
            bins: sums
                .into_iter()
                .map(|(count, confidences, right)| Bin {
                    count,
                    confidence: mean(confidences, count as f64),
                    accuracy: mean(right as f64, count as f64),
                })
                .collect(),
        }
    }
}

/// The logarithm of a probability, which can be rounded to 0 in 32 bits.
fn log(probability: f64) -> f64 {
    probability.max(f64::from(f32::MIN_POSITIVE)).ln()
}

/// The largest factor between 1 and a temperature in the search.
const MAX_TEMPERATURE: f64 = 20.0;

/// The temperature T that minimises the negative log-likelihood of `softmax(logits / T)` (Guo et al.). It is above 1 for an
/// overconfident network, and `None` where there is no minimum between 1/20 and 20, for example where every answer is right.
///
/// Fit it on other pictures than those for which calibration is reported.
pub fn fit_temperature<A: Attribute>(predictions: &[Prediction<A>]) -> Option<f64> {
    // Convex in the inverse temperature. Its derivative is the mean logit minus the logit of the truth, and increases.
    let derivative = |inverse: f64| -> f64 {
        let of_one = |prediction: &Prediction<A>| {
            let expected: f64 = scaled(prediction, 1.0 / inverse).zip(logits(prediction)).map(|(p, z)| p * z).sum();
            expected - log(prediction.probability_of(prediction.truth))
        };
        predictions.iter().map(of_one).sum()
    };
    let [mut low, mut high] = [1.0 / MAX_TEMPERATURE, MAX_TEMPERATURE];
    if derivative(low) >= 0.0 || derivative(high) <= 0.0 {
        return None;
    }
    // Enough bisections for the precision of 32 bits.
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        if derivative(middle) < 0.0 { low = middle } else { high = middle }
    }
    Some(2.0 / (low + high))
}

/// The predictions at a temperature. No answer changes.
pub fn with_temperature<A: Attribute>(predictions: &[Prediction<A>], temperature: f64) -> Vec<Prediction<A>> {
    let changed = |prediction: &Prediction<A>| {
        let probabilities = scaled(prediction, temperature).map(|probability| probability as f32).collect();
        Prediction { probabilities, ..prediction.clone() }
    };
    predictions.iter().map(changed).collect()
}

/// The logits up to a common offset, which softmax ignores.
fn logits<A>(prediction: &Prediction<A>) -> impl Iterator<Item = f64> {
    prediction.probabilities.iter().map(|probability| log(f64::from(*probability)))
}

fn scaled<A>(prediction: &Prediction<A>, temperature: f64) -> impl Iterator<Item = f64> {
    // The largest logit becomes 0, so that nothing overflows.
    let largest = logits(prediction).fold(f64::NEG_INFINITY, f64::max);
    let power = move |logit: f64| ((logit - largest) / temperature).exp();
    let sum: f64 = logits(prediction).map(power).sum();
    logits(prediction).map(move |logit| power(logit) / sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use face_attributes::attributes::Gender;

    fn predictions(woman: f32, right: usize, wrong: usize) -> Vec<Prediction<Gender>> {
        let prediction = |truth| Prediction::new(truth, vec![woman, 1.0 - woman], None).unwrap();
        let of = |truth, count| vec![prediction(truth); count];
        [of(Gender::Woman, right), of(Gender::Man, wrong)].concat()
    }

    fn assert_near(got: Option<f64>, expected: f64) {
        assert!((got.unwrap() - expected).abs() < 1e-6, "{got:?}, expected {expected}");
    }

    // Three of four right at 0.9, one of one right at 0.7: the gaps are 0.15 and 0.3, so (4 * 0.15 + 1 * 0.3) / 5.
    #[test]
    fn the_expected_error_weighs_each_gap_by_its_answers() {
        let calibration = Calibration::of(&[predictions(0.9, 3, 1), predictions(0.7, 1, 0)].concat());
        assert_near(calibration.expected_error, 0.18);
        // 0.7 * 15 = 10.5 is in bin 11, 0.9 * 15 = 13.5 in bin 14.
        let counts: Vec<_> = calibration.bins.iter().map(|bin| bin.count).collect();
        assert_eq!(counts, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 4, 0]);
        assert_near(calibration.bins[13].confidence, 0.9);
        assert_near(calibration.bins[13].accuracy, 0.75);
        let likelihood = -(3.0 * 0.9_f64.ln() + 0.1_f64.ln() + 0.7_f64.ln()) / 5.0;
        assert_near(calibration.negative_log_likelihood, likelihood);
    }

    #[test]
    fn gaps_in_one_bin_cancel_out() {
        let too_sure_and_too_modest = [predictions(0.995, 0, 1), predictions(0.935, 1, 0)].concat();
        assert_near(Calibration::of(&too_sure_and_too_modest).expected_error, (0.995 + 0.935 - 1.0) / 2.0);
    }

    #[test]
    fn without_answers_there_are_no_figures() {
        let calibration = Calibration::of::<Gender>(&[]);
        assert_eq!((calibration.expected_error, calibration.negative_log_likelihood), (None, None));
        assert_eq!(calibration.bins, [Bin { count: 0, confidence: None, accuracy: None }; BINS]);
    }

    #[test]
    fn a_probability_of_zero_is_finite() {
        let wrong = predictions(1.0, 0, 1);
        assert!(Calibration::of(&wrong).negative_log_likelihood.unwrap().is_finite());
    }

    // At 0.9 the difference of the logits is ln 9. Three of four are right: 0.75, a difference of ln 3, is what they deserve,
    // and ln 9 / 2 = ln 3.
    #[test]
    fn the_temperature_makes_confidence_what_accuracy_deserves() {
        let too_sure = predictions(0.9, 3, 1);
        assert_near(fit_temperature(&too_sure), 2.0);
        let cooled = with_temperature(&too_sure, 2.0);
        assert_near(Calibration::of(&cooled).expected_error, 0.0);
        assert!((cooled[0].probabilities[0] - 0.75).abs() < 1e-6);
        assert_near(fit_temperature(&cooled), 1.0);
        assert_near(fit_temperature(&predictions(0.75, 9, 1)), 0.5);
    }

    #[test]
    fn without_a_minimum_there_is_no_temperature() {
        let always_right = predictions(0.9, 4, 0);
        let no_better_than_chance = predictions(0.9, 2, 2);
        for predictions in [Vec::new(), always_right, no_better_than_chance] {
            assert_eq!(fit_temperature(&predictions), None);
        }
    }
}
