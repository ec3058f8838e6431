//! Reading what the API sends, whatever the casing: keys are matched trimmed and without regard to case, numbers may be
//! texts, every field may be missing, unknown ones are passed over.

use std::collections::HashMap;

use chrono::{DateTime, Datelike, NaiveDateTime, Utc};
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

use super::link::SecureLink;
use super::{ExecutionId, QueryId, ReportId};
use crate::secret::Secret;

/// Times outside of these are taken for none.
const YEARS: std::ops::Range<i32> = 1970..10_000;
/// Above 2^53 not every whole number is told apart.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// One object with its keys in lower case.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(HashMap<String, Value>);

impl Fields {
    /// The fields of an object; anything else has none.
    pub(super) fn of(value: Value) -> Self {
        match value {
            Value::Object(map) => {
                let mut fields = HashMap::new();
                for (key, value) in map {
                    let place = fields.entry(key.trim().to_ascii_lowercase()).or_insert(Value::Null);
                    // The same key in two spellings: the one that says something.
                    if place.is_null() {
                        *place = value;
                    }
                }
                Self(fields)
            }
            _ => Self::default(),
        }
    }

    /// A text, a number or a boolean as text; blank counts as missing.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        as_text(self.0.get(name)?)
    }

    /// A whole number, however it is written.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        match self.0.get(name)? {
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) => text.trim().parse().ok().or_else(|| whole(text.trim().parse().ok()?)),
            _ => None,
        }
    }

    /// A number that counts something; nothing where it counts none.
    fn count(&self, name: &str) -> Option<i32> {
        self.number(name).and_then(|number| i32::try_from(number).ok()).filter(|count| *count > 0)
    }

    /// A time: with `Z`, with an offset, with a fraction, or bare (then UTC).
    pub(super) fn time(&self, name: &str) -> Option<DateTime<Utc>> {
        let text = self.text(name)?;
        let at = DateTime::parse_from_rfc3339(&text).map(|at| at.to_utc()).ok().or_else(|| {
            NaiveDateTime::parse_from_str(&text.replace(' ', "T"), "%Y-%m-%dT%H:%M:%S%.f").ok().map(|at| at.and_utc())
        });
        // Hours are added to it, and the database keeps it: neither can be done with every time that can be written.
        at.filter(|at| YEARS.contains(&at.year()))
    }

    /// A list of texts; the blank ones left out.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let items = self.0.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        items.iter().filter_map(as_text).collect()
    }

    /// The fields of an object within; anything else has none.
    pub(super) fn inner(&self, name: &str) -> Self {
        self.0.get(name).filter(|value| value.is_object()).cloned().map(Self::of).unwrap_or_default()
    }

    /// A field as it came.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }
}

/// A text, a number or a boolean as text, without blanks around it.
fn as_text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// A number such as `24.0`.
#[expect(clippy::cast_possible_truncation, reason = "it is whole and below 2^53")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < LARGEST_WHOLE).then_some(number as i64)
}

/// The envelope of every answer.
#[derive(Debug)]
pub(super) struct Envelope {
    /// The objects; also of a single-object call.
    pub value: Vec<Value>,
    /// Where the next page is.
    pub next_link: Option<String>,
    /// Whether revenue and personal data are left out.
    pub data_redacted: bool,
    /// Whether the token counts as one with MFA, where the API says so.
    pub mfa_compliant: Option<bool>,
}

impl Envelope {
    /// Takes the envelope's parts out of its fields, and what stands beside it in the headers.
    pub(super) fn read(mut fields: Fields, headers: &HeaderMap) -> Self {
        let value = match fields.take("value") {
            Some(Value::Array(items)) => items,
            Some(Value::Object(one)) => vec![Value::Object(one)],
            _ => Vec::new(),
        };
        let mfa = headers.get("ismfacompliant").and_then(|value| value.to_str().ok()).map(str::trim);
        Self {
            value,
            next_link: fields.text("nextlink"),
            data_redacted: fields.text("dataredacted").is_some_and(|text| text.eq_ignore_ascii_case("true")),
            mfa_compliant: mfa.map(|text| text.eq_ignore_ascii_case("true")),
        }
    }
}

/// What can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Dataset {
    /// Its name in a query.
    pub name: String,
    /// Columns that can be selected.
    pub columns: Vec<String>,
    /// Aggregates that can be selected.
    pub metrics: Vec<String>,
    /// What may stand behind TIMESPAN.
    pub date_ranges: Vec<String>,
    /// The least interval of a report, in hours.
    pub minimum_interval_hours: Option<i64>,
}

impl Dataset {
    pub(super) fn read(fields: &Fields) -> Self {
        Self {
            name: fields.text("datasetname").unwrap_or_default(),
            columns: fields.texts("selectablecolumns"),
            metrics: fields.texts("availablemetrics"),
            date_ranges: fields.texts("availabledateranges"),
            minimum_interval_hours: fields.number("minimumrecurrenceinterval"),
        }
    }
}

/// A query that the API has.
#[derive(Debug, Clone)]
pub struct Query {
    /// Its id there.
    pub id: QueryId,
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// `userDefined`, `system`, or a word we don't know.
    pub kind: Option<String>,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
}

impl Query {
    pub(super) fn read(fields: &Fields) -> Option<Self> {
        Some(Self {
            id: QueryId(fields.text("queryid")?),
            name: fields.text("name").unwrap_or_default(),
            text: fields.text("query").unwrap_or_default(),
            kind: fields.text("type"),
            created_at: fields.time("createdtime"),
        })
    }
}

/// A report that the API has.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its id there.
    pub id: ReportId,
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: Option<String>,
    /// The query it runs.
    pub query_id: Option<QueryId>,
    /// The text of that query.
    pub query: Option<String>,
    /// `Active`, `Paused`, `Inactive`, or a word we don't know.
    pub status: String,
    /// The address it calls.
    pub callback_url: Option<Secret>,
    /// How it calls: `POST` or `GET`.
    pub callback_method: Option<String>,
    /// When it first runs.
    pub start_at: Option<DateTime<Utc>>,
    /// Hours between runs; none where it runs once, at once.
    pub interval_hours: Option<i32>,
    /// How many runs; for ever when not given.
    pub occurrences: Option<i32>,
    /// No run after it.
    pub end_at: Option<DateTime<Utc>>,
    /// `csv` or `tsv`.
    pub format: Option<String>,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
}

impl Report {
    pub(super) fn read(fields: &Fields) -> Option<Self> {
        Some(Self {
            id: ReportId(fields.text("reportid")?),
            name: fields.text("reportname").unwrap_or_default(),
            description: fields.text("description"),
            query_id: fields.text("queryid").map(QueryId),
            query: fields.text("query"),
            status: fields.text("reportstatus").unwrap_or_default(),
            callback_url: fields.text("callbackurl").map(Secret::new),
            callback_method: fields.text("callbackmethod").map(|method| method.to_ascii_uppercase()),
            start_at: fields.time("starttime"),
            interval_hours: fields.count("recurrenceinterval"),
            occurrences: fields.count("recurrencecount"),
            end_at: fields.time("endtime"),
            format: fields.text("format").map(|format| format.to_ascii_lowercase()),
            created_at: fields.time("createdtime"),
        })
    }

    /// The host of the address it calls: all that may be shown of one that is not ours.
    pub fn callback_host(&self) -> Option<String> {
        let address = self.callback_url.as_ref()?.expose();
        Some(Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| "?".into()))
    }

    /// Whether it has run for the last time, or somebody ended it.
    pub fn is_inactive(&self) -> bool {
        self.status.eq_ignore_ascii_case("inactive")
    }

    /// Whether it runs.
    pub fn is_active(&self) -> bool {
        self.status.eq_ignore_ascii_case("active")
    }

    /// Whether it is there and does not run.
    pub fn is_paused(&self) -> bool {
        self.status.eq_ignore_ascii_case("paused")
    }
}

/// One run of a report, as the API tells it.
#[derive(Debug, Clone)]
pub struct Execution {
    /// Its id there.
    pub id: ExecutionId,
    /// `Pending`, `Running`, `Paused`, `Completed`, or a word we don't know.
    pub status: String,
    /// Where its file is; expires.
    pub link: Option<SecureLink>,
    /// When the file was made.
    pub generated_at: Option<DateTime<Utc>>,
}

/// What a status means to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Under way.
    Open,
    /// The file is there.
    Completed,
    /// There will be no file.
    Failed,
}

impl Execution {
    pub(super) fn read(fields: &Fields) -> Option<Self> {
        Some(Self {
            id: ExecutionId(fields.text("executionid")?),
            status: fields.text("executionstatus").unwrap_or_default(),
            link: fields.text("reportaccesssecurelink").and_then(|link| SecureLink::read(&link)),
            generated_at: fields.time("reportgeneratedtime"),
        })
    }

    /// The documented words, and every word that speaks of failure.
    pub fn progress(&self) -> Progress {
        let status = self.status.to_ascii_lowercase();
        if status == "completed" {
            Progress::Completed
        } else if ["fail", "error", "cancel"].iter().any(|word| status.contains(word)) {
            Progress::Failed
        } else {
            Progress::Open
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_read_in_any_case_and_numbers_from_texts() {
        let fields =
            Fields::of(json!({" RecurrenceCount": "12", "CallbackUrl": " https://x.example/ ", "reportId": 7}));

        assert_eq!(fields.number("recurrencecount"), Some(12));
        assert_eq!(fields.text("callbackurl").as_deref(), Some("https://x.example/"));
        assert_eq!(fields.text("reportid").as_deref(), Some("7"));
    }

    #[test]
    fn times_are_read_with_and_without_zone_and_fraction() {
        let expected = "2021-01-06T05:38:34Z".parse::<DateTime<Utc>>().unwrap();
        for text in
            ["2021-01-06T05:38:34Z", "2021-01-06T05:38:34", "2021-01-06 05:38:34.000", "2021-01-06T07:38:34+02:00"]
        {
            assert_eq!(Fields::of(json!({ "t": text })).time("t"), Some(expected), "{text}");
        }
        assert_eq!(Fields::of(json!({"t": "soon"})).time("t"), None);
    }

    #[test]
    fn a_key_in_two_spellings_is_the_one_that_says_something() {
        for both in [json!({"CallbackUrl": null, "callbackUrl": "x"}), json!({"CallbackUrl": "x", "callbackUrl": null})]
        {
            assert_eq!(Fields::of(both).text("callbackurl").as_deref(), Some("x"));
        }
    }

    #[test]
    fn whole_numbers_are_read_however_they_are_written_and_others_are_none() {
        for (value, number) in [
            (json!(24), Some(24)),
            (json!(24.0), Some(24)),
            (json!(" 24 "), Some(24)),
            (json!("24.0"), Some(24)),
            (json!(24.5), None),
            (json!(1e300), None),
            (json!("inf"), None),
            (json!(u64::MAX), None),
            (json!([24]), None),
        ] {
            assert_eq!(Fields::of(json!({ "n": value })).number("n"), number, "{value}");
        }
    }

    #[test]
    fn a_time_that_could_not_be_reckoned_with_is_none() {
        for text in ["+262142-12-31T23:59:59", "-0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "10000-01-01T00:00:00"]
        {
            assert_eq!(Fields::of(json!({ "t": text })).time("t"), None, "{text}");
        }
    }

    #[test]
    fn an_unknown_status_is_open_unless_it_speaks_of_failure() {
        for (status, progress) in [
            ("Completed", Progress::Completed),
            ("COMPLETED", Progress::Completed),
            ("Pending", Progress::Open),
            ("Thinking", Progress::Open),
            ("ExecutionFailed", Progress::Failed),
            ("Cancelled", Progress::Failed),
        ] {
            let fields = Fields::of(json!({"executionId": "1", "executionStatus": status}));
            assert_eq!(Execution::read(&fields).unwrap().progress(), progress, "{status}");
        }
    }
}
