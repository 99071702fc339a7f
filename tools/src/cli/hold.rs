//! `face_attributes hold`: what holding answers over time gains, on labelled pictures that are set in motion.

use std::io::{self, Write};
use std::path::PathBuf;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use face_attributes::attributes::{Classifier, Emotion, Gender};
use face_attributes_tools::dataset::DatasetSpec;
use face_attributes_tools::evaluation::report::percent;
use face_attributes_tools::hold::figures::{Comparison, Figures};
use face_attributes_tools::hold::rendering::{Conditions, NOISY, STEADY};
use face_attributes_tools::hold::{HeldOverTime, PICTURE_FRAMES, Sequence, draw_people, run_sequence};
use face_attributes_tools::parameters::read_parameters;
use face_attributes_tools::task::Task;

use crate::outcome::Outcome;
use crate::progress::{print_left_out, progress_bar};

/// Measure how steady and how right answers are over time, on labelled pictures that are set in motion.
///
/// Each sequence shows one person: one picture for 4 s, then another one for 4 s, at 30 Hz. The second picture has another
/// emotion, or the same gender. Under steady conditions the face is large and little disturbed. Under noisy ones it is small,
/// the detector's box jumps, and the picture is noisy, blurred and of changing brightness. The answers for each frame alone are
/// compared with what the node holds, and with the most frequent of the last ten answers. The delay is the time until the
/// class of the second picture is the label, where the network alone is right in 90 % of its frames.
#[derive(clap::Args)]
pub struct Args {
    /// What to classify.
    #[arg(long)]
    task: Task,
    #[command(flatten)]
    data: DatasetSpec,
    /// Number of sequences under each of the two conditions.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    sequences: u32,
    /// ROS 2 parameter file, the same that the node reads.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// Print the figures as one JSON object.
    #[arg(long)]
    json: bool,
}

/// The same for all measurements, so that they can be compared.
const SEED: u64 = 20_171;

pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    match args.task {
        Task::Emotion => run_task::<Emotion>(args),
        Task::Gender => run_task::<Gender>(args),
    }
}

fn run_task<A: HeldOverTime>(args: &Args) -> anyhow::Result<Outcome> {
    let parameters = read_parameters(args.params.as_deref())?.pipeline.attributes;
    let dataset = args.data.load::<A>()?;
    let people = draw_people(&dataset.samples, args.sequences as usize, SEED)?;
    let classes = if A::CHANGES { "different classes" } else { "the same class" };
    anyhow::ensure!(!people.is_empty(), "{}: no two pictures of {classes}", args.data.path.display());
    let classifier = Classifier::load(A::parameters(&parameters).model_path())?;
    dataset.refused.iter().for_each(|error| eprintln!("error: {error}"));
    let mut report = Report { task: A::TASK, conditions: Vec::new(), failed: dataset.refused.len() };
    let progress = progress_bar("sequences");
    progress.set_length(2 * people.len() as u64);
    print_left_out(&progress, &dataset.left_out);
    for conditions in [STEADY, NOISY] {
        let mut sequences = Vec::new();
        for (pictures, seed) in people.iter().zip(SEED..) {
            match run_sequence(&classifier, pictures, PICTURE_FRAMES, &conditions, seed, &parameters) {
                Ok(sequence) => sequences.push(sequence),
                Err(error) => {
                    progress.suspend(|| eprintln!("error: {error}"));
                    report.failed += 1;
                }
            }
            progress.inc(1);
        }
        report.conditions.push(UnderConditions::new(&conditions, &sequences));
    }
    progress.finish_and_clear();
    let text = if args.json { serde_json::to_string(&report)? } else { report.to_text() };
    writeln!(io::stdout(), "{text}")?;
    Ok(if report.failed > 0 { Outcome::AnInputFailed } else { Outcome::Done })
}

#[derive(Serialize)]
struct Report {
    task: &'static str,
    conditions: Vec<UnderConditions>,
    /// Number of sequences without figures, and of pictures whose label cannot be read.
    failed: usize,
}

#[derive(Serialize)]
struct UnderConditions {
    name: &'static str,
    sequences: usize,
    #[serde(flatten)]
    comparison: Comparison,
}

impl UnderConditions {
    fn new<A: HeldOverTime>(conditions: &Conditions, sequences: &[Sequence<A>]) -> Self {
        Self { name: conditions.name, sequences: sequences.len(), comparison: Comparison::of(sequences) }
    }
}

impl Report {
    fn to_text(&self) -> String {
        let mut text = format!("{}, {} failed", self.task, self.failed);
        for UnderConditions { name, sequences, comparison } in &self.conditions {
            let header =
                ["", "right", "after 3 s", "unknown", "changes/min", "delay p50", "delay p90", "calibration error"];
            let mut table = Table::new();
            table.load_style(UTF8_FULL_CONDENSED);
            table.set_header(header);
            for (way, figures) in
                [("raw", &comparison.raw), ("held", &comparison.held), ("mode of 10", &comparison.mode)]
            {
                table.add_row(row(way, figures));
            }
            table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
            let known = comparison.raw.known_changes;
            let changes = comparison.true_changes_per_minute.unwrap_or_default();
            text += &format!(
                "\n\n{name}, {sequences} sequences, {changes:.1} true changes/min, delay of {known} changes\n{table}"
            );
        }
        text
    }
}

fn row(way: &str, figures: &Figures) -> [String; 8] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let seconds = |secs: Option<f64>| or_dash(secs.map(|secs| format!("{secs:.2} s")));
    [
        way.to_owned(),
        percent(figures.accuracy),
        percent(figures.accuracy_after_3_s),
        percent(figures.unknown),
        or_dash(figures.changes_per_minute.map(|changes| format!("{changes:.1}"))),
        seconds(figures.delay.map(|delay| delay.median)),
        seconds(figures.delay.map(|delay| delay.p90)),
        percent(figures.calibration_error),
    ]
}

#[cfg(test)]
mod tests {
    use face_attributes_tools::hold::figures::Delay;

    use super::*;

    fn figures(accuracy: f64, delay: Option<Delay>) -> Figures {
        Figures {
            accuracy: Some(accuracy),
            accuracy_after_3_s: Some(0.25),
            unknown: Some(0.125),
            changes_per_minute: Some(7.54),
            delay,
            known_changes: 3,
            calibration_error: None,
        }
    }

    #[test]
    fn the_text_has_a_row_for_each_way_to_answer() {
        let delay = Some(Delay { median: 0.2, p90: 1.0 });
        let comparison = Comparison {
            true_changes_per_minute: Some(7.5),
            raw: figures(0.5, None),
            held: figures(0.75, delay),
            mode: figures(0.625, delay),
        };
        let conditions = vec![UnderConditions { name: "steady", sequences: 4, comparison }];
        let text = Report { task: "emotion", conditions, failed: 1 }.to_text();
        assert!(text.starts_with("emotion, 1 failed\n"), "{text}");
        assert!(text.contains("steady, 4 sequences, 7.5 true changes/min, delay of 3 changes\n"), "{text}");
        let cells = |way| {
            let row = text.lines().find(|line| line.contains(way)).unwrap();
            row.split(['│', '┆']).map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(cells("raw"), ["raw", "50.0%", "25.0%", "12.5%", "7.5", "-", "-", "-"]);
        assert_eq!(cells("held"), ["held", "75.0%", "25.0%", "12.5%", "7.5", "0.20 s", "1.00 s", "-"]);
    }
}
