use super::super::{Emotion, Gender};
use super::*;

const PARAMETERS: HoldParameters = HoldParameters { time_constant: 0.4, min_confidence: 0.4 };

const RATES_HZ: [f64; 4] = [5.0, 15.0, 30.0, 60.0];

/// An answer with this probability of one class, and the rest for the others.
fn answer(class: Emotion, probability: f32) -> Estimate<Emotion> {
    let mut probabilities = vec![(1.0 - probability) / 6.0; 7];
    probabilities[class.position()] = probability;
    Estimate::from_probabilities(probabilities, PARAMETERS.min_confidence)
}

/// What holds after each frame. `None` is a frame without an answer.
fn run(
    answers: impl Iterator<Item = Option<Estimate<Emotion>>>,
    rate_hz: f64,
    parameters: HoldParameters,
) -> Vec<Estimate<Emotion>> {
    let mut held: Option<Held<Emotion>> = None;
    let mut results = Vec::new();
    for (frame, answer) in answers.enumerate() {
        let time = Duration::from_secs_f64(100.0 + frame as f64 / rate_hz);
        match (&mut held, answer) {
            (Some(held), Some(answer)) => held.add(time, &answer, 1.0, parameters),
            (None, Some(answer)) => held = Some(Held::new(time, &answer, 1.0)),
            (_, None) => {}
        }
        results.extend(held.as_mut().map(|held| held.estimate(time, parameters)));
    }
    results
}

fn frames(secs: f64, rate_hz: f64) -> usize {
    (secs * rate_hz).round() as usize
}

#[test]
fn the_first_answer_holds_and_an_answer_that_stays_keeps_its_probabilities() {
    let steady = answer(Emotion::Happy, 0.7);
    for held in run(std::iter::repeat_n(Some(steady.clone()), 60), 30.0, PARAMETERS) {
        assert_eq!(held.label, Some(Emotion::Happy));
        for (held, raw) in held.probabilities.iter().zip(&steady.probabilities) {
            assert!((held - raw).abs() < 1e-5);
        }
    }
}

/// The time in seconds until `after` is the label, where it follows 2 s of `before`.
fn delay(before: Estimate<Emotion>, after: Estimate<Emotion>, rate_hz: f64) -> f64 {
    let label = after.label;
    let answers = [before, after].map(|answer| std::iter::repeat_n(Some(answer), frames(2.0, rate_hz)));
    let held = run(answers.into_iter().flatten(), rate_hz, PARAMETERS);
    let changed = held.iter().position(|held| held.label == label).unwrap();
    changed as f64 / rate_hz - 2.0
}

#[test]
fn a_new_expression_is_the_label_after_the_same_time_at_every_frame_rate() {
    for rate_hz in RATES_HZ {
        let delay = delay(answer(Emotion::Neutral, 0.8), answer(Emotion::Surprise, 0.8), rate_hz);
        // The evidence is 3.2 a second, and 0.64 is enough.
        assert!((delay - 0.2).abs() < 1.0 / rate_hz + 1e-9, "{delay} s at {rate_hz} Hz");
    }
}

#[test]
fn a_doubtful_new_expression_is_the_label_later_than_a_clear_one() {
    let before = || answer(Emotion::Neutral, 0.8);
    let [clear, doubtful] =
        [0.8, 0.45].map(|probability| delay(before(), answer(Emotion::Surprise, probability), 30.0));
    assert!(clear < 0.25 && (1.4 * clear..1.0).contains(&doubtful), "{clear} {doubtful}");
}

#[test]
fn after_a_change_the_answers_before_are_forgotten() {
    let answers = [answer(Emotion::Neutral, 0.8), answer(Emotion::Surprise, 0.8)];
    let held = run(answers.iter().flat_map(|it| std::iter::repeat_n(Some(it.clone()), 60)), 30.0, PARAMETERS);
    // Half a second after the change, only the variance of the answers still tells of it.
    let [neutral, surprise] = [Emotion::Neutral, Emotion::Surprise].map(|it| held[75].probabilities[it.position()]);
    assert!(neutral < 0.05 && surprise > 0.75, "{neutral} {surprise}");
}

#[test]
fn answers_that_change_slowly_hold_the_same_at_every_frame_rate() {
    let held = RATES_HZ.map(|rate_hz| {
        let count = frames(3.0, rate_hz);
        let drift = (0..=count).map(|n| answer(Emotion::Happy, 0.5 + 0.3 * n as f32 / count as f32));
        run(drift.map(Some), rate_hz, PARAMETERS).pop().unwrap().probabilities[3]
    });
    assert!(held.iter().all(|probability| (probability - held[0]).abs() < 0.03), "{held:?}");
}

#[test]
fn a_single_wrong_answer_changes_no_label() {
    for rate_hz in [10.0, 30.0, 60.0] {
        let answers = (0..90).map(|n| {
            let wrong = n % 10 == 5;
            Some(if wrong { answer(Emotion::Fear, 0.7) } else { answer(Emotion::Sad, 0.6) })
        });
        let held = run(answers, rate_hz, PARAMETERS);
        assert!(held.iter().all(|held| held.label == Some(Emotion::Sad)), "{rate_hz} Hz");
    }
}

#[test]
fn answers_about_the_minimum_confidence_do_not_flicker() {
    let answers = (0..120).map(|n| Some(answer(Emotion::Angry, if n % 4 < 2 { 0.37 } else { 0.43 })));
    let labels: Vec<_> = run(answers, 30.0, PARAMETERS).into_iter().map(|held| held.label).collect();
    assert!(labels.windows(2).all(|pair| pair[0] == pair[1]), "{labels:?}");
}

#[test]
fn between_a_label_and_unknown_there_is_hysteresis() {
    let levels = [(0.5, Some(Emotion::Angry)), (0.35, Some(Emotion::Angry)), (0.25, None), (0.45, None)];
    let levels = levels.into_iter().chain([(0.55, Some(Emotion::Angry))]);
    let (levels, expected): (Vec<f32>, Vec<_>) = levels.unzip();
    let held = run(levels.iter().flat_map(|it| vec![Some(answer(Emotion::Angry, *it)); 300]), 30.0, PARAMETERS);
    let labels: Vec<_> = held.chunks(300).map(|held| held[299].label).collect();
    assert_eq!(labels, expected);
    let changes = held.windows(2).filter(|pair| pair[0].label != pair[1].label).count();
    assert_eq!(changes, 2);
}

/// An answer with these probabilities of sad and fear, and the rest for the others.
fn sad_and_fear(sad: f32, fear: f32) -> Option<Estimate<Emotion>> {
    let mut probabilities = vec![(1.0 - sad - fear) / 5.0; 7];
    probabilities[Emotion::Sad.position()] = sad;
    probabilities[Emotion::Fear.position()] = fear;
    Some(Estimate::from_probabilities(probabilities, PARAMETERS.min_confidence))
}

#[test]
fn between_two_classes_there_is_hysteresis() {
    let sad = |frame| frame < 30 || frame / 60 % 2 == 0;
    let answers = (0..600).map(|frame| if sad(frame) { sad_and_fear(0.47, 0.43) } else { sad_and_fear(0.43, 0.47) });
    let held = run(answers, 30.0, PARAMETERS);
    assert!(held.iter().all(|held| held.label == Some(Emotion::Sad)));
}

#[test]
fn a_class_gives_way_to_a_doubtful_one_without_unknown_in_between() {
    let answers = (0..300).map(|frame| if frame < 60 { sad_and_fear(0.6, 0.2) } else { sad_and_fear(0.25, 0.38) });
    let mut labels: Vec<_> = run(answers, 30.0, PARAMETERS).iter().map(|held| held.label).collect();
    labels.dedup();
    assert_eq!(labels, [Emotion::Sad, Emotion::Fear].map(Some));
}

#[test]
fn after_a_gap_one_answer_counts_as_that_of_one_frame() {
    let before = std::iter::repeat_n(Some(answer(Emotion::Happy, 0.8)), 60);
    let gap = std::iter::repeat_n(None, 24);
    let after = [Some(answer(Emotion::Sad, 0.8)), None, Some(answer(Emotion::Happy, 0.8))];
    let held = run(before.chain(gap).chain(after), 30.0, PARAMETERS);
    assert!(held[59..].iter().all(|held| held.label == Some(Emotion::Happy)));
}

#[test]
fn without_answers_the_label_lasts_for_a_while_and_its_probability_falls() {
    let steady = std::iter::repeat_n(Some(answer(Emotion::Happy, 0.8)), 30);
    let held = run(steady.chain(std::iter::repeat_n(None, 300)), 30.0, PARAMETERS);
    assert_eq!(held[30 + 15].label, Some(Emotion::Happy));
    assert_eq!(held[329].label, None);
    assert!(held[30..].windows(2).all(|pair| pair[1].probabilities[3] <= pair[0].probabilities[3]));
    assert!((held[329].probabilities[3] - 1.0 / 7.0).abs() < 0.02);
}

#[test]
fn a_time_constant_of_0_gives_the_raw_probabilities() {
    let parameters = HoldParameters { time_constant: 0.0, ..PARAMETERS };
    let answers: Vec<_> =
        [(Emotion::Sad, 0.5), (Emotion::Happy, 0.9), (Emotion::Fear, 0.41)].map(|(e, p)| answer(e, p)).into();
    for (held, raw) in run(answers.iter().cloned().map(Some), 30.0, parameters).iter().zip(&answers) {
        assert!(held.probabilities.iter().zip(&raw.probabilities).all(|(held, raw)| (held - raw).abs() < 1e-6));
    }
}

#[test]
fn a_worthless_crop_counts_little() {
    let time = |frame: u32| Duration::from_millis(33) * frame;
    let parameters = HoldParameters { time_constant: 10.0, min_confidence: 0.6 };
    let gender = |woman: f32| Estimate::<Gender>::from_probabilities(vec![woman, 1.0 - woman], 0.6);
    let mut held = Held::new(time(0), &gender(0.9), 1.0);
    for frame in 1..30 {
        held.add(time(frame), &gender(0.9), 1.0, parameters);
        held.estimate(time(frame), parameters);
    }
    let mut doubtful = held.clone();
    for frame in 30..60 {
        held.add(time(frame), &gender(0.1), 1.0, parameters);
        doubtful.add(time(frame), &gender(0.1), 0.05, parameters);
        held.estimate(time(frame), parameters);
        doubtful.estimate(time(frame), parameters);
    }
    let woman = |mut held: Held<Gender>| held.estimate(time(60), parameters).probabilities[0];
    assert!(woman(doubtful) > 0.85);
    assert!(woman(held) < 0.6);
}

/// The time in seconds until surprise is the label after neutral, for crops of these worths.
fn delay_at_worths(before: f64, after: f64) -> f64 {
    let mut held = Held::new(Duration::ZERO, &answer(Emotion::Neutral, 0.8), before);
    for frame in 1..300 {
        let time = Duration::from_secs_f64(f64::from(frame) / 30.0);
        let (class, worth) = if frame < 60 { (Emotion::Neutral, before) } else { (Emotion::Surprise, after) };
        held.add(time, &answer(class, 0.8), worth, PARAMETERS);
        if held.estimate(time, PARAMETERS).label == Some(Emotion::Surprise) {
            return f64::from(frame - 60) / 30.0;
        }
    }
    f64::INFINITY
}

#[test]
fn worth_counts_relative_to_that_of_the_crops_before() {
    let sharp = delay_at_worths(1.0, 1.0);
    assert!((delay_at_worths(0.2, 0.2) - sharp).abs() < 1e-9);
    assert!(delay_at_worths(1.0, 0.2) > 2.0 * sharp);
    assert!(delay_at_worths(0.2, 1.0) < sharp);
}

const GENDER: HoldParameters = HoldParameters { time_constant: 10.0, min_confidence: 0.6 };

/// The labels after each answer, which are probabilities of woman at 30 Hz.
fn genders(woman: impl IntoIterator<Item = f32>) -> Vec<Option<Gender>> {
    let mut held: Option<Held<Gender>> = None;
    let one = |(frame, woman): (usize, f32)| {
        let time = Duration::from_secs_f64(frame as f64 / 30.0);
        let answer = Estimate::from_probabilities(vec![woman, 1.0 - woman], GENDER.min_confidence);
        match &mut held {
            Some(held) => held.add(time, &answer, 1.0, GENDER),
            none => *none = Some(Held::new(time, &answer, 1.0)),
        }
        held.as_mut().and_then(|held| held.estimate(time, GENDER).label)
    };
    woman.into_iter().enumerate().map(one).collect()
}

#[test]
fn gender_accumulates_so_that_wrong_answers_of_some_seconds_change_no_label() {
    // In each 10 s, the last 2 s are wrong.
    let labels = genders((0..1800).map(|frame| if frame % 300 < 240 { 0.9 } else { 0.1 }));
    assert!(labels.iter().all(|label| *label == Some(Gender::Woman)));
}

#[test]
fn a_wrong_gender_is_corrected_soon_at_first_and_at_last_too() {
    let labels = genders((0..300).map(|frame| if frame < 15 { 0.2 } else { 0.9 }));
    assert_eq!(labels[14], Some(Gender::Man));
    assert_eq!(labels[15 + 45], Some(Gender::Woman));
    let labels = genders((0..2700).map(|frame| if frame < 1800 { 0.1 } else { 0.9 }));
    assert_eq!(labels[1800 + 60], Some(Gender::Man));
    assert_eq!(labels[1800 + 300], Some(Gender::Woman));
}

#[test]
fn where_the_minimum_confidence_is_high_a_label_still_needs_no_certainty() {
    let parameters = HoldParameters { time_constant: 10.0, min_confidence: 0.92 };
    let answer =
        |woman: f32| Estimate::<Gender>::from_probabilities(vec![woman, 1.0 - woman], parameters.min_confidence);
    let mut held = Held::new(Duration::ZERO, &answer(0.7), 1.0);
    let mut label_after = |frames: std::ops::Range<u32>, woman: f32| {
        let labels = frames.map(|frame| {
            let time = Duration::from_millis(33) * frame;
            held.add(time, &answer(woman), 1.0, parameters);
            held.estimate(time, parameters).label
        });
        labels.last().unwrap()
    };
    assert_eq!(label_after(1..30, 0.94), None);
    // Halfway from the minimum to 1 it is known, and as far below the minimum it is not known any more.
    assert_eq!(label_after(30..300, 0.975), Some(Gender::Woman));
    assert_eq!(label_after(300..600, 0.87), Some(Gender::Woman));
    assert_eq!(label_after(600..1500, 0.85), None);
}

#[test]
fn every_minimum_confidence_has_a_limit_that_can_be_reached_and_one_below() {
    let label = |before, woman: f64, min_confidence| next_label(before, &[woman, 1.0 - woman], min_confidence);
    for (min_confidence, known_from, unknown_below) in
        [(0.7_f64, 0.8_f64, 0.6_f64), (0.8, 0.9, 0.7), (0.9, 0.95, 0.85), (1.0, 1.0, 1.0)]
    {
        let near = 1e-9;
        assert_eq!(label(None, (known_from + near).min(1.0), min_confidence), Some(Gender::Woman), "{min_confidence}");
        assert_eq!(label(None, known_from - 1e-3, min_confidence), None, "{min_confidence}");
        let woman = Some(Gender::Woman);
        assert_eq!(label(woman, (unknown_below + near).min(1.0), min_confidence), woman, "{min_confidence}");
        assert_eq!(label(woman, unknown_below - 1e-3, min_confidence), None, "{min_confidence}");
    }
    assert_eq!(label(None, 0.51, 0.0), Some(Gender::Woman));
}

/// Normally distributed numbers, always the same.
fn normal() -> impl FnMut() -> f64 {
    let mut state = 1_u64;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    };
    move || (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()
}

/// Mean difference of confidence and accuracy over ten bins, of the first answers and of what holds after 4 s.
///
/// Each face has a feature that is normally distributed about -1.2 for men and 1.2 for women. In each frame, the feature is
/// seen with other noise of this deviation, and the answer is the probability that follows from it.
fn calibration_errors(noise: f64) -> [f64; 2] {
    let mut random = normal();
    let mut bins = [[(0.0, 0.0); 10]; 2];
    let people = 2000;
    for person in 0..people {
        let truth = if person % 2 == 0 { Gender::Woman } else { Gender::Man };
        let feature = if truth == Gender::Woman { 1.2 } else { -1.2 } + random();
        let mut answer = || {
            let log_odds = 2.0 * 1.2 * (feature + noise * random()) / (1.0 + noise * noise);
            let woman = (1.0 / (1.0 + (-log_odds).exp())) as f32;
            Estimate::<Gender>::from_probabilities(vec![woman, 1.0 - woman], 0.6)
        };
        let first = answer();
        let mut held = Held::new(Duration::ZERO, &first, 1.0);
        let mut last = first.clone();
        for frame in 1..120 {
            let time = Duration::from_secs_f64(f64::from(frame) / 30.0);
            held.add(time, &answer(), 1.0, GENDER);
            last = held.estimate(time, GENDER);
        }
        for (bins, estimate) in bins.iter_mut().zip([first, last]) {
            let best = estimate.best_position();
            let confidence = f64::from(estimate.probabilities[best]);
            let bin = &mut bins[((confidence * 10.0) as usize).min(9)];
            *bin = (bin.0 + confidence, bin.1 + f64::from(u8::from(best == truth.position())));
        }
    }
    bins.map(|bins| bins.iter().map(|(confidence, right)| (confidence - right).abs()).sum::<f64>() / f64::from(people))
}

#[test]
fn calibrated_answers_stay_calibrated_with_and_without_noise() {
    for noise in [0.0, 0.3, 0.6] {
        let [first, held] = calibration_errors(noise);
        assert!(first < 0.02 && held < 0.02, "noise {noise}: {first} {held}");
    }
}

#[test]
fn extreme_probabilities_stay_finite() {
    let certain = |class: usize| {
        let probabilities = (0..7).map(|n| if n == class { 1.0 } else { 0.0 }).collect();
        Some(Estimate::<Emotion>::from_probabilities(probabilities, 0.4))
    };
    for held in run((0..200).map(|n| certain(n % 7)), 30.0, PARAMETERS) {
        assert!((held.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(held.probabilities.iter().all(|p| p.is_finite()));
    }
}
