//! When a report runs, as the API was told: pure arithmetic over a start, an interval, a count and an end.
//!
//! Which runs have happened follows from the schedule and the clock, not from the files that came: a run that failed, or that
//! we have not found yet, is one of the API's count all the same.

use chrono::{DateTime, TimeDelta, Utc};

use super::limits::{LEAD, LEAST_MARGIN, MARGIN, MOST_RUNS};

/// More lost runs than this are not listed.
const MOST_LISTED: i64 = 10;
/// So much sooner than expected a run is still one of an interval that drifts; of short intervals, an eighth.
const MOST_EARLY: TimeDelta = TimeDelta::hours(1);

/// From a start on, every so many hours, so many times or for ever, not after an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The first run.
    pub start_at: DateTime<Utc>,
    /// Between runs.
    pub interval: TimeDelta,
    /// How many runs; for ever when not given.
    pub occurrences: Option<i32>,
    /// No run after it.
    pub end_at: Option<DateTime<Utc>>,
}

impl Schedule {
    /// Every so many hours.
    pub fn new(
        start_at: DateTime<Utc>,
        interval_hours: i32,
        occurrences: Option<i32>,
        end_at: Option<DateTime<Utc>>,
    ) -> Self {
        Self {
            start_at,
            interval: TimeDelta::hours(interval_hours.max(1).into()),
            occurrences: occurrences.map(|count| count.min(MOST_RUNS)),
            end_at,
        }
    }

    /// How many runs have happened until `now`.
    pub fn passed(&self, now: DateTime<Utc>) -> i32 {
        let until = self.last().map_or(now, |last| last.min(now));
        if until < self.start_at { 0 } else { i32::try_from(self.steps_to(until) + 1).unwrap_or(i32::MAX) }
    }

    /// The last run; none where it goes on for ever.
    pub fn last(&self) -> Option<DateTime<Utc>> {
        let by_count = self.occurrences.map(|count| self.start_at + self.interval * (count - 1).max(0));
        let by_end = self.end_at.map(|end| self.at(self.steps_to(end)));
        by_count.into_iter().chain(by_end).min()
    }

    /// The first run after `now`.
    pub fn next(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = if now < self.start_at { self.start_at } else { self.at(self.steps_to(now) + 1) };
        self.last().is_none_or(|last| next <= last).then_some(next)
    }

    /// The run that is expected when the one of `expected_at` is made good for by a file of `generated_at`: an interval after
    /// it, so that an interval that drifts is followed. A file that is nearer to a later run is of that one. One that comes
    /// much too early, but by less than half an interval, was made beside the schedule or ends a delay: the schedule says what
    /// follows. An older one changes nothing.
    pub fn after_arrival(&self, expected_at: DateTime<Utc>, generated_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let runs_later = self.steps_between(expected_at, generated_at + self.interval / 2).max(0);
        let expected_at = self.steps_after(expected_at, runs_later);
        let early = expected_at - generated_at;
        let next = if early > self.interval / 2 {
            expected_at
        } else if early > (self.interval / 8).min(MOST_EARLY) {
            self.nearest(generated_at) + self.interval
        } else {
            generated_at + self.interval
        };
        // The schedule may have been moved since.
        let next = next.max(self.start_at);
        // Runs that drift end later than the schedule says.
        self.last().is_none_or(|last| next <= last + self.interval / 2).then_some(next)
    }

    /// From when on the run after one that came at `arrived_at` may be there, by the schedule.
    pub fn soonest_after(&self, arrived_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.next(arrived_at + self.interval / 2)
    }

    /// The runs after `now` and before `start_at`: those that a new start takes away. The first ten.
    pub fn lost(&self, now: DateTime<Utc>, start_at: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let Some(first) = self.next(now) else { return Vec::new() };
        let runs = (0..MOST_LISTED).map(|step| first + self.interval * i32::try_from(step).unwrap_or(0));
        runs.take_while(|run| *run < start_at && self.last().is_none_or(|last| *run <= last)).collect()
    }

    fn nearest(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        self.at(self.steps_to(at + self.interval / 2))
    }

    fn seconds(&self) -> i64 {
        self.interval.num_seconds().max(1)
    }

    fn steps_to(&self, at: DateTime<Utc>) -> i64 {
        self.steps_between(self.start_at, at)
    }

    fn at(&self, steps: i64) -> DateTime<Utc> {
        self.steps_after(self.start_at, steps)
    }

    fn steps_between(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> i64 {
        (until - from).num_seconds().div_euclid(self.seconds())
    }

    fn steps_after(&self, from: DateTime<Utc>, steps: i64) -> DateTime<Utc> {
        from + TimeDelta::seconds(steps.saturating_mul(self.seconds()))
    }
}

/// This start where the API still takes it, else the first of the same phase that it takes with a margin.
pub fn next_start(start_at: DateTime<Utc>, interval_hours: i32, now: DateTime<Utc>) -> DateTime<Utc> {
    if start_at >= now + LEAD + LEAST_MARGIN {
        return start_at;
    }
    let soonest = now + LEAD + MARGIN - TimeDelta::seconds(1);
    Schedule::new(start_at, interval_hours, None, None).next(soonest).unwrap_or(start_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> DateTime<Utc> {
        "2026-01-06T12:00:00Z".parse().unwrap()
    }

    fn hours(after: i64) -> DateTime<Utc> {
        start() + TimeDelta::hours(after)
    }

    fn daily(occurrences: Option<i32>) -> Schedule {
        Schedule::new(start(), 24, occurrences, None)
    }

    #[test]
    fn the_next_expectation_follows_what_came() {
        for (came, expected) in [(0, 24), (1, 25), (-1, 23), (-4, 24), (-20, 0), (11, 35), (13, 48), (50, 74)] {
            assert_eq!(daily(None).after_arrival(start(), hours(came)), Some(hours(expected)), "came after {came} h");
        }
        assert_eq!(daily(None).after_arrival(hours(-30), hours(-30)), Some(start()), "moved to a later start");
    }

    #[test]
    fn an_interval_that_drifts_is_followed_both_ways() {
        for drift in [TimeDelta::minutes(17), TimeDelta::minutes(-17), TimeDelta::minutes(55)] {
            let (mut expected, mut came) = (start(), start());
            for run in 1..=30 {
                expected = daily(None).after_arrival(expected, came).unwrap();
                came += TimeDelta::hours(24) + drift;
                assert_eq!((came - expected).abs(), drift.abs(), "run {run} of {drift}");
            }
        }
    }

    #[test]
    fn a_delay_is_forgotten_when_the_next_run_comes_in_time() {
        let after_delay = daily(None).after_arrival(start(), hours(5)).unwrap();
        assert_eq!(after_delay, hours(29));

        assert_eq!(daily(None).after_arrival(after_delay, hours(24)), Some(hours(48)));
    }

    #[test]
    fn a_run_that_is_more_than_half_an_interval_late_leaves_the_next_its_time() {
        let after_delay = daily(None).after_arrival(start(), hours(13)).unwrap();
        let after_next = daily(None).after_arrival(after_delay, hours(24)).unwrap();

        assert_eq!((after_delay, after_next), (hours(48), hours(48)));
    }

    #[test]
    fn a_run_beside_the_schedule_takes_no_run_of_it_away() {
        for beside in [1, 6, 11, 13, 18, 23] {
            let expected = daily(None).after_arrival(hours(24), hours(beside)).unwrap();
            let then = daily(None).after_arrival(expected, hours(24)).unwrap();
            let then = daily(None).after_arrival(then, hours(48)).unwrap();
            assert!((hours(70)..=hours(73)).contains(&then), "beside at {beside} h: {then}");
        }
    }

    #[test]
    fn the_next_run_may_be_there_from_the_schedules_time_on() {
        for (arrived, soonest) in [(0, 24), (8, 24), (-1, 24), (11, 24), (13, 48)] {
            assert_eq!(daily(None).soonest_after(hours(arrived)), Some(hours(soonest)), "arrived at {arrived} h");
        }
    }

    #[test]
    fn the_last_runs_of_a_count_are_expected_though_they_drift() {
        let drifted = TimeDelta::hours(8);
        let schedule = daily(Some(30));
        assert_eq!(schedule.after_arrival(hours(28 * 24), hours(28 * 24) + drifted), Some(hours(29 * 24) + drifted));
        assert_eq!(schedule.after_arrival(hours(29 * 24) + drifted, hours(29 * 24) + drifted), None);
    }

    #[test]
    fn the_next_run_is_the_first_of_the_schedule_that_has_not_passed() {
        for (now, expected) in [(-30, 0), (-1, 0), (0, 24), (25, 48)] {
            assert_eq!(daily(None).next(hours(now)), Some(hours(expected)), "at {now} h");
        }
        assert_eq!(daily(Some(1)).next(hours(1)), None);
    }

    #[test]
    fn after_the_last_occurrence_nothing_is_expected() {
        assert_eq!(daily(Some(1)).after_arrival(start(), start()), None);
        assert_eq!(daily(Some(2)).after_arrival(start(), start()), Some(hours(24)));
        let until = Schedule { end_at: Some(hours(47)), ..daily(Some(9)) };
        assert_eq!((until.last(), until.next(hours(24))), (Some(hours(24)), None));
    }

    #[test]
    fn runs_are_counted_until_the_last_one() {
        for (now, passed) in [(-1, 0), (0, 1), (23, 1), (24, 2), (500, 3)] {
            assert_eq!(daily(Some(3)).passed(hours(now)), passed, "at {now} h");
        }
    }

    #[test]
    fn a_start_that_has_passed_moves_to_the_next_of_its_phase_with_a_margin() {
        let now = hours(30);

        assert_eq!(next_start(start(), 24, now), hours(48));
        assert_eq!(next_start(hours(39), 24, now), hours(39));
        assert_eq!(next_start(hours(34), 4, now), hours(38));
        let just = now + TimeDelta::minutes(245);
        assert_eq!(next_start(just - TimeDelta::hours(24), 24, now), just);
    }

    #[test]
    fn the_runs_that_a_new_start_takes_away_are_listed() {
        let often = Schedule::new(start(), 4, None, None);

        assert_eq!(often.lost(hours(5), hours(12)), [hours(8)]);
        assert!(often.lost(hours(5), hours(8)).is_empty());
        assert_eq!(often.lost(hours(5), hours(500)).len(), 10);
        assert!(Schedule { occurrences: Some(1), ..often }.lost(hours(5), hours(500)).is_empty());
    }

    #[test]
    fn a_count_that_no_calendar_holds_is_cut() {
        let start: DateTime<Utc> = "2026-01-06T12:00:00Z".parse().unwrap();

        assert!(Schedule::new(start, 2160, Some(i32::MAX), None).last().is_some());
    }
}
