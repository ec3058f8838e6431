//! What the API takes and what it refuses, in the words that its documentation gives for each refusal.
//!
//! Keys of a body are matched in any case and a null is the same as nothing. A date that can't be read is answered with
//! 500, as documented, except for the end of a schedule, which has a message of its own.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde_json::Value;
use url::Url;

use super::world::{CallbackMethod, Caller, Format, Report, ReportStatus, Schedule, Terms, World};

const SHORTEST_LEAD: TimeDelta = TimeDelta::hours(4);
const SHORTEST_INTERVAL: u32 = 4;
const LONGEST_INTERVAL: u32 = 2160;
const LONGEST_TEXT: usize = 256;
const MAX_ACTIVE_REPORTS: usize = 50;
const MAX_QUERIES: usize = 100;
const MAX_EXECUTE_NOW: usize = 5;
const EXECUTE_NOW_WINDOW: TimeDelta = TimeDelta::minutes(60);
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What an internal error interrupts.
pub(super) const CREATING_REPORT: &str = "creating report";
pub(super) const CREATING_QUERY: &str = "creating query";
pub(super) const TESTING_QUERY: &str = "testing query";

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    /// A filter that matches nothing is not an empty list.
    pub(super) fn no_item() -> Self {
        Self { status: StatusCode::NOT_FOUND, message: "No item found with given filters.".to_owned() }
    }

    pub(super) fn no_execution() -> Self {
        let message = "There are no executions that have occurred for the given filter conditions. Please recheck the \
                       reportId or executionId and retry the API after the report's scheduled execution time";
        Self { status: StatusCode::NOT_FOUND, message: message.to_owned() }
    }

    fn creation(reason: &str) -> Self {
        Self::bad(format!("Invalid report parameters for creation - {reason}"))
    }

    /// What is none of the names of an enumeration.
    pub(super) fn unknown_value(value: &str) -> Self {
        Self::bad(format!("Requested value '{value}' not found"))
    }

    fn missing() -> Self {
        Self::bad("Null or missing value")
    }

    /// An internal error, which a date that can't be read is answered with, too; its envelope adds a correlation id.
    pub(super) fn internal(doing: &str) -> Self {
        let message = format!("Internal error encountered while {doing}.");
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message }
    }
}

/// The members of a JSON object by their lower-case names.
#[derive(Debug, Default)]
pub(super) struct Fields(BTreeMap<String, Value>);

impl Fields {
    /// Reads a body; what is no JSON object is refused.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        let object: serde_json::Map<String, Value> = serde_json::from_slice(body).map_err(|_| unreadable(body))?;
        let named = object.into_iter().filter(|(_, value)| !value.is_null());
        Ok(Self(named.map(|(name, value)| (name.trim().to_ascii_lowercase(), value)).collect()))
    }

    /// Forgets a member, as one that is not known here is.
    pub(super) fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// A text, trimmed; an empty one counts as missing.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    }

    /// A text that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.text(name).ok_or_else(Refusal::missing)
    }

    fn flag(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text.trim().eq_ignore_ascii_case("true"),
            _ => false,
        }
    }

    /// A whole number, which may stand in quotes: none when missing, an error when it is something else.
    fn number(&self, name: &str) -> Result<Option<i64>, ()> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => number.as_i64().map(Some).ok_or(()),
            Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| ()),
            Some(_) => Err(()),
        }
    }
}

/// The terms of a report as a body asks for them, or the first rule that they break. With `date_messages` a date that can't
/// be read is told to be one.
pub(super) fn terms(
    fields: &Fields,
    minimum_interval: Option<u32>,
    now: DateTime<Utc>,
    date_messages: bool,
) -> Result<Terms, Refusal> {
    let name = fields.required("reportname")?;
    let description = fields.text("description");
    if name.chars().count() > LONGEST_TEXT || description.is_some_and(|text| text.chars().count() > LONGEST_TEXT) {
        return Err(Refusal::creation("Limit ReportName and Description length to 256 characters or less"));
    }
    if name.contains(';') {
        return Err(Refusal::creation("Invalid character (;) in ReportName"));
    }
    let schedule = if fields.flag("executenow") {
        query_period(fields)?;
        None
    } else {
        Some(schedule(fields, minimum_interval.unwrap_or(SHORTEST_INTERVAL), now, date_messages)?)
    };
    Ok(Terms {
        name: name.to_owned(),
        description: description.map(str::to_owned),
        format: format(fields)?,
        callback_url: callback_url(fields)?,
        callback_method: callback_method(fields)?,
        schedule,
    })
}

/// Whether one more report of this caller may be active.
pub(super) fn active_quota(world: &World, caller: Caller) -> Result<(), Refusal> {
    let is_active = |report: &&Report| caller.has(report) && report.status == ReportStatus::Active;
    if world.reports.iter().filter(is_active).count() >= MAX_ACTIVE_REPORTS {
        return Err(Refusal::bad("User has exceeded its report creation quota of 50 active reports"));
    }
    Ok(())
}

/// Whether one more report of this caller may run at once, which then counts for an hour, whatever becomes of it.
pub(super) fn execute_now_quota(world: &mut World, caller: Caller, now: DateTime<Utc>) -> Result<(), Refusal> {
    world.at_once.retain(|(_, at)| (now - *at).abs() < EXECUTE_NOW_WINDOW);
    if world.at_once.iter().filter(|(maker, _)| *maker == caller).count() >= MAX_EXECUTE_NOW {
        return Err(Refusal::bad("User has exceeded its ExecuteNow report creation quota of 5 reports/60 mins"));
    }
    world.at_once.push((caller, now));
    Ok(())
}

/// Whether one more query is within the quota.
pub(super) fn query_quota(world: &World, caller: Caller) -> Result<(), Refusal> {
    if world.queries.iter().filter(|query| caller.may_use(query) && query.account.is_some()).count() >= MAX_QUERIES {
        return Err(Refusal::bad("Number of queries exceeded. Delete few queries before creating new queries"));
    }
    Ok(())
}

/// Refuses a date that can't be read, as the service does: by an internal error.
pub(super) fn readable_date(text: Option<&str>, doing: &str) -> Result<(), Refusal> {
    if text.is_some_and(|text| date(text).is_none()) { Err(Refusal::internal(doing)) } else { Ok(()) }
}

fn schedule(
    fields: &Fields,
    shortest_interval: u32,
    now: DateTime<Utc>,
    date_messages: bool,
) -> Result<Schedule, Refusal> {
    let unreadable = || {
        let message = "StartTime should follow format: yyyy-MM-ddTHH:mm:ssZ";
        if date_messages { Refusal::creation(message) } else { Refusal::internal(CREATING_REPORT) }
    };
    let start_at = date(fields.required("starttime")?).ok_or_else(unreadable)?;
    query_period(fields)?;
    if start_at < now + SHORTEST_LEAD {
        return Err(Refusal::creation("Start time of report should at least be 4 hours from current UTC time"));
    }
    let end_at = fields
        .text("endtime")
        .map(|text| date(text).ok_or_else(|| Refusal::creation("EndTime should follow format: yyyy-MM-ddTHH:mm:ssZ")));
    let end_at = end_at.transpose()?;
    if end_at.is_some_and(|end_at| end_at <= start_at) {
        return Err(Refusal::creation("EndTime should be greater than StartTime"));
    }
    Ok(Schedule { start_at, end_at, interval_hours: interval(fields, shortest_interval)?, count: count(fields)? })
}

fn interval(fields: &Fields, shortest: u32) -> Result<u32, Refusal> {
    let wrong =
        || Refusal::bad(format!("Recurrence Interval must be between {SHORTEST_INTERVAL} and {LONGEST_INTERVAL}"));
    let hours = fields.number("recurrenceinterval").map_err(|()| wrong())?.ok_or_else(Refusal::missing)?;
    let hours = u32::try_from(hours).ok().filter(|hours| (SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(hours));
    match hours.ok_or_else(wrong)? {
        hours if hours < shortest => {
            Err(Refusal::bad(format!("Recurrence Interval must be at least {shortest} for the dataset of this query")))
        }
        hours => Ok(hours),
    }
}

fn count(fields: &Fields) -> Result<Option<u32>, Refusal> {
    let wrong = || Refusal::creation("Recurrence count has to be a positive integer value");
    let Some(count) = fields.number("recurrencecount").map_err(|()| wrong())? else { return Ok(None) };
    u32::try_from(count).ok().filter(|count| *count > 0).map(Some).ok_or_else(wrong)
}

/// The period that may override the query's own is checked and not used: rows here know no time.
fn query_period(fields: &Fields) -> Result<(), Refusal> {
    for name in ["querystarttime", "queryendtime"] {
        readable_date(fields.text(name), CREATING_REPORT)?;
    }
    Ok(())
}

fn format(fields: &Fields) -> Result<Format, Refusal> {
    match fields.text("format").map(str::to_ascii_lowercase).as_deref() {
        None | Some("csv") => Ok(Format::Csv),
        Some("tsv") => Ok(Format::Tsv),
        Some("xlsx" | "xls" | "json" | "txt" | "xml" | "parquet") => {
            Err(Refusal::creation("Report format should be csv/tsv"))
        }
        Some(_) => Err(Refusal::unknown_value(fields.text("format").unwrap_or_default())),
    }
}

fn callback_method(fields: &Fields) -> Result<CallbackMethod, Refusal> {
    match fields.text("callbackmethod").map(str::to_ascii_lowercase).as_deref() {
        None | Some("post") => Ok(CallbackMethod::Post),
        Some("get") => Ok(CallbackMethod::Get),
        Some("put" | "patch" | "delete" | "head" | "options") => {
            Err(Refusal::creation("CallbackMethod can only be GET or POST"))
        }
        Some(_) => Err(Refusal::unknown_value(fields.text("callbackmethod").unwrap_or_default())),
    }
}

fn callback_url(fields: &Fields) -> Result<Option<String>, Refusal> {
    let Some(text) = fields.text("callbackurl") else { return Ok(None) };
    let takes = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if takes { Ok(Some(text.to_owned())) } else { Err(Refusal::bad("Invalid report parameters")) }
}

/// Says which mistake a body that is no JSON object most likely is.
fn unreadable(body: &[u8]) -> Refusal {
    let text = String::from_utf8_lossy(body);
    if text.contains('=') && !text.trim_start().starts_with(['{', '[']) {
        return Refusal::bad("Invalid report parameters - the body is form data, where a JSON object is expected");
    }
    Refusal::bad("Invalid report parameters - the body is no JSON object")
}

fn date(text: &str) -> Option<DateTime<Utc>> {
    // The length rules out what chrono would take too: single digits, signs, more than four digits of a year.
    let exact = text.len() == "yyyy-MM-ddTHH:mm:ssZ".len();
    exact.then(|| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%SZ").ok())?.map(|naive| naive.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> DateTime<Utc> {
        date("2026-11-20T08:00:00Z").unwrap()
    }

    /// What is answered to a good body with these members put over it.
    fn answer(changes: &Value) -> Result<Terms, (u16, String)> {
        let mut body = json!({"ReportName": "r", "StartTime": "2026-11-20T12:00:00Z", "RecurrenceInterval": 24});
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let fields = Fields::read(body.to_string().as_bytes()).unwrap();
        terms(&fields, Some(24), now(), false).map_err(|refusal| (refusal.status.as_u16(), refusal.message))
    }

    #[test]
    fn each_rule_answers_in_its_documented_words() {
        let creation = "Invalid report parameters for creation - ";
        let interval = "Recurrence Interval must be between 4 and 2160";
        for (changes, message) in [
            (json!({"ReportName": null}), "Null or missing value".to_owned()),
            (json!({"ReportName": "a;b"}), format!("{creation}Invalid character (;) in ReportName")),
            (
                json!({"ReportName": "n".repeat(257)}),
                format!("{creation}Limit ReportName and Description length to 256 characters or less"),
            ),
            (
                json!({"StartTime": "2026-11-20T11:59:59Z"}),
                format!("{creation}Start time of report should at least be 4 hours from current UTC time"),
            ),
            (json!({"EndTime": "2026-12-01"}), format!("{creation}EndTime should follow format: yyyy-MM-ddTHH:mm:ssZ")),
            (json!({"EndTime": "2026-11-20T12:00:00Z"}), format!("{creation}EndTime should be greater than StartTime")),
            (json!({"RecurrenceInterval": 3}), interval.to_owned()),
            (
                json!({"RecurrenceInterval": 23}),
                "Recurrence Interval must be at least 24 for the dataset of this query".to_owned(),
            ),
            (json!({"RecurrenceInterval": 2161}), interval.to_owned()),
            (json!({"RecurrenceInterval": "often"}), interval.to_owned()),
            (json!({"RecurrenceCount": 0}), format!("{creation}Recurrence count has to be a positive integer value")),
            (json!({"Format": "xlsx"}), format!("{creation}Report format should be csv/tsv")),
            (json!({"Format": "clay"}), "Requested value 'clay' not found".to_owned()),
            (json!({"CallbackMethod": "call"}), "Requested value 'call' not found".to_owned()),
            (json!({"CallbackMethod": "PUT"}), format!("{creation}CallbackMethod can only be GET or POST")),
            (json!({"CallbackUrl": "ftp://x/"}), "Invalid report parameters".to_owned()),
        ] {
            assert_eq!(answer(&changes), Err((400, message)), "{changes}");
        }
    }

    #[test]
    fn a_date_that_cannot_be_read_is_an_internal_error() {
        for name in ["StartTime", "QueryStartTime", "QueryEndTime"] {
            let (status, message) = answer(&json!({name: "2026-11-20 12:00:00"})).unwrap_err();

            assert_eq!((status, &*message), (500, "Internal error encountered while creating report."), "{name}");
        }
    }

    #[test]
    fn a_byte_order_mark_before_a_body_is_no_harm() {
        let body = "\u{feff}{\"ReportName\": \"r\"}";

        assert_eq!(Fields::read(body.as_bytes()).unwrap().text("reportname"), Some("r"));
    }

    #[test]
    fn keys_have_any_case_numbers_may_be_quoted_and_a_report_that_runs_at_once_needs_no_schedule() {
        let quoted = answer(&json!({"RecurrenceInterval": null, "recurrenceinterval": "48", "FORMAT": "TSV"})).unwrap();
        let at_once = answer(&json!({"ExecuteNow": true, "StartTime": null, "RecurrenceInterval": null})).unwrap();

        assert_eq!((quoted.schedule.unwrap().interval_hours, quoted.format), (48, Format::Tsv));
        assert_eq!(at_once.schedule, None);
    }
}
