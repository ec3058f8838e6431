//! Builds the story of a report from rows: one chapter per execution, newest first, its steps in the order they happened.
//!
//! Pure. The API does not say which execution a callback is about, so that is told by time: a callback belongs to the run
//! that was found after it, else to the one that was under way, else it repeats the call for the last one.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::step::{Step, Teller, Tone, title, tone};
use super::store::{Attempt, Callback, Delivery, Download};
use super::text::{Moment, number, size};
use crate::event::Event;
use crate::execution::{Execution, State};
use crate::id::ExecutionId;

/// A callback and what it led to are not further apart than this.
const NEAR: TimeDelta = TimeDelta::hours(1);

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
    state: Option<&'static str>,
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
    let of_none = rows.events.iter().filter(|event| event.about.execution_id.is_none());
    chapters.extend(of_none.filter(|event| event.occurred_at >= begins_at).map(|event| of_event(rows, event, now)));
    chapters.sort_by_key(|chapter| std::cmp::Reverse(chapter.sorts_at));
    chapters
}

/// The place of the execution that a callback is about.
fn run_of(callback: &Callback, executions: &[Execution]) -> Option<usize> {
    let at = callback.received_at;
    let ended_at = |execution: &Execution| match execution.state {
        State::Stored | State::Failed => execution.updated_at,
        State::Pending | State::Ready => DateTime::<Utc>::MAX_UTC,
    };
    let found_after = |execution: &Execution| execution.found_at >= at && execution.found_at - at <= NEAR;
    let under_way = |execution: &Execution| execution.found_at <= at && ended_at(execution) >= at;
    let just_ended = |execution: &Execution| ended_at(execution) <= at && at - ended_at(execution) <= NEAR;
    executions
        .iter()
        .rposition(found_after)
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
    let events = rows.events.iter().rev().filter(|event| event.about.execution_id == Some(execution.id));
    steps.extend(events.map(|event| teller.event(event)));
    steps.sort_by_key(|step| step.happened_at);
    let at = execution.generated_at.unwrap_or(execution.found_at);
    Chapter {
        id: Some(execution.id),
        title: "Execution",
        state: Some(execution.state.as_str()),
        tone: match execution.state {
            State::Stored => Tone::Good,
            State::Pending | State::Ready => Tone::Busy,
            State::Failed => Tone::Bad,
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
        title: title(event.kind),
        state: None,
        tone: tone(event.kind),
        at: Moment::new(event.occurred_at, now),
        summary: None,
        steps: vec![teller.event(event)],
        sorts_at: event.occurred_at,
    }
}
