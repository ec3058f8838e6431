//! How far behind the service is, as the admin API and Prometheus tell it.

use serde_json::{Value, json};
use tidings::sandbox::Fault;

use crate::support::app::{QUERY, TestApp};
use crate::support::scene::{HOUR, client};

async fn call_back(it: &TestApp) {
    assert!(client().post(it.callback_address()).send().await.unwrap().status().is_success());
}

async fn unresolved(it: &TestApp) -> Value {
    it.get("/status").await["unresolved_callbacks"].clone()
}

/// The value of one line of `/metrics`.
async fn figure(it: &TestApp, line: &str) -> Option<f64> {
    let text = client().get(it.url.join("/metrics").unwrap()).send().await.unwrap().text().await.unwrap();
    text.lines().find_map(|shown| shown.strip_prefix(line)?.trim().parse().ok())
}

const OLDEST: &str = "tidings_oldest_unresolved_callback_seconds";

#[tokio::test]
async fn a_callback_is_unresolved_until_a_check_that_began_after_it_has_ended() {
    let it = TestApp::start().await;
    it.registered().await;
    assert_eq!((unresolved(&it).await["count"].clone(), figure(&it, OLDEST).await), (json!(0), Some(0.0)));

    let first = it.clock.now();
    call_back(&it).await;
    it.after(90).await;
    call_back(&it).await;
    let waiting = unresolved(&it).await;
    assert_eq!((&waiting["count"], waiting["oldest_at"].as_str().unwrap().parse()), (&json!(1), Ok(first)));
    assert_eq!((figure(&it, OLDEST).await, figure(&it, "tidings_unresolved_reports").await), (Some(90.0), Some(1.0)));

    it.drain().await;
    assert_eq!(unresolved(&it).await, json!({ "count": 0, "oldest_at": null }));

    call_back(&it).await;
    assert_eq!(figure(&it, OLDEST).await, Some(0.0));
}

#[tokio::test]
async fn a_callback_during_a_check_is_unresolved_after_it() {
    let it = TestApp::start().await;
    it.registered().await;
    call_back(&it).await;
    it.after(60).await;
    let check = it.app.discover.claim(1).await.unwrap().remove(0);
    let began = it.clock.now();
    it.after(5).await;
    call_back(&it).await;

    it.app.discover.perform(check).await.unwrap();

    let waiting = unresolved(&it).await;
    assert_eq!((&waiting["count"], waiting["oldest_at"].as_str().unwrap().parse()), (&json!(1), Ok(began)));
    it.drain().await;
    assert_eq!(unresolved(&it).await["count"], 0);
}

#[tokio::test]
async fn a_callback_stays_unresolved_while_the_api_does_not_answer() {
    let it = TestApp::start().await;
    it.registered().await;
    it.sandbox.world.fault_rate(Fault::ServerError, 1.0);
    call_back(&it).await;

    for _ in 0..4 {
        it.drain().await;
        it.after(HOUR / 4).await;
    }
    assert_eq!(figure(&it, OLDEST).await, Some(3600.0));

    it.sandbox.world.clear_faults();
    it.drain().await;
    assert_eq!(figure(&it, OLDEST).await, Some(0.0));
}

#[tokio::test]
async fn what_is_due_is_told_by_stage_and_what_waits_for_a_sign_in_is_not() {
    let it = TestApp::start().await;
    let account = it.account().await;
    for name in ["One", "Two"] {
        it.post("/reports", json!({ "account_id": account, "name": name, "query": QUERY, "interval_hours": 24 })).await;
    }
    let due = || async { it.get("/status").await["due"].clone() };
    let since = it.get("/reports").await["items"][1]["created_at"].clone();
    it.after(30).await;

    assert_eq!(due().await["register"], json!({ "count": 2, "oldest_at": since }));
    assert_eq!(figure(&it, "tidings_oldest_due_seconds{stage=\"register\"}").await, Some(30.0));
    assert_eq!(figure(&it, "tidings_due{stage=\"register\"}").await, Some(2.0));
    it.sql("update accounts set state = 'sign_in_required', sign_in_since = updated_at").await;
    assert_eq!(due().await["register"]["count"], 0);
    it.sql("update accounts set state = 'active', sign_in_since = null").await;

    it.drain().await;
    let mut stages: Vec<String> = due().await.as_object().unwrap().keys().cloned().collect();
    stages.sort();
    assert_eq!(stages, ["deliver", "discover", "download", "fan_out", "register"]);
    assert!(due().await.as_object().unwrap().values().all(|due| due["count"] == 0));
}

#[tokio::test]
async fn each_later_stage_tells_what_waits_for_it() {
    let it = TestApp::start().await;
    it.subscribe("webhook").await;
    it.registered().await;
    let waiting = |stage: &'static str| {
        let status = it.get("/status");
        async move { status.await["due"][stage]["count"].as_i64().unwrap() }
    };
    it.after(crate::support::scene::UNTIL_FIRST_RUN).await;
    assert_eq!(waiting("discover").await, 1);

    for check in it.app.discover.claim(10).await.unwrap() {
        it.app.discover.perform(check).await.unwrap();
    }
    let fetches = it.app.fetch.claim(10).await.unwrap();
    assert_eq!(waiting("download").await, 1);

    for fetch in fetches {
        it.app.fetch.perform(fetch).await.unwrap();
    }
    assert_eq!((waiting("download").await, waiting("fan_out").await), (0, 1));

    while it.app.fan_out.run_once().await.unwrap() > 0 {}
    assert_eq!((waiting("fan_out").await, waiting("deliver").await), (0, 1));
}

#[tokio::test]
async fn without_a_database_no_old_figures_are_told() {
    let it = TestApp::start().await;
    assert_eq!(figure(&it, "tidings_database_up").await, Some(1.0));

    it.app.pool.close().await;

    assert_eq!((figure(&it, "tidings_database_up").await, figure(&it, OLDEST).await), (Some(0.0), None));
}
