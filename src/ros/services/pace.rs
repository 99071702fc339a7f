//! How fast the answers of a service may follow each other.

use std::time::{Duration, Instant};

/// Time from one answer to the next where nobody else waits. A client that waits for each answer is seldom faster.
const ALONE: Duration = Duration::from_millis(1);

/// The same where more requests wait: many of them may be by one client, which has to read the answers in the meantime.
const CROWDED: Duration = Duration::from_millis(5);

/// By how much answers may be ahead of their time. So four follow each other at once, and a client keeps ten.
const MAX_AHEAD: Duration = Duration::from_millis(3);

/// The pace of a service's answers, by the generic cell rate algorithm (ITU-T I.371).
#[derive(Debug, Default)]
pub struct AnswerPace {
    /// When the next answer would be due at a steady pace.
    due: Option<Instant>,
}

impl AnswerPace {
    /// How long the next request has to wait at `now` before it is answered.
    pub fn delay(&self, now: Instant) -> Duration {
        self.due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now).saturating_sub(MAX_AHEAD))
    }

    /// Counts a request that is answered at `now`, while so many others wait.
    pub fn count(&mut self, now: Instant, waiting: usize) {
        let due = self.due.map_or(now, |due| due.max(now));
        self.due = Some(due + if waiting == 0 { ALONE } else { CROWDED });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of `count` answers is sent that are asked for at once.
    fn burst(count: usize) -> Vec<Duration> {
        let (mut pace, start) = (AnswerPace::default(), Instant::now());
        let mut now = start;
        let send = |index| {
            now += pace.delay(now);
            pace.count(now, count - 1 - index);
            now - start
        };
        (0..count).map(send).collect()
    }

    #[test]
    fn a_single_request_is_answered_at_once() {
        assert_eq!(burst(1), [Duration::ZERO]);
    }

    #[test]
    fn a_client_that_waits_for_each_answer_is_not_slowed_down() {
        let (mut pace, start) = (AnswerPace::default(), Instant::now());
        for turn in 0..100 {
            assert_eq!(pace.delay(start + turn * ALONE), Duration::ZERO, "{turn}");
            pace.count(start + turn * ALONE, 0);
        }
    }

    #[test]
    fn a_client_that_reads_after_30_ms_has_at_most_ten_answers_of_a_burst() {
        let sent = burst(50);
        assert!(sent.iter().filter(|sent| **sent <= Duration::from_millis(30)).count() <= 10);
        for window in sent.windows(10) {
            assert!(window[9] - window[0] >= Duration::from_millis(40), "{window:?}");
        }
        assert!(sent[49] < Duration::from_millis(300), "{:?}", sent[49]);
    }
}
