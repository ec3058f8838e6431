//! Builds the story of a report from rows: one chapter per execution, newest first, its steps in the order they happened.
//!
//! Pure. The API does not say which execution a callback is about, so that is told by time: a callback belongs to the run
//! that was found after it, else to the one that was under way, else it repeats the call for the last one.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::step::{Step, Teller, Tone, title, tone};
use super::store::{Attempt, Callback, Delivery, Download, Event, Execution};
use super::text::{Moment, number, size};
use crate::id::ExecutionId;

/// A callback and what it led to are not further apart than this.
const NEAR: TimeDelta = TimeDelta::hours(1);
/// A callback repeats the call for a run that ended at most this long ago.
const JUST: TimeDelta = TimeDelta::minutes(10);

/// All that the story is told from. Executions, events and callbacks come newest first.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) callbacks: Vec<Callback>,
    pub(super) executions: Vec<Execution>,
    /// Whether there are older executions.
    pub(super) is_cut: bool,
    pub(super) downloads: Vec<Download>,
    pub(super) events: Vec<Event>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) attempts: Vec<Attempt>,
}

/// One execution, or what belongs to none.
#[derive(Debug, Serialize)]
pub(super) struct Chapter {
    /// The execution's; calls and facts that belong to none have a chapter without.
    pub(super) id: Option<ExecutionId>,
    title: &'static str,
    state: Option<String>,
    tone: Tone,
    at: Moment,
    summary: Option<String>,
    pub(super) steps: Vec<Step>,
    #[serde(skip)]
    sorts_at: DateTime<Utc>,
}

/// The chapters, newest first.
pub(super) fn tell(rows: &Rows, now: DateTime<Utc>) -> Vec<Chapter> {
    let mut calls: Vec<Vec<&Callback>> = vec![Vec::new(); rows.executions.len()];
    let mut loose = Vec::new();
    for callback in &rows.callbacks {
        match run_of(callback, &rows.executions) {
            Some(run) => calls[run].push(callback),
            None => loose.push(callback),
        }
    }
    let mut chapters: Vec<Chapter> = Vec::new();
    for (execution, calls) in rows.executions.iter().zip(&calls) {
        chapters.push(of_execution(rows, execution, calls, now));
    }
    // What belongs to executions that are too old to be shown would only look lost.
    let begins_at =
        rows.executions.last().filter(|_| rows.is_cut).map_or(DateTime::<Utc>::MIN_UTC, |last| last.found_at);
    loose.retain(|callback| callback.received_at >= begins_at);
    chapters.extend(of_loose_calls(&loose, now));
    let of_none = rows.events.iter().filter(|event| event.execution_id.is_none());
    chapters.extend(of_none.filter(|event| event.occurred_at >= begins_at).map(|event| of_event(rows, event, now)));
    chapters.sort_by_key(|chapter| std::cmp::Reverse(chapter.sorts_at));
    chapters
}

/// The place of the execution that a callback is about.
fn run_of(callback: &Callback, executions: &[Execution]) -> Option<usize> {
    let at = callback.received_at;
    let ended_at = |execution: &Execution| match execution.state.as_str() {
        "stored" | "failed" => execution.updated_at,
        _ => DateTime::<Utc>::MAX_UTC,
    };
    let found_after = |execution: &Execution| execution.found_at >= at && execution.found_at - at <= NEAR;
    let under_way = |execution: &Execution| execution.found_at <= at && ended_at(execution) >= at;
    let just_ended = |execution: &Execution| ended_at(execution) <= at && at - ended_at(execution) <= JUST;
    // It says that a file is ready: the newest one that was, when it came.
    let just_made = |execution: &Execution| execution.generated_at.is_some_and(|made| made <= at && at - made <= NEAR);
    executions
        .iter()
        .position(just_made)
        .or_else(|| executions.iter().rposition(found_after))
        .or_else(|| executions.iter().position(under_way))
        .or_else(|| executions.iter().position(just_ended))
}

fn of_execution(rows: &Rows, execution: &Execution, calls: &[&Callback], now: DateTime<Utc>) -> Chapter {
    let begins_at =
        calls.iter().map(|call| call.received_at).min().map_or(execution.found_at, |at| at.min(execution.found_at));
    let teller = Teller { rows, begins_at, now };
    let mut steps: Vec<Step> = calls.iter().rev().map(|call| teller.callback(call)).collect();
    steps.push(teller.found(execution));
    let download = rows.downloads.iter().find(|download| download.execution_id == execution.id);
    steps.extend(download.map(|download| teller.download(download)));
    let events = rows.events.iter().rev().filter(|event| event.execution_id == Some(execution.id));
    steps.extend(events.map(|event| teller.event(event)));
    steps.sort_by_key(|step| step.happened_at);
    let at = execution.generated_at.unwrap_or(execution.found_at);
    Chapter {
        id: Some(execution.id),
        title: "Execution",
        state: Some(execution.state.clone()),
        tone: match execution.state.as_str() {
            "stored" => Tone::Good,
            "failed" => Tone::Bad,
            _ => Tone::Busy,
        },
        at: Moment::new(at, now),
        summary: download
            .and_then(|download| Some(format!("{} rows · {}", number(download.rows?), size(download.size_bytes?)))),
        steps,
        sorts_at: execution.found_at,
    }
}

fn of_loose_calls(calls: &[&Callback], now: DateTime<Utc>) -> Option<Chapter> {
    let (newest, oldest) = (calls.first()?, calls.last()?);
    let teller = Teller { rows: &Rows::default(), begins_at: oldest.received_at, now };
    let is_fresh = now - newest.received_at <= NEAR;
    Some(Chapter {
        id: None,
        title: if is_fresh { "Called; looking for the execution" } else { "Callbacks without an execution" },
        state: None,
        tone: if is_fresh { Tone::Busy } else { Tone::Calm },
        at: Moment::new(newest.received_at, now),
        summary: None,
        steps: calls.iter().rev().map(|call| teller.callback(call)).collect(),
        sorts_at: newest.received_at,
    })
}

fn of_event(rows: &Rows, event: &Event, now: DateTime<Utc>) -> Chapter {
    let teller = Teller { rows, begins_at: event.occurred_at, now };
    Chapter {
        id: None,
        title: title(&event.kind),
        state: None,
        tone: tone(&event.kind),
        at: Moment::new(event.occurred_at, now),
        summary: None,
        steps: vec![teller.event(event)],
        sorts_at: event.occurred_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_154_531 + seconds, 0).unwrap()
    }

    fn call(seconds: i64) -> Callback {
        let (method, path) = ("POST".into(), format!("/{seconds}"));
        Callback { received_at: at(seconds), method, path, query: None, remote_address: None }
    }

    fn run(found: i64, ended: Option<i64>) -> Execution {
        Execution {
            id: ExecutionId::at(at(found)),
            remote_id: "remote".into(),
            status: "Completed".into(),
            state: if ended.is_some() { "stored" } else { "pending" }.into(),
            found_by: "callback".into(),
            silent: false,
            generated_at: None,
            failure: None,
            found_at: at(found),
            updated_at: at(ended.unwrap_or(found)),
        }
    }

    #[test]
    fn a_callback_belongs_to_the_run_found_after_it_else_under_way_else_just_ended() {
        const DAY: i64 = 86_400;
        // Newest first: one that is under way, one of a day before, and one of two days before.
        let runs = [run(2 * DAY, None), run(DAY, Some(DAY + 5)), run(0, Some(3))];

        for (called, expected) in [
            (-1, Some(2)),
            (1, Some(2)),
            (60, Some(2)),
            (7200, None),
            (DAY - 10, Some(1)),
            (2 * DAY - 1, Some(0)),
            (2 * DAY + 9000, Some(0)),
        ] {
            assert_eq!(run_of(&call(called), &runs), expected, "called after {called} s");
        }
    }

    #[test]
    fn a_callback_that_came_after_its_run_was_found_by_schedule_does_not_move_to_the_next_run() {
        let made = |found: i64| Execution { generated_at: Some(at(found - 2)), ..run(found, Some(found + 1)) };
        let runs = [made(100), made(0)];

        assert_eq!(run_of(&call(2), &runs), Some(1));
        assert_eq!(run_of(&call(99), &runs), Some(0));
    }

    #[test]
    fn chapters_are_newest_first_and_steps_in_their_order_counted_from_the_callback() {
        let rows = Rows {
            callbacks: vec![call(90_000), call(2), call(0)],
            executions: vec![run(5, Some(9))],
            ..Rows::default()
        };

        let chapters = tell(&rows, at(90_001));

        let shown = serde_json::to_value(&chapters).unwrap();
        assert_eq!(shown[0]["title"], "Called; looking for the execution");
        assert_eq!(shown[1]["id"], serde_json::json!(rows.executions[0].id));
        let steps: Vec<_> = (0..3).map(|at| &shown[1]["steps"][at]).collect();
        assert_eq!(steps[0]["what"]["path"], "/callbacks/…/0");
        assert_eq!((&steps[0]["after"], &steps[1]["after"]), (&serde_json::Value::Null, &"+2.0 s".into()));
        assert_eq!((&steps[2]["what"]["kind"], &steps[2]["after"]), (&"found".into(), &"+5.0 s".into()));
    }

    #[test]
    fn what_belongs_to_executions_too_old_to_be_shown_is_left_out() {
        let fact = |execution_id| Event {
            id: crate::id::EventId::at(at(0)),
            kind: "report.late".into(),
            occurred_at: at(0),
            execution_id,
            data: serde_json::json!({}),
        };
        let rows = |is_cut| Rows {
            callbacks: vec![call(0)],
            executions: vec![run(90_000, Some(90_001))],
            events: vec![fact(None), fact(Some(ExecutionId::at(at(0))))],
            is_cut,
            ..Rows::default()
        };

        assert_eq!(tell(&rows(false), at(90_002)).len(), 3);
        assert_eq!(tell(&rows(true), at(90_002)).len(), 1);
    }
}
