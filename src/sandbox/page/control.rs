//! The control calls: faults, the clock, the next files, tokens, links, and reports behind their maker's back.

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{Json, Response};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::given::Given;
use crate::sandbox::fault::Fault;
use crate::sandbox::handle::Handle;
use crate::sandbox::world::stamp;

const MOST_ROWS: u64 = 1_000_000_000;
const LONGEST_ADVANCE: Duration = Duration::from_hours(24 * 3660);

pub(super) fn router() -> Router<Handle> {
    Router::new()
        .route("/sandbox/api/faults", get(known_faults).post(fault))
        .route("/sandbox/api/faults/clear", post(clear_faults))
        .route("/sandbox/api/clock", post(clock))
        .route("/sandbox/api/files", post(files))
        .route("/sandbox/api/links/expire", post(expire_links))
        .route("/sandbox/api/tokens/revoke", post(revoke_tokens))
        .route("/sandbox/api/mfa", post(mfa))
        .route("/sandbox/api/reports/{id}/run", post(run))
        .route("/sandbox/api/reports/{id}/pause", post(pause))
        .route("/sandbox/api/reports/{id}/resume", post(resume))
        .route("/sandbox/api/reports/{id}/delete", post(delete))
        .route("/sandbox/api/reports/{id}/change", post(change))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultWanted {
    fault: Fault,
    times: Option<u32>,
    rate: Option<f64>,
}

async fn known_faults(State(handle): State<Handle>) -> Json<Value> {
    let mut state = faults(&handle);
    state["known"] = json!(Fault::ALL);
    Json(state)
}

async fn fault(State(handle): State<Handle>, Given { value: wanted, asker }: Given<FaultWanted>) -> Response {
    match (wanted.times, wanted.rate) {
        (Some(_), Some(_)) => return asker.refused("give either times or rate"),
        (_, Some(rate)) if !(0.0..=1.0).contains(&rate) => return asker.refused("rate must be between 0 and 1"),
        (None, Some(rate)) => handle.fault_rate(wanted.fault, rate),
        (times, None) => handle.fault_times(wanted.fault, times.unwrap_or(1)),
    }
    asker.done(faults(&handle))
}

async fn clear_faults(State(handle): State<Handle>, Given { asker, .. }: Given<Nothing>) -> Response {
    handle.clear_faults();
    asker.done(faults(&handle))
}

fn faults(handle: &Handle) -> Value {
    handle.with(|world| json!({"faults": world.faults, "rates": world.faults.rates()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockWanted {
    /// A number and its unit: `90s`, `5m`, `4h`, `2d`.
    advance: Option<String>,
    now: Option<DateTime<Utc>>,
}

async fn clock(State(handle): State<Handle>, Given { value: wanted, asker }: Given<ClockWanted>) -> Response {
    match (wanted.advance.as_deref().map(duration), wanted.now) {
        (Some(Some(by)), None) => handle.advance_clock(by),
        (None, Some(now)) if (now - handle.now()).abs().to_std().is_ok_and(|far| far <= LONGEST_ADVANCE) => {
            handle.set_clock(now);
        }
        (None, Some(_)) => return asker.refused("now must be within 3660 days of the sandbox's time"),
        (Some(None), _) => {
            return asker.refused("advance must be a number and its unit, as 90s, 5m, 4h or 2d, and at most 3660d");
        }
        _ => return asker.refused("give either advance or now"),
    }
    handle.tick().await;
    asker.done(json!({"now": stamp(handle.now())}))
}

/// A number and its unit.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let seconds = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let duration = Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?);
    (duration <= LONGEST_ADVANCE).then_some(duration)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilesWanted {
    rows: Option<u64>,
    columns: Option<Columns>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Columns {
    List(Vec<String>),
    /// With commas between them; an asterisk means those of the query.
    Text(String),
}

async fn files(State(handle): State<Handle>, Given { value: wanted, asker }: Given<FilesWanted>) -> Response {
    if wanted.rows.is_some_and(|rows| rows > MOST_ROWS) {
        return asker.refused("rows must be at most 1000000000");
    }
    if let Some(rows) = wanted.rows {
        handle.set_rows(rows);
    }
    match wanted.columns {
        Some(Columns::List(columns)) => handle.set_columns(columns),
        Some(Columns::Text(text)) if text.trim() == "*" => handle.set_columns(Vec::<String>::new()),
        Some(Columns::Text(text)) => {
            handle.set_columns(text.split(',').map(str::trim).filter(|name| !name.is_empty()));
        }
        None => {}
    }
    asker.done(handle.with(|world| json!({"rows": world.next_files.rows, "columns": world.next_files.columns})))
}

async fn expire_links(State(handle): State<Handle>, Given { asker, .. }: Given<Nothing>) -> Response {
    handle.expire_links();
    asker.done(json!({"links": "expired"}))
}

async fn revoke_tokens(State(handle): State<Handle>, Given { asker, .. }: Given<Nothing>) -> Response {
    handle.revoke_tokens();
    asker.done(json!({"tokens": "revoked"}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MfaWanted {
    demanded: bool,
}

async fn mfa(State(handle): State<Handle>, Given { value: wanted, asker }: Given<MfaWanted>) -> Response {
    handle.demand_mfa(wanted.demanded);
    asker.done(json!({"demanded": wanted.demanded}))
}

const NO_REPORT: &str = "no report of this id is in a state for that";

async fn run(State(handle): State<Handle>, Path(id): Path<String>, Given { asker, .. }: Given<Nothing>) -> Response {
    match handle.run_report_now(&id).await {
        Some(execution_id) => asker.done(json!({"execution_id": execution_id})),
        None => asker.missing("no active report has this id"),
    }
}

async fn pause(State(handle): State<Handle>, Path(id): Path<String>, Given { asker, .. }: Given<Nothing>) -> Response {
    if handle.pause_report(&id) { asker.done(json!({"status": "Paused"})) } else { asker.missing(NO_REPORT) }
}

async fn resume(State(handle): State<Handle>, Path(id): Path<String>, Given { asker, .. }: Given<Nothing>) -> Response {
    if handle.resume_report(&id) { asker.done(json!({"status": "Active"})) } else { asker.missing(NO_REPORT) }
}

async fn delete(State(handle): State<Handle>, Path(id): Path<String>, Given { asker, .. }: Given<Nothing>) -> Response {
    if handle.delete_report(&id) { asker.done(json!({"deleted": id})) } else { asker.missing(NO_REPORT) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeWanted {
    name: Option<String>,
    /// A hyphen takes the address away.
    callback_url: Option<String>,
}

async fn change(
    State(handle): State<Handle>,
    Path(id): Path<String>,
    Given { value: wanted, asker }: Given<ChangeWanted>,
) -> Response {
    let renamed = wanted.name.as_deref().is_none_or(|name| handle.rename_report(&id, name));
    let address = wanted.callback_url.as_deref();
    let redirected = address.is_none_or(|url| handle.redirect_report(&id, Some(url).filter(|url| *url != "-")));
    if renamed && redirected {
        asker.done(json!({"name": wanted.name, "callback_url": wanted.callback_url}))
    } else {
        asker.missing(NO_REPORT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_its_unit() {
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(duration(" 5 h "), Some(Duration::from_hours(5)));
        for wrong in ["", "5", "h", "-1h", "5w", "99999999999d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
