//! The executions of reports, each with a fresh secure link once it is completed.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::found;
use super::params::{Params, split};
use crate::sandbox::blob;
use crate::sandbox::fault::{Fault, Faults};
use crate::sandbox::handle::Handle;
use crate::sandbox::rules::Refusal;
use crate::sandbox::world::{Caller, Execution, ExecutionStatus, Report, World, stamp};

const LISTED_FOR: TimeDelta = TimeDelta::days(90);

struct Wanted<'a> {
    ids: Option<Vec<&'a str>>,
    statuses: Vec<ExecutionStatus>,
    latest: bool,
}

pub(super) async fn list(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    Path(reports): Path<String>,
    params: Params,
) -> Result<Response, Refusal> {
    let reports = split(&reports);
    handle.with(|world| reports.iter().for_each(|id| world.count_question(id)));
    let wanted = Wanted {
        ids: params.list("executionid"),
        statuses: statuses(&params)?,
        latest: params.flag("getlatestexecution").unwrap_or(true),
    };
    let values: Vec<Value> = reports.into_iter().flat_map(|id| of_report(&handle, caller, id, &wanted)).collect();
    if values.is_empty() {
        return Err(Refusal::no_execution());
    }
    Ok(found(caller.program, values, None))
}

fn statuses(params: &Params) -> Result<Vec<ExecutionStatus>, Refusal> {
    let Some(names) = params.list("executionstatus") else { return Ok(vec![ExecutionStatus::Completed]) };
    let known = |name: &str| ExecutionStatus::ALL.into_iter().find(|status| status.name().eq_ignore_ascii_case(name));
    let not_found = |name: &str| Refusal::bad(format!("Requested value '{name}' not found"));
    names.into_iter().map(|name| known(name).ok_or_else(|| not_found(name))).collect()
}

fn of_report(handle: &Handle, caller: Caller, id: &str, wanted: &Wanted) -> Vec<Value> {
    let oldest = handle.now() - LISTED_FOR;
    let matches = |execution: &&Execution| {
        execution.due_at >= oldest
            && wanted.statuses.contains(&execution.status)
            && wanted.ids.as_ref().is_none_or(|ids| ids.iter().any(|id| execution.id.eq_ignore_ascii_case(id)))
    };
    let most = if wanted.latest { 1 } else { usize::MAX };
    handle.with(|world| {
        let World { reports, faults, .. } = world;
        let is_it = |report: &&Report| caller.has(report) && report.id.eq_ignore_ascii_case(id);
        let Some(report) = reports.iter().find(is_it) else { return Vec::new() };
        let executions = report.executions.iter().rev().filter(matches).take(most);
        executions.map(|execution| view(report, execution, secure_link(handle, execution, faults).as_deref())).collect()
    })
}

fn view(report: &Report, execution: &Execution, secure_link: Option<&str>) -> Value {
    let schedule = report.terms.schedule.as_ref();
    json!({
        "executionId": execution.id,
        "reportId": report.id,
        "recurrenceInterval": schedule.map_or(0, |schedule| schedule.interval_hours),
        "recurrenceCount": schedule.and_then(|schedule| schedule.count),
        "callbackUrl": null,
        "CallbackMethod": null,
        "format": execution.file.format,
        "executionStatus": execution.status,
        "reportLocation": null,
        "reportAccessSecureLink": secure_link,
        "reportExpiryTime": null,
        "reportGeneratedTime": execution.generated_at.map(stamp),
    })
}

fn secure_link(handle: &Handle, execution: &Execution, faults: &mut Faults) -> Option<String> {
    if execution.status != ExecutionStatus::Completed {
        return None;
    }
    let expired = faults.take(Fault::LinkExpired);
    let lifetime = if expired { -TimeDelta::minutes(1) } else { blob::LINK_LIFETIME };
    Some(blob::secure_link(handle, execution, handle.now() + lifetime))
}
