//! When to ask the API for executions of a report.
//!
//! A check is due when a callback came, when a run is expected by schedule, when somebody asks, and once after each start.
//! Each of these makes a run *expected*: it is asked for quickly at first, then each minute for an hour, and one that is
//! overdue each ten minutes after that, until something new is found. A call during a check is never forgotten: a check remembers how many calls there
//! were when it was claimed, and one that ends with more is due again at once. A thousand calls mean a handful of checks.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};

use super::State;
use super::store::checks::Standing;
use super::store::{self, checks, comparisons, settle};
use crate::db::{self, Stored};
use crate::id::{AccountId, ReportId};
use crate::insights;
use crate::retry::{Backoff, Failure};

/// How long after a run became expected it is asked for.
const QUICK: [TimeDelta; 4] =
    [TimeDelta::seconds(2), TimeDelta::seconds(5), TimeDelta::seconds(15), TimeDelta::seconds(30)];
const MINUTE: TimeDelta = TimeDelta::minutes(1);
const HOUR: TimeDelta = TimeDelta::hours(1);
const PATIENT: TimeDelta = TimeDelta::minutes(10);
/// A report from which nothing is expected is looked at now and then all the same.
const IDLE: TimeDelta = TimeDelta::hours(6);

/// A claimed check.
#[derive(Debug, Clone)]
pub struct Check {
    /// The report.
    pub report_id: ReportId,
    /// Its id at the API.
    pub remote_id: insights::ReportId,
    /// Whose.
    pub account_id: AccountId,
    pub(super) lease: i64,
    pub(super) began_at: DateTime<Utc>,
    pub(super) calls: i64,
    /// A callback came since the last check.
    pub called: bool,
    /// Somebody asked for it, or for the report to run at once.
    pub manual: bool,
    /// A run is expected.
    pub expected: bool,
    /// It is the first question for that run, or the first since a start.
    pub first: bool,
    /// When the API last answered.
    pub good_at: Option<DateTime<Utc>>,
    /// Hours between runs.
    pub interval_hours: Option<i32>,
    /// Since when we know a report that existed there before us: what it made before is nobody's news.
    pub adopted_at: Option<DateTime<Utc>>,
    /// The report is over there: everything is asked for before it is left behind.
    pub closes: bool,
}

/// How a check stands after it.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) due_at: Option<DateTime<Utc>>,
    pub(super) done_calls: Option<i64>,
    pub(super) expected_since: Option<DateTime<Utc>>,
    pub(super) tries: i32,
    pub(super) good_at: Option<DateTime<Utc>>,
    pub(super) found: bool,
    /// Calls that came meanwhile came after this.
    pub(super) began_at: DateTime<Utc>,
    pub(super) closed: bool,
}

/// Makes a check due because somebody asks.
pub async fn ask(conn: &mut PgConnection, id: ReportId, now: DateTime<Utc>) -> Stored<()> {
    checks::expect(conn, id, true, now).await
}

/// Claims up to `limit` due checks.
pub async fn claim(pool: &PgPool, now: DateTime<Utc>, limit: i64) -> Stored<Vec<Check>> {
    checks::claim(&mut *pool.acquire().await?, now, limit).await
}

/// Renews the lease of a check.
pub async fn renew(pool: &PgPool, check: &Check, now: DateTime<Utc>) -> Stored<()> {
    checks::renew(&mut *pool.acquire().await?, check, now).await
}

/// Gives a check back that was not finished: it is due as before.
pub async fn release(pool: &PgPool, check: &Check) -> Stored<()> {
    checks::release(&mut *pool.acquire().await?, check).await
}

/// Ends a check that was answered. `found`: something new was found. `open`: an execution is under way.
pub async fn answered(
    conn: &mut PgConnection,
    check: &Check,
    found: bool,
    open: bool,
    now: DateTime<Utc>,
) -> Stored<()> {
    if check.closes {
        settle::go_on(conn, check.report_id, now).await?;
    }
    let Standing { calls, called_since, expected_since, tries } = checks::lock(conn, check).await?;
    let report = store::find(conn, check.report_id).await?.ok_or(db::StoreError::Lost)?;
    // A run expected from a time ahead was expected before the clock was set back.
    let expected_since = expected_since.map(|since| since.min(now));
    let called_meanwhile = calls > check.calls;
    let overdue = report.expected_at.filter(|at| *at <= now);
    let expected_since = match (found && !called_meanwhile, open) {
        (_, true) => expected_since.or(Some(now)),
        (true, false) => None,
        // An hour is enough for what only might come; what is overdue is asked for until it comes.
        (false, false) => expected_since.filter(|since| now - *since < HOUR).or(overdue),
    };
    let next = match expected_since {
        Some(since) => Some(next_question(since, tries, now)),
        // Nothing more comes of it, unless somebody calls or asks.
        None if report.state == State::Ended => None,
        None => Some(idle_until(report.expected_at, report.soonest(), now)),
    };
    let outcome = Outcome {
        due_at: if called_meanwhile { Some(now) } else { next },
        done_calls: Some(check.calls),
        expected_since,
        tries: if expected_since.is_some() { tries + 1 } else { 0 },
        good_at: Some(now),
        found,
        began_at: check.began_at,
        closed: check.closes,
    };
    if let Some(since) = called_since.filter(|_| check.called) {
        let waited = (now - since).to_std().unwrap_or_default();
        metrics::histogram!("tidings_callback_resolved_seconds").record(waited.as_secs_f64());
    }
    checks::finish(conn, check, &outcome).await?;
    if check.closes {
        comparisons::due(conn, check.account_id, now).await?;
    }
    Ok(())
}

/// Ends a check that was not answered. With a failure that counts, the next try waits longer each time.
pub async fn unanswered(
    conn: &mut PgConnection,
    check: &Check,
    failure: Option<&Failure>,
    now: DateTime<Utc>,
) -> Stored<()> {
    let Standing { expected_since, tries, .. } = checks::lock(conn, check).await?;
    let wait = match failure {
        Some(failure) => {
            let attempt = u32::try_from(tries + 1).unwrap_or(1);
            failure.after.unwrap_or_else(|| Backoff::MICROSOFT.wait(attempt))
        }
        None => Duration::ZERO,
    };
    let outcome = Outcome {
        due_at: Some(now + wait),
        done_calls: None,
        expected_since,
        tries: tries + i32::from(failure.is_some()),
        good_at: None,
        found: false,
        began_at: check.began_at,
        closed: false,
    };
    checks::finish(conn, check, &outcome).await
}

fn next_question(since: DateTime<Utc>, tries: i32, now: DateTime<Utc>) -> DateTime<Utc> {
    let quick = usize::try_from(tries).ok().and_then(|tries| QUICK.get(tries)).map(|after| since + *after);
    let patient = if now - since < HOUR { now + MINUTE } else { now + PATIENT };
    quick.filter(|at| *at > now).unwrap_or(if quick.is_some() { now + TimeDelta::seconds(5) } else { patient })
}

/// A run that is expected later than the schedule says, because others came late, may be in time again.
fn idle_until(expected_at: Option<DateTime<Utc>>, soonest: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
    let idle = now + IDLE;
    let Some(expected_at) = expected_at.filter(|at| *at > now) else { return idle };
    let soonest = soonest.map_or(expected_at, |at| if at > now { at } else { now + PATIENT });
    expected_at.min(soonest).min(idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_run_is_asked_for_quickly_then_each_minute_for_an_hour_then_patiently() {
        let since: DateTime<Utc> = "2026-01-05T08:00:00Z".parse().unwrap();
        let (mut now, mut asked) = (since, Vec::new());
        for tries in 0..70 {
            now = next_question(since, tries, now);
            asked.push((now - since).num_seconds());
        }

        assert_eq!(asked[..6], [2, 5, 15, 30, 90, 150]);
        assert!(asked.windows(2).all(|pair| pair[1] - pair[0] <= 600));
        assert_eq!(asked[69] - asked[68], 600);
        assert!(asked.iter().filter(|second| **second <= 3600).count() >= 60);
    }

    #[test]
    fn an_idle_report_is_looked_at_when_it_is_expected_and_every_six_hours_at_least() {
        let now: DateTime<Utc> = "2026-01-05T08:00:00Z".parse().unwrap();

        assert_eq!(idle_until(Some(now + TimeDelta::hours(1)), None, now), now + TimeDelta::hours(1));
        assert_eq!(idle_until(Some(now + TimeDelta::hours(24)), None, now), now + IDLE);
        assert_eq!(idle_until(None, None, now), now + IDLE);
    }

    #[test]
    fn a_run_expected_late_is_looked_for_from_the_time_of_the_schedule_on() {
        let now: DateTime<Utc> = "2026-01-05T08:00:00Z".parse().unwrap();
        let expected = Some(now + TimeDelta::hours(3));

        assert_eq!(idle_until(expected, Some(now + TimeDelta::hours(1)), now), now + TimeDelta::hours(1));
        assert_eq!(idle_until(expected, Some(now - TimeDelta::hours(1)), now), now + PATIENT);
        assert_eq!(idle_until(None, Some(now - TimeDelta::hours(1)), now), now + IDLE);
    }
}
