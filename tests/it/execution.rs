//! Executions: found once each, whatever becomes of the callbacks.

use std::time::Duration;

use serde_json::{Value, json};
use tidings::report::expectation;
use tidings::sandbox::Fault;

use crate::support::app::{QUERY, TestApp};
use crate::support::scene::{HOUR, UNTIL_FIRST_RUN, client};

/// The default report's first execution begins this long after the report was made.
const UNTIL_FIRST_START: u64 = 4 * HOUR + 5 * 60 + 45;

async fn executions(it: &TestApp, report: &str) -> Vec<Value> {
    it.list(&format!("/executions?report_id={report}")).await
}

#[tokio::test]
async fn an_execution_whose_callback_was_lost_is_found_by_its_schedule_within_minutes() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.sandbox.world.fault(Fault::CallbackLost);

    it.after(UNTIL_FIRST_RUN).await;
    it.drain().await;
    it.after(60).await;
    it.drain().await;

    let found = executions(&it, &report).await;
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["state"], &found[0]["found_by"]), (&json!("stored"), &json!("schedule")));
    assert!(it.list("/callbacks").await.is_empty());
}

#[tokio::test]
async fn a_lost_callback_of_a_report_with_a_short_interval_is_healed_as_soon() {
    let it = TestApp::start().await;
    let account = it.marketplace_account().await;
    let query = "SELECT CustomerName FROM ISVOrder";
    let often = json!({ "account_id": account, "name": "Often", "query": query, "interval_hours": 4 });
    let report = it.post("/reports", often).await["id"].as_str().unwrap().to_owned();
    it.drain().await;
    it.after(UNTIL_FIRST_RUN).await;
    it.drain().await;
    it.sandbox.world.fault(Fault::CallbackLost);

    it.after(4 * HOUR + 60).await;
    it.drain().await;
    it.after(60).await;
    it.drain().await;

    assert_eq!(executions(&it, &report).await.len(), 2);
}

#[tokio::test]
async fn an_execution_that_is_called_back_twice_is_told_once() {
    let it = TestApp::start().await;
    it.subscribe("webhook").await;
    it.sandbox.world.fault(Fault::CallbackTwice);

    let report = it.told().await;

    assert_eq!(it.list("/callbacks").await.len(), 2);
    assert_eq!(executions(&it, &report).await.len(), 1);
    assert_eq!(it.kinds().await, ["report.ready"]);
    assert_eq!(it.sandbox.world.caught().len(), 1);
}

#[tokio::test]
async fn an_execution_that_was_called_back_too_early_is_found_when_it_is_done() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.sandbox.world.fault(Fault::CallbackEarly);
    it.after(UNTIL_FIRST_START).await;
    it.after(1).await;
    it.drain().await;
    assert_eq!(executions(&it, &report).await[0]["state"], "pending");

    it.after(5).await;
    it.drain().await;

    let found = executions(&it, &report).await;
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["state"], &found[0]["found_by"]), (&json!("stored"), &json!("callback")));
    assert_eq!(it.kinds().await, ["report.ready"]);
}

#[tokio::test]
async fn a_call_during_a_check_makes_another_check_at_once() {
    let it = TestApp::start().await;
    it.registered().await;
    let call = || async { client().post(it.callback_address()).send().await.unwrap().status() };
    call().await;
    let check = it.app.discover.claim(1).await.unwrap().remove(0);

    call().await;
    assert!(it.app.discover.claim(1).await.unwrap().is_empty());
    it.app.discover.perform(check).await.unwrap();

    let again = it.app.discover.claim(1).await.unwrap();
    assert_eq!(again.len(), 1);
    assert!(again[0].called);
    it.app.discover.perform(again[0].clone()).await.unwrap();
    assert!(it.app.discover.claim(1).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_check_that_was_cut_off_is_done_again_and_its_call_is_not_forgotten() {
    let it = TestApp::start().await;
    it.registered().await;
    client().post(it.callback_address()).send().await.unwrap();
    drop(it.app.discover.claim(1).await.unwrap());

    it.clock.advance(Duration::from_secs(31));

    let again = it.app.discover.claim(1).await.unwrap();
    assert!(again[0].called);
}

#[tokio::test]
async fn a_failed_execution_is_told_once_though_nobody_is_called() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.after(UNTIL_FIRST_START).await;
    it.after(1).await;
    it.drain().await;
    it.sandbox.world.fault(Fault::ExecutionFailed);
    for _ in 0..20 {
        it.after(60).await;
        it.drain().await;
    }

    let found = executions(&it, &report).await;
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["state"], &found[0]["status"]), (&json!("failed"), &json!("Failed")));
    assert_eq!(it.kinds().await, ["report.failed"]);
}

#[tokio::test]
async fn an_execution_that_failed_before_anyone_looked_is_found_as_well() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.sandbox.world.fault(Fault::ExecutionFailed);
    it.after(UNTIL_FIRST_RUN).await;
    it.drain().await;
    client().post(it.callback_address()).send().await.unwrap();
    it.drain().await;

    assert_eq!(executions(&it, &report).await[0]["state"], "failed");
    assert_eq!(it.kinds().await, ["report.failed"]);
}

#[tokio::test]
async fn a_failure_after_a_good_run_is_found_when_it_is_called_or_asked_for() {
    for is_called in [true, false] {
        let it = TestApp::start().await;
        let report = it.told().await;
        it.sandbox.world.fault(Fault::ExecutionFailed);
        it.after(24 * HOUR).await;
        it.drain().await;
        assert_eq!(executions(&it, &report).await.len(), 1);
        if is_called {
            client().post(it.callback_address()).send().await.unwrap();
        } else {
            it.post(&format!("/reports/{report}/check"), json!({})).await;
        }
        it.drain().await;

        assert_eq!(executions(&it, &report).await.len(), 2);
        assert_eq!(it.kinds().await, ["report.ready", "report.failed"]);
    }
}

#[tokio::test]
async fn a_report_that_runs_at_once_is_found_without_any_call() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let now = json!({ "account_id": account, "name": "Now", "query": QUERY, "execute_now": true });
    let report = it.post("/reports", now).await["id"].as_str().unwrap().to_owned();
    it.drain().await;

    it.after(5).await;
    it.drain().await;

    let found = executions(&it, &report).await;
    assert_eq!((&found[0]["state"], &found[0]["found_by"]), (&json!("stored"), &json!("manual")));
    assert_eq!(it.get(&format!("/reports/{report}")).await["expected_at"], Value::Null);
}

#[tokio::test]
async fn somebody_who_asks_makes_a_run_beside_the_schedule_found() {
    let it = TestApp::start().await;
    let report = it.told().await;
    let remote = it.get(&format!("/reports/{report}")).await["remote_id"].as_str().unwrap().to_owned();
    it.sandbox.world.fault(Fault::CallbackLost);
    it.sandbox.world.run_report_now(&remote).await.unwrap();
    it.after(3).await;
    it.drain().await;
    assert_eq!(executions(&it, &report).await.len(), 1);

    let (status, _) = it.call("POST", &format!("/reports/{report}/check"), None).await;
    it.drain().await;

    assert_eq!(status, 202);
    let found = executions(&it, &report).await;
    assert_eq!((found.len(), &found[0]["found_by"]), (2, &json!("manual")));
}

#[tokio::test]
async fn two_executions_that_end_before_anyone_asks_are_both_found() {
    let it = TestApp::start().await;
    let report = it.told().await;
    let remote = it.get(&format!("/reports/{report}")).await["remote_id"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        it.sandbox.world.run_report_now(&remote).await.unwrap();
        it.after(3).await;
    }

    it.drain().await;

    assert_eq!(executions(&it, &report).await.len(), 3);
}

#[tokio::test]
async fn all_that_ended_while_nothing_of_ours_was_running_is_found_after_a_start() {
    let it = TestApp::start().await;
    let report = it.told().await;
    let remote = it.get(&format!("/reports/{report}")).await["remote_id"].as_str().unwrap().to_owned();
    it.sandbox.world.fault_times(Fault::CallbackLost, 3);
    for _ in 0..3 {
        it.sandbox.world.run_report_now(&remote).await.unwrap();
        it.after(3).await;
    }

    it.start_again().await;
    it.drain().await;

    assert_eq!(executions(&it, &report).await.len(), 4);
}

#[tokio::test]
async fn executions_beside_the_schedule_whose_callbacks_were_lost_are_all_found_within_hours() {
    let it = TestApp::start().await;
    let report = it.told().await;
    let remote = it.get(&format!("/reports/{report}")).await["remote_id"].as_str().unwrap().to_owned();
    it.sandbox.world.fault_times(Fault::CallbackLost, 2);
    for _ in 0..2 {
        it.sandbox.world.run_report_now(&remote).await.unwrap();
        it.after(3).await;
    }

    it.after(6 * HOUR).await;
    it.drain().await;

    assert_eq!(executions(&it, &report).await.len(), 3);
}

#[tokio::test]
async fn a_report_that_never_comes_is_late_once_and_recovers_once() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.sandbox.world.fault_times(Fault::ServerError, 100_000);
    it.after(UNTIL_FIRST_RUN).await;
    let tell_late = || expectation::tell_late(&it.app.pool, &it.app.clock);
    let mut told = 0;
    for _ in 0..30 {
        it.after(300).await;
        it.drain().await;
        told += tell_late().await.unwrap();
    }
    assert_eq!((told, it.kinds().await), (1, vec!["report.late".to_owned()]));

    it.sandbox.world.clear_faults();
    it.after(600).await;
    it.drain().await;

    assert_eq!(executions(&it, &report).await.len(), 1);
    let mut kinds = it.kinds().await;
    kinds.sort();
    assert_eq!(kinds, ["report.late", "report.ready", "report.recovered"]);
}

#[tokio::test]
async fn an_execution_that_the_api_calls_failed_cannot_be_fetched_again() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.sandbox.world.fault(Fault::ExecutionFailed);
    it.after(UNTIL_FIRST_RUN).await;
    client().post(it.callback_address()).send().await.unwrap();
    it.drain().await;
    let failed = executions(&it, &report).await;
    let id = failed[0]["id"].as_str().unwrap();

    let (status, answer) = it.call("POST", &format!("/executions/{id}/retry"), None).await;

    assert_eq!((status, &failed[0]["state"]), (409, &json!("failed")), "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("the API says Failed"), "{answer}");
    assert_eq!(executions(&it, &report).await[0]["state"], "failed");
}
