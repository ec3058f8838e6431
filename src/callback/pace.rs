//! How often one report may be called: a caller gone mad fills neither the queue nor the table at the cost of the others.
//!
//! Only genuine addresses are counted, so there are no more entries than reports; those at rest are forgotten. What is turned
//! away loses nothing: so many calls of the same report were taken within the last seconds that its check is due, and the
//! timer of discovery looks in any case. Counted by the timer's time: a [`crate::clock::Clock`] that stands still would let
//! nobody pass.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::id::ReportId;

/// After a rest, so many seconds' worth of calls may come at once.
const BURST: Duration = Duration::from_secs(2);
/// Entries at rest are looked for when there are more than this, and again when there are twice as many as were left.
const MOST_AT_REST: usize = 1024;

/// The pace of each report in this process.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    taken: Mutex<Taken>,
}

#[derive(Debug)]
struct Taken {
    /// When the calls that were taken of a report are paid for.
    paid_until: HashMap<ReportId, Instant>,
    look_at: usize,
}

impl Pace {
    /// At most so many calls a second of each report; at least one.
    pub(super) fn new(calls_per_second: u32) -> Self {
        let taken = Taken { paid_until: HashMap::new(), look_at: MOST_AT_REST };
        Self { interval: Duration::from_secs(1) / calls_per_second.max(1), taken: Mutex::new(taken) }
    }

    /// Whether another call of this report may be taken now; counts it if so.
    pub(super) fn takes(&self, report: ReportId, now: Instant) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.paid_until.len() >= taken.look_at {
            taken.paid_until.retain(|_, until| *until > now);
            taken.look_at = MOST_AT_REST.max(taken.paid_until.len() * 2);
        }
        let until = taken.paid_until.entry(report).or_insert(now);
        let next = (*until).max(now) + self.interval;
        let is_in_time = next <= now + BURST.max(self.interval);
        if is_in_time {
            *until = next;
        }
        is_in_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(nth: u128) -> ReportId {
        ReportId(uuid::Uuid::from_u128(nth))
    }

    #[test]
    fn a_report_has_its_burst_then_its_pace_and_takes_nothing_from_another() {
        let (pace, began) = (Pace::new(10), Instant::now());
        let taken = |nth, after| (0..100).filter(|_| pace.takes(report(nth), began + after)).count();

        assert_eq!(taken(1, Duration::ZERO), 20);
        assert_eq!(taken(2, Duration::ZERO), 20);
        assert_eq!(taken(1, Duration::from_millis(500)), 5);
        assert_eq!(taken(1, Duration::from_secs(60)), 20);
    }

    #[test]
    fn the_slowest_pace_takes_a_call_too() {
        let (pace, now) = (Pace::new(0), Instant::now());

        assert!(pace.takes(report(1), now));
        assert!(!Pace { interval: Duration::from_secs(5), ..pace }.takes(report(1), now));
    }

    #[test]
    fn reports_at_rest_are_forgotten() {
        let (pace, began) = (Pace::new(10), Instant::now());

        for nth in 0..10_000 {
            pace.takes(report(nth), began + Duration::from_millis(u64::try_from(nth).unwrap()));
        }

        assert!(pace.taken.lock().unwrap().paid_until.len() <= MOST_AT_REST);
    }
}
