//! What holds for every answer of the API and every query: however it is spelled it is read the same, and nothing that can
//! be sent breaks the reading.
//!
//! `PROPTEST_CASES=100000 cargo test --lib properties` tries more random shapes, and
//! `TIDINGS_FUZZ_SECONDS=600 cargo test --lib properties::fuzz -- --nocapture` damages known answers and queries at random
//! for so long, and says how many it tried.

mod fuzz;
mod spelling;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::error::judge;
use super::language::{self, Problem};
use super::wire::{Dataset, Execution, Fields, Query, Report};
use super::{Error, token};

/// Answers that the API is documented or was seen to give, by their status; each says something in every field.
fn answers() -> Vec<(u16, Value)> {
    let envelope = |value: Value| {
        json!({ "value": [value], "nextLink": null, "totalCount": 1, "message": "Done", "statusCode": 200,
            "dataRedacted": false })
    };
    let dataset = json!({ "datasetName": "OfficeUsage", "selectableColumns": ["CustomerTenantId", "Month"],
        "availableMetrics": ["CustomerCount"], "availableDateRanges": ["LAST_MONTH", "LIFETIME"],
        "minimumRecurrenceInterval": 24 });
    let query = json!({ "queryId": "66666666-7777-4888-8999-aaaaaaaaaaaa", "name": "Usage", "description": "d",
        "query": "SELECT SubscriptionId from DynamicsUsage", "type": "userDefined", "user": "svc@contoso.example",
        "createdTime": "2026-01-05T08:15:15Z" });
    let report = json!({ "reportId": "11111111-2222-4333-8444-555555555555", "reportName": "Daily usage",
        "description": "d", "queryId": "66666666-7777-4888-8999-aaaaaaaaaaaa", "query": "SELECT A from B",
        "user": "svc@contoso.example", "createdTime": "2026-01-05T08:15:15Z", "modifiedTime": null, "executeNow": false,
        "startTime": "2026-01-06T18:41:00Z", "reportStatus": "Active", "recurrenceInterval": 48, "recurrenceCount": 20,
        "callbackUrl": "https://hooks.example/x", "CallbackMethod": "GET", "format": "csv" });
    let execution = json!({ "executionId": "99999999-0000-4000-8000-000000000001",
        "reportId": "11111111-2222-4333-8444-555555555555", "recurrenceInterval": 24, "recurrenceCount": 100,
        "callbackUrl": null, "callbackMethod": null, "format": "csv", "executionStatus": "Completed",
        "reportLocation": null, "reportAccessSecureLink": "https://acct.blob.core.windows.net/c/b.csv?sv=1&sig=2",
        "reportExpiryTime": null, "reportGeneratedTime": "2026-01-07T18:52:10Z" });
    vec![
        (200, envelope(dataset)),
        (200, envelope(query)),
        (200, envelope(report)),
        (200, envelope(execution)),
        (200, json!({ "value": [], "nextLink": "ScheduledReport?page=2", "statusCode": 200 })),
        (200, json!({ "value": [], "totalCount": 0, "message": "Invalid QueryID", "statusCode": 400 })),
        (400, json!({ "value": [], "totalCount": 0, "message": "Invalid QueryID", "statusCode": 400 })),
        (401, json!({ "code": 900_421, "description": "MFA", "source": "PartnerFD" })),
        (401, json!({ "statusCode": 401, "message": "Unauthorized" })),
        (404, json!({ "value": [], "message": "No item found with given filters.", "statusCode": 404 })),
        (429, json!({ "statusCode": 429, "message": "Rate limit is exceeded. Try again in 57 seconds." })),
        (500, json!({ "message": "Internal error encountered while creating report.", "statusCode": 500 })),
        (400, json!({ "error": { "code": "BadRequest", "message": "No." } })),
        (400, json!({ "code": "2000", "description": "Account Id has to be set.", "data": [] })),
    ]
}

/// Answers of the sign-in.
fn token_answers() -> Vec<(u16, Value)> {
    vec![
        (
            200,
            json!({ "token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "expires_on": 1_795_154_531,
                "resource": "https://api.partnercenter.microsoft.com", "access_token": "access", "refresh_token": "next",
                "id_token": "id" }),
        ),
        (
            400,
            json!({ "error": "interaction_required", "error_description": "AADSTS50076: MFA\r\nTrace ID: 1",
                "error_codes": [50076], "timestamp": "2026-01-05 08:15:15Z", "trace_id": "1", "correlation_id": "2" }),
        ),
    ]
}

/// All that is made of an answer of the API, as text. Secrets are shown: they must be read the same too.
fn read(status: u16, body: &[u8]) -> String {
    let status = StatusCode::from_u16(status).expect("a status of ours");
    let answer = match judge(status, b"", &HeaderMap::new(), body, true) {
        Ok(answer) => answer,
        Err(error) => return format!("{error:?} {:?}", error.failure()),
    };
    let next = format!("{:?}", answer.next_link);
    let read = answer.value.into_iter().map(Fields::of).map(|fields| {
        let report = Report::read(&fields);
        let execution = Execution::read(&fields);
        let callback =
            report.as_ref().and_then(|report| report.callback_url.as_ref()).map(crate::secret::Secret::expose);
        let link = execution.as_ref().and_then(|execution| execution.link.as_ref()).map(super::SecureLink::expose);
        let progress = execution.as_ref().map(Execution::progress);
        let (dataset, query) = (Dataset::read(&fields), Query::read(&fields));
        format!("{dataset:?} {query:?} {report:?} {callback:?} {execution:?} {link:?} {progress:?}")
    });
    std::iter::once(next).chain(read).collect()
}

/// All that is made of an answer of the sign-in, as text.
fn read_token(status: u16, body: &[u8]) -> String {
    let fields = serde_json::from_slice::<Value>(body).map(Fields::of).unwrap_or_default();
    let answer: Result<_, Error> =
        if status == 200 { token::read(&fields) } else { Err(token::refusal(status, &fields)) };
    match answer {
        Ok(token) => {
            let next = token.refresh.as_ref().map(crate::secret::Secret::expose);
            format!("{} {:?} {next:?}", token.access.expose(), token.life)
        }
        Err(error) => format!("{error:?}"),
    }
}

/// All that is said of a query.
fn judge_query(text: &str, datasets: &[Dataset]) -> Vec<Problem> {
    match language::parse(text) {
        Ok(query) => language::check(&query, datasets),
        Err(problem) => vec![problem],
    }
}

/// Queries of every kind, right and wrong.
fn queries() -> Vec<String> {
    let documented = include_str!("../../../tests/fixtures/queries.txt").split("\n\n").map(str::to_owned);
    let wrong = [
        "SELECT *, SUM(x), COUNT(*) FROM OfficeUsage WHERE a = 'b''c' OR d IN (1, '2') GROUP BY e;",
        "select distinct Month from officeusage where not like 'x%' order by Month asc, Seats limit 007 timespan lifetime",
    ];
    documented.chain(wrong.map(str::to_owned)).collect()
}
