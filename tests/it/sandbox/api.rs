//! Datasets, queries and reports: what is taken, what is refused, and in which words.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tidings::sandbox::Fault;

use super::{CMP, MPN, QUERY, Setup, message};

#[tokio::test]
async fn datasets_are_listed_with_the_members_that_each_product_has() {
    let setup = Setup::new().await;

    let (_, mpn) = setup.get(&format!("{MPN}/ScheduledDataset?DATASETNAME=officeusage")).await;
    let (_, cmp) = setup.get(&format!("{CMP}/ScheduledDataset")).await;
    let (unknown, answer) = setup.get(&format!("{MPN}/ScheduledDataset?datasetName=ISVOrder")).await;

    assert_eq!((&mpn["totalCount"], &mpn["value"][0]["minimumRecurrenceInterval"]), (&json!(1), &json!(24)));
    assert_eq!((&mpn["nextLink"], &mpn["dataRedacted"]), (&Value::Null, &json!(false)));
    assert!(cmp["value"].as_array().unwrap().iter().all(|one| one.get("minimumRecurrenceInterval").is_none()));
    assert!(cmp.get("dataRedacted").is_none());
    assert_eq!((unknown, message(&answer)), (StatusCode::NOT_FOUND, "No item found with given filters."));
}

#[tokio::test]
async fn a_query_lives_from_its_creation_to_its_deletion() {
    let setup = Setup::new().await;
    let only_ours = format!("{MPN}/ScheduledQueries?includeSystemQueries=false");
    let (none_yet, _) = setup.get(&only_ours).await;

    let id = setup.query().await;

    let (_, ours) = setup.get(&only_ours).await;
    assert_eq!(none_yet, 404);
    assert_eq!(ours["value"][0]["query"], QUERY.trim());
    assert_eq!((&ours["value"][0]["type"], &ours["totalCount"]), (&json!("userDefined"), &json!(1)));
    let (_, rows) = setup.get(&format!("{MPN}/ScheduledQueries/testQueryResult?queryId={id}")).await;
    assert_eq!(rows["totalCount"], 100);
    assert!(rows["value"][99]["CustomerName"].is_string());
    let (_, deleted) = setup.delete(&format!("{MPN}/ScheduledQueries/{id}")).await;
    assert_eq!(message(&deleted), "Query deleted successfully");
    assert_eq!(setup.get(&only_ours).await.0, 404);
}

#[tokio::test]
async fn the_quotas_are_those_documented() {
    let setup = Setup::new().await;
    let system_query = "d8349f7b-a7d1-467e-b26d-434d4a50f26a";
    let at_once = json!({"ReportName": "r", "QueryId": system_query, "ExecuteNow": true});
    let path = format!("{MPN}/ScheduledReport");
    for _ in 0..5 {
        assert_eq!(setup.post(&path, &at_once).await.0, 200);
    }

    let (status, sixth) = setup.post(&path, &at_once).await;
    setup.clock.advance(Duration::from_secs(3599));
    let (_, early) = setup.post(&path, &at_once).await;

    assert_eq!(status, 400);
    assert_eq!(message(&sixth), "User has exceeded its ExecuteNow report creation quota of 5 reports/60 mins");
    assert_eq!(message(&early), message(&sixth));
    let query = json!({"Name": "n", "Query": QUERY});
    for _ in 0..100 {
        assert_eq!(setup.post(&format!("{MPN}/ScheduledQueries"), &query).await.0, 200);
    }
    let (_, query) = setup.post(&format!("{MPN}/ScheduledQueries"), &query).await;
    assert_eq!(message(&query), "Number of queries exceeded. Delete few queries before creating new queries");
}

#[tokio::test]
async fn a_report_is_answered_as_it_was_asked_for() {
    let setup = Setup::new().await;

    let (_, answer) =
        setup.report(json!({"CallbackUrl": "https://hooks.example/x", "CallbackMethod": "get", "Format": "TSV"})).await;

    let report = &answer["value"][0];
    assert_eq!(message(&answer), "Report created successfully");
    assert_eq!((&report["reportStatus"], &report["executeNow"]), (&json!("Active"), &json!(false)));
    assert_eq!(
        (&report["createdTime"], &report["startTime"]),
        (&json!("2026-11-20T08:00:00Z"), &json!("2026-11-20T12:00:00Z"))
    );
    assert_eq!((&report["CallbackMethod"], &report["format"]), (&json!("GET"), &json!("tsv")));
    let (_, listed) = setup.get(&format!("{MPN}/ScheduledReport?reportName=daily usage")).await;
    assert_eq!(&listed["value"][0], report);
    assert_eq!(setup.get(&format!("{CMP}/ScheduledReport")).await.0, 404);
}

#[tokio::test]
async fn a_report_that_starts_too_soon_or_at_no_date_is_refused() {
    let setup = Setup::new().await;

    let (soon, answer) = setup.report(json!({"StartTime": "2026-11-20T11:59:59Z"})).await;
    let (odd, internal) = setup.report(json!({"StartTime": "tomorrow"})).await;
    let (unknown, query) = setup.report(json!({"QueryId": "none"})).await;

    assert_eq!(
        (soon, odd, unknown),
        (StatusCode::BAD_REQUEST, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::BAD_REQUEST)
    );
    assert_eq!(
        message(&answer),
        "Invalid report parameters for creation - Start time of report should at least be 4 hours from current UTC time"
    );
    assert!(message(&internal).starts_with("Internal error encountered while creating report. Correlation ID "));
    assert_eq!(message(&query), "Invalid QueryID");
}

#[tokio::test]
async fn the_faults_of_the_service_happen_once_each() {
    let setup = Setup::new().await;
    let faults = [Fault::Throttled, Fault::ServerError, Fault::TokenRefused];
    let mut seen = Vec::new();

    for fault in faults {
        setup.sandbox.world.fault(fault);
        let path = setup.url(&format!("{MPN}/ScheduledDataset"));
        let response = setup.client.get(path).bearer_auth(&setup.token).send().await.unwrap();
        let waits = response.headers().contains_key("retry-after");
        seen.push((response.status().as_u16(), waits));
        assert_eq!(setup.get(&format!("{MPN}/ScheduledDataset")).await.0, 200, "{fault}");
    }

    assert_eq!(seen, [(429, true), (500, false), (401, false)]);
}
