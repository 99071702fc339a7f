use super::super::{Emotion, Gender};
use super::*;

const PARAMETERS: HoldParameters = HoldParameters { time_constant: 0.4, min_confidence: 0.4 };

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

#[test]
fn a_new_expression_is_the_label_after_the_same_time_at_every_frame_rate() {
    for rate_hz in [5.0, 10.0, 30.0, 60.0] {
        let before = std::iter::repeat_n(Some(answer(Emotion::Neutral, 0.8)), frames(2.0, rate_hz));
        let after = std::iter::repeat_n(Some(answer(Emotion::Surprise, 0.8)), frames(2.0, rate_hz));
        let held = run(before.chain(after), rate_hz, PARAMETERS);
        let changed = held.iter().position(|held| held.label == Some(Emotion::Surprise)).unwrap();
        let delay = changed as f64 / rate_hz - 2.0;
        assert!((0.2..=0.5).contains(&delay), "{delay} s at {rate_hz} Hz");
    }
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
