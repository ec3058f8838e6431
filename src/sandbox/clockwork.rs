//! What happens by itself: occurrences come due, executions walk to their end, callbacks go out.
//!
//! All of it follows the sandbox's clock. Speed shortens only the wait for an occurrence; the rules and all times that are
//! printed stay real. A tick does what is due and returns when the callbacks are answered or have failed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::callback::{self, Call, Delayed};
use super::fault::{Fault, Faults};
use super::handle::Handle;
use super::ids::Ids;
use super::world::{Execution, ExecutionStatus, FileSpec, NextFiles, Report, ReportStatus, Schedule, World};

const TICK: Duration = Duration::from_millis(50);
/// A report that lags behind further than that catches up in the next ticks.
const OCCURRENCES_AT_ONCE: usize = 100;

/// How time passes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How many times sooner than scheduled an occurrence is due.
    pub(super) speed: f64,
    /// From the start of an execution to its end.
    pub(super) run_time: Duration,
    /// From the start of an execution to its running.
    pub(super) pending_time: Duration,
    /// How long a callback is held back that is to come late.
    pub(super) callback_delay: Duration,
}

/// A callback that an execution owes.
enum Owed {
    Now(Call),
    Later(Delayed),
}

/// Does what is due, again and again, until it is told to stop.
pub(super) async fn keep_ticking(handle: Handle, stop: CancellationToken) {
    let mut sending = tokio::task::JoinSet::new();
    let mut timer = tokio::time::interval(TICK);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while stop.run_until_cancelled(timer.tick()).await.is_some() {
        let calls = handle.advance();
        if !calls.is_empty() {
            let handle = handle.clone();
            sending.spawn(async move { callback::send(&handle, calls).await });
        }
        while sending.try_join_next().is_some() {}
    }
}

/// Brings the world to this moment and tells which callbacks that caused.
pub(super) fn advance(world: &mut World, now: DateTime<Utc>, pace: Pace) -> Vec<Call> {
    let World { reports, faults, ids, next_files, delayed, .. } = world;
    let mut calls: Vec<Call> =
        delayed.extract_if(.., |callback| callback.due_at <= now).map(|callback| callback.call).collect();
    for report in reports {
        for _ in 0..OCCURRENCES_AT_ONCE {
            let Some((start, schedule)) = due_occurrence(report, now, pace) else { break };
            if report.status == ReportStatus::Active {
                report.runs += 1;
                calls.extend(start_execution(report, start, true, faults, ids));
            }
            report.next_start = following(report, &schedule);
        }
        for owed in walk(report, now, pace, faults, next_files) {
            match owed {
                Owed::Now(call) => calls.push(call),
                Owed::Later(callback) => delayed.push(callback),
            }
        }
    }
    calls
}

/// When the next occurrence is due by the sandbox's clock, which speed brings nearer; never, when that is beyond all times.
pub(super) fn due_at(report: &Report, pace: Pace) -> Option<DateTime<Utc>> {
    let wait = (report.next_start? - report.anchor).to_std().unwrap_or_default();
    report.anchor.checked_add_signed(TimeDelta::from_std(wait.div_f64(pace.speed)).ok()?)
}

/// Begins an execution of a report; the answer is a callback that comes too early, if there is to be one.
pub(super) fn start_execution(
    report: &mut Report,
    due_at: DateTime<Utc>,
    with_callback: bool,
    faults: &mut Faults,
    ids: &mut Ids,
) -> Option<Call> {
    let early = with_callback && report.terms.callback_url.is_some() && faults.take(Fault::CallbackEarly);
    let file = FileSpec {
        format: report.terms.format,
        columns: report.columns.clone(),
        rows: 0,
        edition: report.executions.len() as u64,
    };
    report.add_execution(Execution {
        id: ids.next(),
        status: ExecutionStatus::Pending,
        due_at,
        generated_at: None,
        callback_owed: with_callback && !early,
        file,
    });
    early.then(|| callback::of(report, faults)).flatten()
}

fn due_occurrence(report: &Report, now: DateTime<Utc>, pace: Pace) -> Option<(DateTime<Utc>, Schedule)> {
    let due_at = due_at(report, pace).filter(|due_at| *due_at <= now)?;
    Some((due_at, report.terms.schedule.clone()?))
}

/// The occurrence after this one, by the schedule's own words.
fn following(report: &Report, schedule: &Schedule) -> Option<DateTime<Utc>> {
    if schedule.count.is_some_and(|count| report.runs >= count) {
        return None;
    }
    let next = report.next_start?.checked_add_signed(TimeDelta::hours(i64::from(schedule.interval_hours)))?;
    schedule.end_at.is_none_or(|end_at| next <= end_at).then_some(next)
}

/// Brings a report's open executions to where they are now; the answer is the callbacks that this owes.
fn walk(report: &mut Report, now: DateTime<Utc>, pace: Pace, faults: &mut Faults, next_files: &NextFiles) -> Vec<Owed> {
    let mut owed = Vec::new();
    let mut executions = std::mem::take(&mut report.executions);
    for execution in executions.iter_mut().filter(|execution| execution.status.is_open()) {
        let ends_at = execution.due_at + pace.run_time;
        if now < ends_at {
            let waits = now < execution.due_at + pace.pending_time;
            execution.status = if waits { ExecutionStatus::Pending } else { ExecutionStatus::Running };
            continue;
        }
        if faults.take(Fault::ExecutionFailed) {
            execution.status = ExecutionStatus::Failed;
            continue;
        }
        complete(execution, ends_at, next_files, report.limit);
        if std::mem::take(&mut execution.callback_owed)
            && let Some(call) = callback::of(report, faults)
        {
            owed.extend(sent(call, now, pace, faults));
        }
    }
    report.executions = executions;
    if report.next_start.is_none() && !report.executions.iter().any(|execution| execution.status.is_open()) {
        report.status = ReportStatus::Inactive;
    }
    owed
}

fn complete(execution: &mut Execution, at: DateTime<Utc>, next_files: &NextFiles, limit: Option<u64>) {
    execution.status = ExecutionStatus::Completed;
    execution.generated_at = Some(at);
    execution.file.rows = limit.map_or(next_files.rows, |limit| limit.min(next_files.rows));
    if !next_files.columns.is_empty() {
        execution.file.columns.clone_from(&next_files.columns);
    }
}

/// A callback that is owed: as often, and as late, as the faults will have it.
fn sent(call: Call, now: DateTime<Utc>, pace: Pace, faults: &mut Faults) -> Vec<Owed> {
    if faults.take(Fault::CallbackLost) {
        Vec::new()
    } else if faults.take(Fault::CallbackTwice) {
        vec![Owed::Now(call.clone()), Owed::Now(call)]
    } else if faults.take(Fault::CallbackDelayed) {
        vec![Owed::Later(Delayed { due_at: now + pace.callback_delay, call })]
    } else {
        vec![Owed::Now(call)]
    }
}
