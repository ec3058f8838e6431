//! Reports that exist at the API before us: listed without their secrets, and taken over.

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::scene::{DAY, UNTIL_FIRST_RUN};

const THEIRS: &str = "https://hooks.example/secret-of-theirs";

/// A report that somebody else made there, which has run once. Nothing of it is known here.
async fn foreign(it: &TestApp) -> (String, String) {
    let report = it.registered().await;
    let account = it.get(&format!("/reports/{report}")).await["account_id"].as_str().unwrap().to_owned();
    let body = json!({ "ReportName": "Theirs", "StartTime": "2026-01-05T12:21:00Z", "RecurrenceInterval": 24,
        "RecurrenceCount": 9, "CallbackUrl": THEIRS });
    it.there("PUT", "", Some(body)).await;
    it.after(UNTIL_FIRST_RUN).await;
    for table in ["registrations", "checks", "reports", "queries", "events"] {
        it.sql(&format!("delete from {table}")).await;
    }
    let remote = it.sandbox.world.reports()[0].id.clone();
    (account, remote)
}

async fn adopt(it: &TestApp, (account, remote): (&str, &str), body: Value) -> (u16, Value) {
    it.call_and_drain("POST", &format!("/accounts/{account}/reports/{remote}/adopt"), Some(body)).await
}

#[tokio::test]
async fn what_exists_there_is_listed_with_whose_it_is_and_no_address() {
    let it = TestApp::start().await;
    let (account, remote) = foreign(&it).await;
    let ours = it.report(&account).await;
    it.drain().await;

    let items = it.list(&format!("/accounts/{account}/reports")).await;

    let shown = json!({ "remote_id": remote, "name": "Theirs", "status": "Active", "interval_hours": 24, "occurrences": 9,
        "format": "csv", "callback": "other", "callback_host": "hooks.example", "report_id": null });
    for (field, value) in shown.as_object().unwrap() {
        assert_eq!(&items[0][field], value, "{field}");
    }
    assert!(items[0]["query"].as_str().unwrap().starts_with("SELECT"));
    assert_eq!((items.len(), &items[1]["callback"], &items[1]["report_id"]), (2, &json!("ours"), &json!(ours)));
    assert!(!json!(items).to_string().contains("secret-of-theirs"));
}

#[tokio::test]
async fn a_dry_run_shows_what_would_change_there_and_changes_nothing() {
    let it = TestApp::start().await;
    let (account, remote) = foreign(&it).await;
    let before = it.sandbox.world.reports()[0].terms.clone();

    let (status, plan) = adopt(&it, (&account, &remote), json!({ "dry_run": true, "name": "Ours" })).await;

    assert_eq!(status, 200);
    let changes = plan["changes"].as_array().unwrap();
    let field = |name: &str| changes.iter().find(|change| change["field"] == name).cloned().unwrap();
    assert_eq!(field("name"), json!({ "field": "name", "from": "Theirs", "to": "Ours" }));
    assert_eq!(field("callback")["from"], "hooks.example");
    assert!(field("callback")["to"].as_str().unwrap().starts_with('…'));
    assert_eq!(field("start_at")["to"], "2026-01-06T12:21:00Z");
    assert_eq!((&field("occurrences")["from"], &field("occurrences")["to"]), (&json!(9), &json!(8)));
    assert_eq!((changes.len(), &plan["warnings"]), (4, &json!([])));
    assert_eq!(it.sandbox.world.reports()[0].terms, before);
    assert!(it.list("/reports").await.is_empty());
}

#[tokio::test]
async fn an_adopted_report_calls_us_its_past_is_archived_in_silence_and_its_future_told() {
    let it = TestApp::start().await;
    let (account, remote) = foreign(&it).await;

    let (status, adopted) = adopt(&it, (&account, &remote), json!({ "name": "Ours" })).await;
    it.drain().await;

    let report = adopted["id"].as_str().unwrap().to_owned();
    assert_eq!(
        (status, &adopted["state"], &adopted["remote_id"]),
        (201, &json!("registered"), &json!(remote)),
        "{adopted}"
    );
    assert!(it.app.addresses.is_ours(it.callback_address().as_str(), report.parse().unwrap()));
    let there = it.sandbox.world.reports();
    assert_eq!((there.len(), there[0].terms.name.as_str(), there[0].executions.len()), (1, "Ours", 1));
    assert_eq!(it.list(&format!("/files?report_id={report}")).await.len(), 1);
    assert!(it.kinds().await.is_empty());

    it.after(DAY).await;
    it.drain().await;
    assert_eq!(it.list(&format!("/files?report_id={report}")).await.len(), 2);
    assert_eq!(it.kinds().await, ["report.ready"]);
    let found = it.list(&format!("/executions?report_id={report}")).await;
    assert_eq!(found[0]["found_by"], "callback");
}

#[tokio::test]
async fn a_failure_from_before_the_adoption_is_not_told() {
    let it = TestApp::start().await;
    let (account, remote) = foreign(&it).await;
    it.sandbox.world.fault_times(tidings::sandbox::Fault::LinkExpired, 100);

    adopt(&it, (&account, &remote), json!({})).await;
    for _ in 0..30 {
        it.after(300).await;
        it.drain().await;
    }

    assert_eq!(it.list("/executions").await[0]["state"], "failed");
    assert!(it.kinds().await.is_empty());
}

#[tokio::test]
async fn a_report_that_carries_our_own_address_was_made_by_us_so_all_it_made_is_told() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    let account = it.get(&format!("/reports/{report}")).await["account_id"].as_str().unwrap().to_owned();
    let remote = it.sandbox.world.reports()[0].id.clone();
    it.after(UNTIL_FIRST_RUN).await;
    for table in ["registrations", "checks", "reports", "queries"] {
        it.sql(&format!("delete from {table}")).await;
    }

    let (status, adopted) = adopt(&it, (&account, &remote), json!({})).await;
    it.drain().await;

    assert_eq!((status, &adopted["id"]), (201, &json!(report)), "{adopted}");
    assert_eq!(it.kinds().await, ["report.ready"]);
}

#[tokio::test]
async fn what_is_ours_or_is_not_there_cannot_be_adopted() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    let shown = it.get(&format!("/reports/{report}")).await;
    let (account, remote) = (shown["account_id"].as_str().unwrap(), shown["remote_id"].as_str().unwrap());

    let (ours, why) = adopt(&it, (account, remote), json!({})).await;
    let (gone, _) = adopt(&it, (account, "00000000-0000-4000-8000-000000000000"), json!({})).await;
    let (wrong, fields) = adopt(&it, (account, remote), json!({ "nmae": "x" })).await;

    assert_eq!((ours, gone, wrong), (409, 404, 422), "{why} {fields}");
    assert!(why["detail"].as_str().unwrap().contains(&report));
}
