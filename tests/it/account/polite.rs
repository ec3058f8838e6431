//! One account, one caller: all its calls wait together, and Microsoft can find each of them.

use axum::http::Response;
use serde_json::json;
use tidings::sandbox::Fault;

use crate::support::app::TestApp;
use crate::support::server::Server;

#[tokio::test]
async fn each_call_carries_ids_of_its_own_and_an_error_shows_the_one_to_search_for() {
    let it = TestApp::start().await;
    let between = Server::before(it.sandbox.url(), |_, answer| answer).await;
    let account = it.account_through(&between).await;
    let report = it.report(&account).await;
    it.sandbox.world.fault(Fault::ServerError);
    it.drain().await;

    let calls: Vec<_> = between.taken().into_iter().filter(|taken| !taken.signs_in()).collect();
    let failed = calls.last().unwrap();
    let id = failed.header("ms-correlationid").to_owned();
    assert!(uuid::Uuid::parse_str(&id).is_ok() && uuid::Uuid::parse_str(failed.header("ms-requestid")).is_ok());
    let failure = it.get(&format!("/reports/{report}")).await["last_failure"].as_str().unwrap().to_owned();
    assert!(failure.contains(&format!("(correlation {id})")), "{failure}");

    it.after(5).await;
    it.drain().await;
    let calls: Vec<_> = between.taken().into_iter().filter(|taken| !taken.signs_in()).collect();
    let ids: std::collections::BTreeSet<_> =
        calls.iter().flat_map(|taken| [taken.header("ms-correlationid"), taken.header("ms-requestid")]).collect();
    assert!(calls.len() > 2);
    assert_eq!(ids.len(), calls.len() * 2);
}

#[tokio::test]
async fn a_service_that_is_away_is_asked_by_one_report_at_a_time_and_less_and_less_often() {
    let it = TestApp::start().await;
    let account = it.account().await;
    for number in 0..20 {
        let report = json!({
            "account_id": account, "name": format!("Report {number}"), "query": crate::support::app::QUERY,
            "interval_hours": 24,
        });
        it.post("/reports", report).await;
    }
    it.sandbox.world.fault_times(Fault::ServerError, 1_000_000);

    let mut asked = Vec::new();
    for _ in 0..12 {
        it.drain().await;
        asked.push(it.sandbox.world.counts().api_requests);
        it.after(300).await;
    }

    // What was claimed together may fail together; the others wait.
    assert!(*asked.last().unwrap() <= 12 * 10, "{asked:?}");
    assert!(it.number("select failures::int8 from accounts").await >= 5, "{asked:?}");
    let blocked = "select count(*) from accounts where blocked_until > '2026-01-05T08:15:15Z'";
    assert_eq!(it.number(blocked).await, 1);

    it.sandbox.world.clear_faults();
    it.after(300).await;
    it.drain().await;
    assert_eq!(it.number("select failures::int8 from accounts").await, 0);
    it.after(600).await;
    it.drain().await;
    assert_eq!(it.sandbox.world.reports().len(), 20);
}

#[tokio::test]
async fn a_creation_that_fails_keeps_only_its_own_report_waiting() {
    let it = TestApp::start().await;
    let between = Server::before(it.sandbox.url(), |taken, answer| {
        let fails = taken.creates_a_report();
        if fails { (axum::http::StatusCode::INTERNAL_SERVER_ERROR, "{}".into()) } else { answer }
    })
    .await;
    let account = it.account_through(&between).await;
    let report = it.report(&account).await;

    it.drain().await;

    assert!(between.taken().iter().any(super::super::support::server::Taken::creates_a_report));
    let shown = it.get(&format!("/accounts/{account}")).await;
    assert_eq!(shown["blocked_until"], json!(null));
    assert!(it.get(&format!("/reports/{report}")).await["last_failure"].is_string());
}

#[tokio::test]
async fn a_throttled_account_waits_a_minute_when_it_is_not_told_how_long() {
    let it = TestApp::start().await;
    let between = Server::start(|_| async { Response::builder().status(429).body("".into()).unwrap() }).await;
    let account = it.account_through(&between).await;

    let verified = it.post(&format!("/accounts/{account}/verify"), json!({})).await;

    assert_eq!(verified["ok"], false);
    assert_eq!(it.get(&format!("/accounts/{account}")).await["blocked_until"], "2026-01-05T08:16:15Z");
    it.post(&format!("/accounts/{account}/verify"), json!({})).await;
    assert_eq!(between.taken().len(), 1);
}

#[tokio::test]
async fn whoever_asks_while_an_account_waits_is_told_until_when_and_why() {
    let it = TestApp::start().await;
    let verify = format!("/accounts/{}/verify", it.account().await);
    for (fault, why) in
        [(Fault::Throttled, "Microsoft asked for a pause"), (Fault::ServerError, "Microsoft did not answer")]
    {
        it.sandbox.world.fault(fault);
        it.post(&verify, json!({})).await;

        let waits = it.post(&verify, json!({})).await["problem"].as_str().unwrap().to_owned();

        assert!(waits.starts_with("the account waits: no call before 2026-01-05T") && waits.ends_with(why), "{waits}");
        it.after(3600).await;
    }
}
