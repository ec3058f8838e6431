//! The executions of reports, each with a fresh secure link once it is completed.

use axum::Extension;
use axum::extract::{Path, State};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::envelope::Answer;
use super::params::{Params, split};
use crate::sandbox::blob;
use crate::sandbox::fault::{Fault, Faults};
use crate::sandbox::handle::Handle;
use crate::sandbox::rules::Refusal;
use crate::sandbox::settings::DefaultExecutions;
use crate::sandbox::world::{Caller, Execution, ExecutionStatus, Report, World, stamp};

const LISTED_FOR: TimeDelta = TimeDelta::days(90);

struct Wanted<'a> {
    ids: Option<Vec<&'a str>>,
    /// None: it wasn't said.
    statuses: Option<Vec<ExecutionStatus>>,
    latest: bool,
}

pub(super) async fn list(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    Path(reports): Path<String>,
    params: Params,
) -> Result<Answer, Refusal> {
    let reports = split(&reports);
    handle.with(|world| reports.iter().for_each(|id| world.count_question(id)));
    let wanted = Wanted {
        ids: params.list("executionid"),
        statuses: statuses(&handle, &params)?,
        latest: params.flag("getlatestexecution").unwrap_or(true),
    };
    let values: Vec<Value> = reports.into_iter().flat_map(|id| of_report(&handle, caller, id, &wanted)).collect();
    if values.is_empty() {
        return Err(Refusal::no_execution());
    }
    Ok(Answer::silent(values))
}

fn statuses(handle: &Handle, params: &Params) -> Result<Option<Vec<ExecutionStatus>>, Refusal> {
    let Some(names) = params.list("executionstatus") else { return Ok(None) };
    let known = |name: &str| {
        let mut all = ExecutionStatus::ALL.into_iter();
        all.find(|status| status_name(handle, *status).eq_ignore_ascii_case(name))
    };
    names
        .into_iter()
        .map(|name| known(name).ok_or_else(|| Refusal::unknown_value(name)))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// The name of a status; that of a failure is undocumented, and so anyone's.
fn status_name(handle: &Handle, status: ExecutionStatus) -> &str {
    if status == ExecutionStatus::Failed { &handle.settings().failure_status } else { status.name() }
}

/// Whether an execution is told to one who names no status.
fn is_told(default: DefaultExecutions, report: &Report, execution: &Execution) -> bool {
    match default {
        DefaultExecutions::Any => true,
        DefaultExecutions::Observed if report.terms.schedule.is_none() => execution.status != ExecutionStatus::Failed,
        _ => execution.status == ExecutionStatus::Completed,
    }
}

fn of_report(handle: &Handle, caller: Caller, id: &str, wanted: &Wanted) -> Vec<Value> {
    let oldest = handle.now() - LISTED_FOR;
    let default = handle.settings().default_executions;
    let matches = |report: &Report, execution: &Execution| {
        execution.due_at >= oldest
            && match &wanted.statuses {
                Some(statuses) => statuses.contains(&execution.status),
                None => is_told(default, report, execution),
            }
            && wanted.ids.as_ref().is_none_or(|ids| ids.iter().any(|id| execution.id.eq_ignore_ascii_case(id)))
    };
    let most = if wanted.latest { 1 } else { usize::MAX };
    handle.with(|world| {
        let World { reports, faults, .. } = world;
        let is_it = |report: &&Report| caller.has(report) && report.id.eq_ignore_ascii_case(id);
        let Some(report) = reports.iter().find(is_it) else { return Vec::new() };
        let executions = report.executions.iter().rev().filter(|execution| matches(report, execution)).take(most);
        // Nobody was seen to be told of a running one without having asked for it.
        let simple = wanted.statuses.is_none() && default == DefaultExecutions::Observed;
        executions.map(|execution| view(handle, report, execution, simple, faults)).collect()
    })
}

fn view(handle: &Handle, report: &Report, execution: &Execution, simple: bool, faults: &mut Faults) -> Value {
    let schedule = report.terms.schedule.as_ref();
    let is_completed = execution.status == ExecutionStatus::Completed;
    let link = is_completed.then(|| secure_link(handle, execution, faults));
    let expires_at = link.as_ref().map(|(_, until)| stamp(*until)).filter(|_| handle.settings().tell_expiry);
    let location =
        link.as_ref().and_then(|(link, _)| link.split('?').next()).filter(|_| handle.settings().report_location);
    let status = match execution.status {
        status if status.is_open() && faults.take(Fault::StatusUnknown) => "Queued",
        ExecutionStatus::Running if simple => ExecutionStatus::Pending.name(),
        status => status_name(handle, status),
    };
    json!({
        "executionId": execution.id,
        "reportId": report.id,
        "recurrenceInterval": schedule.map_or(0, |schedule| schedule.interval_hours),
        "recurrenceCount": schedule.and_then(|schedule| schedule.count),
        "callbackUrl": null,
        "CallbackMethod": null,
        "format": execution.file.format,
        "executionStatus": status,
        "reportLocation": location,
        "reportAccessSecureLink": link.as_ref().map(|(link, _)| link),
        "reportExpiryTime": expires_at,
        "reportGeneratedTime": execution.generated_at.map(stamp),
    })
}

fn secure_link(handle: &Handle, execution: &Execution, faults: &mut Faults) -> (String, DateTime<Utc>) {
    let lifetime = TimeDelta::from_std(handle.settings().link_lifetime).unwrap_or(TimeDelta::MAX);
    let good_for = if faults.take(Fault::LinkExpired) { -TimeDelta::minutes(1) } else { lifetime };
    let until = handle.now().checked_add_signed(good_for).unwrap_or(DateTime::<Utc>::MAX_UTC);
    (blob::secure_link(handle, execution, until), until)
}
