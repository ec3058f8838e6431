//! The envelope around every answer, in the casing and in the pages that the sandbox was started with.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::sandbox::fault::Fault;
use crate::sandbox::handle::Handle;
use crate::sandbox::rules::Refusal;
use crate::sandbox::settings::{Casing, NextLinks};
use crate::sandbox::world::Program;

/// The first version for the marketplace, and the fields that it does not have yet.
const FIRST_CMP: &str = "/insights/v1/cmp/";
const LATER_FIELDS: [&str; 3] = ["CallbackMethod", "executeNow", "reportLocation"];
/// Where the next page begins: undocumented, as no page size is.
const PAGE_PARAMETER: &str = "pageToken";

/// What is to be answered; the gate puts it into its envelope.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    status: StatusCode,
    values: Vec<Value>,
    message: Option<String>,
    /// Rows of data keep the names of their columns.
    rows: bool,
}

impl Answer {
    pub(super) fn found(values: Vec<Value>, message: &str) -> Self {
        Self { status: StatusCode::OK, values, message: Some(message.to_owned()), rows: false }
    }

    /// An answer that is documented without a message.
    pub(super) fn silent(values: Vec<Value>) -> Self {
        Self { status: StatusCode::OK, values, message: None, rows: false }
    }

    pub(super) fn rows(values: Vec<Value>) -> Self {
        Self { rows: true, ..Self::silent(values) }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        Answer { status: self.status, values: Vec::new(), message: Some(self.message), rows: false }.into_response()
    }
}

/// Puts the answer that a response carries into its envelope; other responses stay as they are.
pub(super) fn wrapped(handle: &Handle, program: Program, uri: &Uri, mut response: Response) -> Response {
    let Some(answer) = response.extensions_mut().remove::<Answer>() else { return response };
    let is_success = answer.status.is_success();
    let can_tell = is_success && program == Program::Mpn;
    let (in_ok, redacted, correlation_id) = handle.with(|world| {
        let in_ok = !is_success && world.faults.take(Fault::ErrorInOk);
        let redacted = can_tell && world.faults.take(Fault::DataRedacted);
        (in_ok, redacted, (answer.status == StatusCode::INTERNAL_SERVER_ERROR).then(|| world.ids.next()))
    });
    let message = match (answer.message, correlation_id) {
        (Some(message), Some(id)) => Some(format!("{message} Correlation ID {id}")),
        (message, _) => message,
    };
    let (mut values, next) = paged(handle, uri, answer.values);
    if uri.path().starts_with(FIRST_CMP) && !answer.rows {
        values.iter_mut().filter_map(Value::as_object_mut).for_each(|fields| {
            fields.retain(|name, value| {
                !LATER_FIELDS.contains(&name.as_str()) || (name == "reportLocation" && !value.is_null())
            });
        });
    }
    let mut body = json!({
        "totalCount": values.len(),
        "message": message,
        "statusCode": answer.status.as_u16(),
        "value": values,
    });
    if is_success && (program == Program::Mpn || next.is_some()) {
        body["nextLink"] = json!(next);
    }
    if can_tell {
        body["dataRedacted"] = json!(redacted);
    }
    let body = cased(body, handle.settings().casing, program, answer.rows);
    if in_ok {
        *response.status_mut() = StatusCode::OK;
    }
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    *response.body_mut() = Body::from(body.to_string());
    response
}

/// The page that was asked for, and the address of the one after it.
fn paged(handle: &Handle, uri: &Uri, values: Vec<Value>) -> (Vec<Value>, Option<String>) {
    let Some(size) = handle.settings().page_size.map(std::num::NonZeroUsize::get) else { return (values, None) };
    let query = uri.query().unwrap_or_default();
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let from = pairs.iter().find(|(name, _)| name.eq_ignore_ascii_case(PAGE_PARAMETER));
    let from: usize = from.and_then(|(_, value)| value.parse().ok()).unwrap_or_default();
    let until = from.saturating_add(size);
    let more = until < values.len();
    let page = values.into_iter().skip(from).take(size).collect();
    let others = pairs.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(PAGE_PARAMETER));
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(others)
        .append_pair(PAGE_PARAMETER, &until.to_string())
        .finish();
    let path = uri.path();
    let next = match handle.settings().next_links {
        NextLinks::Absolute => format!("{}{path}?{query}", handle.url().as_str().trim_end_matches('/')),
        NextLinks::Relative => format!("{path}?{query}"),
    };
    (page, more.then_some(next))
}

fn cased(body: Value, casing: Casing, program: Program, rows: bool) -> Value {
    match (casing, body) {
        (Casing::Documented, body) => body,
        (casing, Value::Object(envelope)) => {
            let cased_member = |(name, value): (String, Value)| {
                let value = if name == "value" && !rows { all_recased(value, casing, program) } else { value };
                (recased(&name, casing, program), value)
            };
            Value::Object(envelope.into_iter().map(cased_member).collect())
        }
        (_, body) => body,
    }
}

fn all_recased(values: Value, casing: Casing, program: Program) -> Value {
    let Value::Array(values) = values else { return values };
    let one = |value: Value| match value {
        Value::Object(members) => Value::Object(
            members.into_iter().map(|(name, value)| (recased(&name, casing, program), value)).collect::<Map<_, _>>(),
        ),
        value => value,
    };
    Value::Array(values.into_iter().map(one).collect())
}

/// A key as the pages of the single calls print it, with their blanks and lapses; or in camel case without exception.
fn recased(name: &str, casing: Casing, program: Program) -> String {
    if casing == Casing::Camel {
        return if name == "CallbackMethod" { "callbackMethod".to_owned() } else { name.to_owned() };
    }
    match name {
        "executeNow" | "minimumRecurrenceInterval" => name.to_owned(),
        "recurrenceCount" => " RecurrenceCount".to_owned(),
        "datasetName" => "DatasetName ".to_owned(),
        "availableDateRanges" if program == Program::Cmp => "AvailableDateRanges ".to_owned(),
        _ => {
            let mut letters = name.chars();
            letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
        }
    }
}
