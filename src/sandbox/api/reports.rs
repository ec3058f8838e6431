//! Reports: made, changed, paused, resumed, listed, deleted.

use std::collections::VecDeque;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, State};
use axum::http::Uri;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::envelope::Answer;
use super::params::Params;
use crate::sandbox::callback::{self, Call};
use crate::sandbox::clockwork;
use crate::sandbox::datasets::{self, Selection};
use crate::sandbox::fault::Fault;
use crate::sandbox::handle::Handle;
use crate::sandbox::rules::{self, Fields, Refusal};
use crate::sandbox::world::{Caller, Program, Query, Report, ReportStatus, Terms, World, stamp};

const KNOWS_END: &str = "/insights/v1.1/cmp/";

pub(super) async fn list(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Answer, Refusal> {
    let wanted = |value: &str, name: &str| params.text(name).is_none_or(|wanted| value.eq_ignore_ascii_case(wanted));
    let user = &handle.user(caller);
    let values: Vec<Value> = handle.with(|world| {
        let reports = world.reports.iter().filter(|report| {
            caller.has(report)
                && wanted(&report.id, "reportid")
                && wanted(&report.terms.name, "reportname")
                && wanted(&report.query_id, "queryid")
        });
        reports.map(|report| view(report, user)).collect()
    });
    if values.is_empty() {
        return Err(Refusal::no_item());
    }
    Ok(Answer::found(values, "Reports fetched successfully"))
}

pub(super) async fn create(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    OriginalUri(uri): OriginalUri,
    body: Bytes,
) -> Result<Answer, Refusal> {
    let fields = fields(&uri, &body)?;
    let query_id = fields.required("queryid")?;
    let (now, dates) = (handle.now(), handle.settings().date_messages);
    let with_callback = handle.settings().callback_execute_now;
    let (view, early, is_answered) = handle.with(|world| {
        let query = world.query(caller, query_id).ok_or_else(|| Refusal::bad("Invalid QueryID"))?;
        let selection = datasets::select(caller.program, &query.text)?;
        let terms = rules::terms(&fields, selection.dataset.minimum_interval, now, dates)?;
        let mut report = new_report(query, caller, selection, terms, now);
        rules::active_quota(world, caller)?;
        if report.terms.schedule.is_none() {
            rules::execute_now_quota(world, caller, now)?;
        }
        report.id = world.ids.next();
        let view = view(&report, &handle.user(caller));
        let early = add(world, report, now, with_callback);
        Ok((view, early, !world.faults.take(Fault::CreationUnanswered)))
    })?;
    callback::send(&handle, early.into_iter().collect()).await;
    if !is_answered {
        return Err(Refusal::internal(rules::CREATING_REPORT));
    }
    Ok(Answer::found(vec![view], "Report created successfully"))
}

pub(super) async fn update(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    OriginalUri(uri): OriginalUri,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Answer, Refusal> {
    let fields = fields(&uri, &body)?;
    if caller.program == Program::Cmp {
        fields.required("format")?;
        fields.required("callbackurl")?;
    }
    let (now, dates) = (handle.now(), handle.settings().date_messages);
    let view = handle.with(|world| {
        let room = rules::active_quota(world, caller);
        let report = world.report_mut(caller, &id).ok_or_else(Refusal::no_item)?;
        let selection = datasets::select(caller.program, &report.query)?;
        let terms = rules::terms(&fields, selection.dataset.minimum_interval, now, dates)?;
        let Some(schedule) = &terms.schedule else { return Err(Refusal::bad("Invalid report parameters")) };
        if report.status == ReportStatus::Inactive {
            room?;
            report.status = ReportStatus::Active;
        }
        report.next_start = Some(schedule.start_at);
        report.anchor = now;
        report.runs = 0;
        report.modified_at = Some(now);
        report.terms = terms;
        Ok(view(report, &handle.user(caller)))
    })?;
    Ok(Answer::found(vec![view], "Report updated successfully"))
}

pub(super) async fn remove(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Answer, Refusal> {
    let report = handle.with(|world| {
        let is_it = |report: &Report| caller.has(report) && report.id.eq_ignore_ascii_case(id.trim());
        let at = world.reports.iter().position(is_it).ok_or_else(Refusal::no_item)?;
        Ok(world.reports.remove(at))
    })?;
    let mut view = view(&report, &handle.user(caller));
    view["reportStatus"] = json!(ReportStatus::Inactive);
    Ok(Answer::found(vec![view], "Report deleted successfully"))
}

pub(super) async fn pause(
    state: State<Handle>,
    caller: Extension<Caller>,
    id: Path<String>,
) -> Result<Answer, Refusal> {
    turn(&state, *caller, &id, ReportStatus::Active, ReportStatus::Paused, "Report paused successfully")
}

pub(super) async fn resume(
    state: State<Handle>,
    caller: Extension<Caller>,
    id: Path<String>,
) -> Result<Answer, Refusal> {
    turn(&state, *caller, &id, ReportStatus::Paused, ReportStatus::Active, "Report resumed successfully")
}

/// Turns a report that is in one status to another; in any other it stays as it is and is answered as it is.
fn turn(
    handle: &Handle,
    caller: Caller,
    id: &str,
    from: ReportStatus,
    to: ReportStatus,
    message: &str,
) -> Result<Answer, Refusal> {
    let now = handle.now();
    let view = handle.with(|world| {
        let room = rules::active_quota(world, caller);
        let report = world.report_mut(caller, id).ok_or_else(Refusal::no_item)?;
        if report.status == from {
            if to == ReportStatus::Active {
                room?;
            }
            report.status = to;
            report.modified_at = Some(now);
        }
        Ok(view(report, &handle.user(caller)))
    })?;
    Ok(Answer::found(vec![view], message))
}

fn new_report(query: &Query, caller: Caller, selection: Selection, terms: Terms, now: DateTime<Utc>) -> Report {
    Report {
        id: String::new(),
        program: caller.program,
        account: caller.account,
        query_id: query.id.clone(),
        query: query.text.clone(),
        columns: selection.columns,
        limit: selection.limit,
        status: ReportStatus::Active,
        created_at: now,
        modified_at: None,
        anchor: now,
        next_start: terms.schedule.as_ref().map(|schedule| schedule.start_at),
        runs: 0,
        executions: VecDeque::new(),
        terms,
    }
}

/// Only the newest version for the marketplace knows an end; elsewhere it is one more member that nobody reads.
fn fields(uri: &Uri, body: &[u8]) -> Result<Fields, Refusal> {
    let mut fields = Fields::read(body)?;
    if !uri.path().starts_with(KNOWS_END) {
        fields.forget("endtime");
    }
    Ok(fields)
}

/// A report that runs once begins at once; nobody is called when it ends, unless the sandbox was told otherwise. The answer
/// is a callback that comes too early, if there is to be one.
fn add(world: &mut World, mut report: Report, now: DateTime<Utc>, with_callback: bool) -> Option<Call> {
    let runs_at_once = report.terms.schedule.is_none();
    let World { faults, ids, .. } = world;
    let start = || clockwork::start_execution(&mut report, now, with_callback, faults, ids);
    let early = runs_at_once.then(start).flatten();
    world.add_report(report);
    early
}

fn view(report: &Report, user: &str) -> Value {
    let schedule = report.terms.schedule.as_ref();
    let mut view = json!({
        "reportId": report.id,
        "reportName": report.terms.name,
        "description": report.terms.description,
        "queryId": report.query_id,
        "query": report.query,
        "user": user,
        "createdTime": stamp(report.created_at),
        "modifiedTime": report.modified_at.map(stamp),
        "executeNow": schedule.is_none(),
        "startTime": stamp(schedule.map_or(report.created_at, |schedule| schedule.start_at)),
        "reportStatus": report.status,
        "recurrenceInterval": schedule.map_or(0, |schedule| schedule.interval_hours),
        "recurrenceCount": schedule.and_then(|schedule| schedule.count),
        "callbackUrl": report.terms.callback_url,
        "CallbackMethod": report.terms.callback_method,
        "format": report.terms.format,
    });
    if let Some(end_at) = schedule.and_then(|schedule| schedule.end_at) {
        view["endTime"] = json!(stamp(end_at));
    }
    view
}
