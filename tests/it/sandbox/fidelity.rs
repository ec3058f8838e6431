//! The checklist of the reference: shapes, casings, pages, filters and faults that a client may meet.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tidings::sandbox::{Casing, DefaultExecutions, Fault, NextLinks, Settings};

use super::{CMP, HOUR, MPN, QUERY, Setup, message, receiver};

const SYSTEM_QUERY: &str = "d8349f7b-a7d1-467e-b26d-434d4a50f26a";

#[tokio::test]
async fn keys_are_cased_as_the_examples_or_the_single_pages_have_them() {
    let of = async |casing| {
        let setup = Setup::with(Settings { casing, ..Settings::default() }).await;
        let body = json!({"ReportName": "r", "QueryId": SYSTEM_QUERY, "ExecuteNow": true});
        let report = setup.post(&format!("{MPN}/ScheduledReport"), &body).await.1;
        let datasets = setup.get(&format!("{CMP}/ScheduledDataset")).await.1;
        let rows = setup.get(&format!("{MPN}/ScheduledQueries/testQueryResult?queryId={SYSTEM_QUERY}")).await.1;
        (report, datasets, rows)
    };

    let (documented, ..) = of(Casing::Documented).await;
    let (camel, ..) = of(Casing::Camel).await;
    let (pascal, datasets, rows) = of(Casing::Pascal).await;

    assert_eq!(documented["value"][0]["CallbackMethod"], "POST");
    assert_eq!(camel["value"][0]["callbackMethod"], "POST");
    assert_eq!((&pascal["StatusCode"], &pascal["Value"][0]["executeNow"]), (&json!(200), &json!(true)));
    assert!(pascal["Value"][0].get(" RecurrenceCount").is_some());
    assert!(datasets["Value"][0].get("DatasetName ").is_some());
    assert!(datasets["Value"][0].get("AvailableDateRanges ").is_some());
    assert!(rows["Value"][0].get("CustomerTenantId").is_some() && rows["Value"][0].get("MPNId").is_some());
}

#[tokio::test]
async fn pages_lead_to_one_another_until_the_last() {
    for next_links in [NextLinks::Absolute, NextLinks::Relative] {
        let page_size = std::num::NonZeroUsize::new(8);
        let setup = Setup::with(Settings { page_size, next_links, ..Settings::default() }).await;
        let mut next = format!("/{MPN}/ScheduledDataset");
        let (mut sizes, mut addresses) = (Vec::new(), Vec::new());

        while let Some(address) = Some(&next).filter(|next| !next.is_empty()) {
            let address = setup.sandbox.url().join(address).unwrap();
            let (_, page) = setup.get(address.as_str().strip_prefix(setup.sandbox.url().as_str()).unwrap()).await;
            sizes.push(page["totalCount"].as_u64().unwrap());
            next = page["nextLink"].as_str().unwrap_or_default().to_owned();
            addresses.push(next.clone());
        }

        assert_eq!(sizes, [8, 8, 5]);
        assert_eq!(addresses[0].starts_with("http://"), next_links == NextLinks::Absolute, "{addresses:?}");
    }
}

#[tokio::test]
async fn one_who_names_no_status_is_told_what_the_switch_says() {
    let told = async |default_executions, at_once: bool| {
        let setup = Setup::with(Settings { default_executions, ..Settings::default() }).await;
        let report = setup.report_id(json!({"ExecuteNow": at_once})).await;
        if !at_once {
            setup.sandbox.world.run_report_now(&report).await.unwrap();
        }
        let mut seen = Vec::new();
        for _ in 0..3 {
            let (status, answer) = setup.executions(&report, "").await;
            let shown = answer["value"][0]["executionStatus"].as_str();
            seen.push(shown.map_or_else(|| status.as_u16().to_string(), str::to_owned));
            setup.pass(Duration::from_secs(1)).await;
        }
        let explicit = setup.executions(&report, "?executionStatus=Pending").await.0;
        assert_eq!(explicit, StatusCode::NOT_FOUND);
        seen
    };

    assert_eq!(told(DefaultExecutions::Observed, true).await, ["Pending", "Pending", "Completed"]);
    assert_eq!(told(DefaultExecutions::Observed, false).await, ["404", "404", "Completed"]);
    assert_eq!(told(DefaultExecutions::Documented, true).await, ["404", "404", "Completed"]);
    assert_eq!(told(DefaultExecutions::Any, false).await, ["Pending", "Running", "Completed"]);
}

#[tokio::test]
async fn errors_come_in_every_shape_that_was_ever_seen() {
    let setup = Setup::new().await;
    let ask = async |fault| {
        setup.sandbox.world.fault(fault);
        let path = setup.url(&format!("{MPN}/ScheduledDataset?datasetName=none"));
        let response = setup.client.get(path).bearer_auth(&setup.token).send().await.unwrap();
        let challenge = response.headers().contains_key("www-authenticate");
        (response.status().as_u16(), challenge, response.text().await.unwrap())
    };

    for (fault, status, challenges, says) in [
        (Fault::Throttled, 429, false, "Rate limit is exceeded. Try again in 2 seconds."),
        (Fault::ServerError, 500, false, "\"statusCode\":500"),
        (Fault::FrontDoorError, 400, false, "\"source\":\"PartnerFD\""),
        (Fault::HtmlError, 503, false, "<h1>Service Unavailable</h1>"),
        (Fault::RequestTimeout, 408, false, "\"statusCode\":408"),
        (Fault::TokenRefused, 401, true, "\"message\":\"Unauthorized\""),
        (Fault::Forbidden, 403, false, "\"statusCode\":403"),
        (Fault::Mfa900421, 401, false, "900421"),
        (Fault::ErrorInOk, 200, false, "\"statusCode\":404"),
    ] {
        let (answered, challenged, body) = ask(fault).await;
        assert_eq!((answered, challenged), (status, challenges), "{fault}");
        assert!(body.contains(says), "{fault}: {body}");
    }
    assert_eq!(ask(Fault::EmptyError).await, (502, false, String::new()));
    assert_eq!(ask(Fault::MfaRequired).await, (401, true, String::new()));
    setup.sandbox.world.fault(Fault::MfaRequired);
    let path = setup.url(&format!("{MPN}/ScheduledDataset"));
    let refused = setup.client.get(path).bearer_auth(&setup.token).send().await.unwrap();
    let reason = refused.extensions().get::<hyper::ext::ReasonPhrase>().unwrap();
    assert_eq!(reason.as_bytes(), b"Unauthorized - MFA required");
    setup.sandbox.world.fault(Fault::DataRedacted);
    assert_eq!(setup.get(&format!("{MPN}/ScheduledDataset")).await.1["dataRedacted"], true);
}

#[tokio::test]
async fn a_creation_can_succeed_without_saying_so() {
    let setup = Setup::new().await;
    setup.sandbox.world.fault(Fault::CreationUnanswered);
    let body = json!({"ReportName": "r", "QueryId": SYSTEM_QUERY, "ExecuteNow": true});

    let (status, answer) = setup.post(&format!("{MPN}/ScheduledReport"), &body).await;

    assert_eq!(status, 500);
    assert!(message(&answer).starts_with("Internal error encountered"));
    assert_eq!(setup.get(&format!("{MPN}/ScheduledReport?reportName=r")).await.1["totalCount"], 1);
}

#[tokio::test]
async fn stray_blanks_of_the_documentation_are_forgiven() {
    let setup = Setup::new().await;
    let report = setup.report_id(json!({"ReportName": " Daily usage "})).await;

    let (executions, _) =
        setup.get(&format!("{MPN}/ScheduledReport/execution/%20{report}?executionStatus=%20Pending")).await;
    let (listed, answer) = setup.get(&format!("{MPN}/ScheduledReport?reportId=%20{report}%20")).await;
    let resource = setup.sign_in("oauth2/token", &[("resource", " https://api.partnercenter.microsoft.com")]).await;
    let path = setup.url(&format!("{MPN}/ScheduledDataset"));
    let padded =
        setup.client.get(path).header("Authorization", format!("Bearer   {}  ", setup.token)).send().await.unwrap();

    assert_eq!((executions, listed), (StatusCode::NOT_FOUND, StatusCode::OK));
    assert_eq!(answer["value"][0]["reportName"], "Daily usage");
    assert_eq!((resource.status(), padded.status()), (StatusCode::OK, StatusCode::OK));
}

#[tokio::test]
async fn both_token_headers_are_taken_by_every_call() {
    let setup = Setup::new().await;
    let report = setup.report_id(json!({})).await;
    let query = setup.query().await;
    for (method, path) in [
        ("GET", "ScheduledDataset".to_owned()),
        ("GET", "ScheduledQueries".to_owned()),
        ("GET", format!("ScheduledQueries/testQueryResult?queryId={query}")),
        ("GET", "ScheduledReport".to_owned()),
        ("GET", format!("ScheduledReport/execution/{report}")),
        ("PUT", format!("ScheduledReport/pause/{report}")),
        ("PUT", format!("ScheduledReport/resume/{report}")),
        ("DELETE", format!("ScheduledReport/{report}")),
        ("DELETE", format!("ScheduledQueries/{query}")),
    ] {
        let ask = |with: Option<(&'static str, String)>| {
            let request = setup.client.request(method.parse().unwrap(), setup.url(&format!("{MPN}/{path}")));
            with.into_iter().fold(request, |request, (name, value)| request.header(name, value)).send()
        };
        let without = ask(None).await.unwrap().status();
        let ticket = ask(Some(("X-AadUserTicket", setup.token.clone()))).await.unwrap().status();
        let bearer = ask(Some(("Authorization", format!("bearer {}", setup.token)))).await.unwrap().status();

        assert_eq!(without, 401, "{method} {path}");
        assert!(ticket != 401 && bearer != 401, "{method} {path}: {ticket} {bearer}");
    }
}

#[tokio::test]
async fn queries_are_checked_and_limited_and_those_of_the_system_stay() {
    let setup = Setup::new().await;
    let path = format!("{MPN}/ScheduledQueries");
    let refused = async |text: &str| {
        let (status, answer) = setup.post(&path, &json!({"Name": "n", "Query": text})).await;
        assert_eq!(status, 400, "{text}");
        message(&answer).to_owned()
    };

    assert_eq!(refused("SELECT Moon FROM OfficeUsage").await, "Incorrect column name");
    assert_eq!(refused("SELECT Month FROM Moon").await, "Invalid table name");
    assert_eq!(
        refused("SELECT Month FROM OfficeUsage WHERE A = 1 OR B = 2").await,
        "Invalid query - OR is not supported"
    );
    let query = "SELECT+Month+FROM+OfficeUsage+LIMIT+7+TIMESPAN+LIFETIME";
    let (_, rows) = setup.get(&format!("{path}/testQueryResult?exportQuery={query}")).await;
    assert_eq!(rows["totalCount"], 7);
    assert_eq!(setup.get(&format!("{path}/testQueryResult?exportQuery={query}&startTime=soon")).await.0, 500);
    let (kept, answer) = setup.delete(&format!("{path}/{SYSTEM_QUERY}")).await;
    assert_eq!((kept, message(&answer)), (StatusCode::BAD_REQUEST, "Invalid QueryID"));
}

#[tokio::test]
async fn the_test_of_a_query_can_take_longer_than_the_service_waits() {
    let setup = Setup::with(Settings { slow_test: Duration::from_millis(200), ..Settings::default() }).await;
    setup.sandbox.world.fault(Fault::SlowTest);
    let path = format!("{MPN}/ScheduledQueries/testQueryResult?queryId={SYSTEM_QUERY}");

    let begun = std::time::Instant::now();
    let (status, _) = setup.get(&path).await;

    assert_eq!(status, 500);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(setup.get(&path).await.0, 200);
}

#[tokio::test]
async fn a_callback_can_come_late_be_concatenated_and_follow_a_report_that_ran_at_once() {
    let setup = Setup::with(Settings { callback_execute_now: true, ..Settings::default() }).await;
    let (url, calls) = receiver().await;
    let address = format!("{url}?key=1");
    let run = async |changes: Value| {
        let mut body = json!({"ExecuteNow": true, "CallbackUrl": address});
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let id = setup.report_id(body).await;
        setup.pass(Duration::from_secs(2)).await;
        id
    };

    let joined = run(json!({"CallbackMethod": "GET"})).await;
    setup.sandbox.world.fault(Fault::CallbackConcatenated);
    let concatenated = run(json!({"CallbackMethod": "GET"})).await;
    setup.sandbox.world.fault(Fault::CallbackDelayed);
    let late = run(json!({})).await;
    let before = calls.lock().unwrap().len();
    setup.pass(Duration::from_secs(60)).await;

    assert_eq!(before, 2);
    assert_eq!(
        *calls.lock().unwrap(),
        [
            format!("GET /ready?key=1&reportId={joined} 0"),
            format!("GET /ready?key=1?reportId={concatenated} 0"),
            format!("POST /ready/{late}?key=1 0"),
        ]
    );
}

#[tokio::test]
async fn statuses_that_nobody_documents_can_be_shown() {
    let setup = Setup::with(Settings { failure_status: "GenerationFailed".to_owned(), ..Settings::default() }).await;
    setup.sandbox.world.fault(Fault::ExecutionFailed);
    setup.sandbox.world.fault(Fault::StatusUnknown);
    let report = setup.report_id(json!({"ExecuteNow": true})).await;

    let (_, open) = setup.executions(&report, "").await;
    setup.pass(Duration::from_secs(2)).await;
    let (_, failed) = setup.executions(&report, "?executionStatus=GenerationFailed").await;

    assert_eq!(open["value"][0]["executionStatus"], "Queued");
    assert_eq!(failed["value"][0]["executionStatus"], "GenerationFailed");
    let (unknown, answer) = setup.executions(&report, "?executionStatus=Odd").await;
    assert_eq!((unknown, message(&answer)), (StatusCode::BAD_REQUEST, "Requested value 'Odd' not found"));
}

#[tokio::test]
async fn a_start_time_that_cannot_be_read_is_told_to_be_one_where_the_switch_says_so() {
    let setup = Setup::with(Settings { date_messages: true, ..Settings::default() }).await;

    let (status, answer) = setup.report(json!({"StartTime": "tomorrow"})).await;

    assert_eq!(status, 400);
    assert!(message(&answer).ends_with(" - StartTime should follow format: yyyy-MM-ddTHH:mm:ssZ"), "{answer}");
}

#[tokio::test]
async fn the_same_calls_of_the_same_seed_are_answered_the_same() {
    let answers = async |seed| {
        let setup = Setup::with(Settings { seed, ..Settings::default() }).await;
        setup.sandbox.world.fault_rate(Fault::Throttled, 0.5);
        let mut statuses = Vec::new();
        for _ in 0..20 {
            statuses.push(setup.get(&format!("{MPN}/ScheduledDataset")).await.0.as_u16());
        }
        setup.sandbox.world.clear_faults();
        (statuses, setup.post(&format!("{MPN}/ScheduledQueries"), &json!({"Name": "n", "Query": QUERY})).await.1)
    };

    let (first, query) = answers(3).await;

    assert!(first.contains(&429) && first.contains(&200), "{first:?}");
    assert_eq!((first, query), answers(3).await);
    assert_ne!(answers(3).await, answers(4).await);
}

#[tokio::test]
async fn an_update_on_cmp_names_format_and_callback_address() {
    let setup = Setup::new().await;
    let whole = json!({"ReportName": "Renamed", "StartTime": "2026-11-20T14:00:00Z", "RecurrenceInterval": 24,
        "Format": "csv", "CallbackURL": "https://hooks.example/x"});
    let query = json!({"QueryId": "b9df4929-073f-4795-b0cb-a2c81b11e28d"});
    let mut creation = whole.clone();
    creation.as_object_mut().unwrap().extend(query.as_object().unwrap().clone());
    let (_, report) = setup.post(&format!("{CMP}/ScheduledReport"), &creation).await;
    let path = format!("{CMP}/ScheduledReport/{}", report["value"][0]["reportId"].as_str().unwrap());

    for left_out in ["Format", "CallbackURL"] {
        let mut update = whole.clone();
        update.as_object_mut().unwrap().remove(left_out);
        let (status, answer) = setup.put(&path, &update).await;
        assert_eq!((status, message(&answer)), (StatusCode::BAD_REQUEST, "Null or missing value"), "{left_out}");
    }
    assert_eq!(setup.put(&path, &whole).await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_updated_report_needs_a_start_four_hours_ahead_and_is_replaced_in_full() {
    let setup = Setup::new().await;
    let report = setup.report_id(json!({"CallbackUrl": "https://hooks.example/x"})).await;
    let path = format!("{MPN}/ScheduledReport/{report}");
    let update = |start: &str| json!({"ReportName": "Renamed", "StartTime": start, "RecurrenceInterval": 24});

    let (soon, _) = setup.put(&path, &update("2026-11-20T11:00:00Z")).await;
    let (none, _) = setup.put(&path, &json!({"ReportName": "Renamed", "RecurrenceInterval": 24})).await;
    let (_, updated) = setup.put(&path, &update("2026-11-20T14:00:00Z")).await;

    assert_eq!((soon, none), (StatusCode::BAD_REQUEST, StatusCode::BAD_REQUEST));
    let value = &updated["value"][0];
    assert_eq!((&value["reportName"], &value["modifiedTime"]), (&json!("Renamed"), &json!("2026-11-20T08:00:00Z")));
    assert_eq!((&value["callbackUrl"], &value["recurrenceCount"]), (&Value::Null, &Value::Null));
    setup.pass(4 * HOUR + Duration::from_secs(2)).await;
    assert!(setup.sandbox.world.reports()[0].executions.is_empty());
}
