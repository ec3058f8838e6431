//! The end of a report: told once, or made anew, and one that runs at once ends quietly.

use serde_json::{Value, json};
use tidings::report::lifecycle::{self, Want};
use tidings::report::store;
use tidings::sandbox::world::ReportStatus;

use crate::support::app::{QUERY, TestApp};
use crate::support::scene::{DAY, HOUR, UNTIL_FIRST_RUN};
use crate::support::server::Server;

async fn made(it: &TestApp, more: Value) -> String {
    let account = it.account().await;
    let mut report = json!({ "account_id": account, "name": "Daily usage", "query": QUERY });
    report.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let report = it.post("/reports", report).await["id"].as_str().unwrap().to_owned();
    it.drain().await;
    report
}

#[tokio::test]
async fn a_report_that_has_run_for_the_last_time_ends_and_that_is_told_once_with_its_runs() {
    let it = TestApp::start().await;
    let report = made(&it, json!({ "interval_hours": 24, "occurrences": 2 })).await;
    for wait in [UNTIL_FIRST_RUN, DAY, DAY, DAY] {
        it.after(wait).await;
        it.drain().await;
    }

    let shown = it.get(&format!("/reports/{report}")).await;
    assert_eq!(
        (&shown["state"], &shown["expected_at"], &shown["drift_since"]),
        (&json!("ended"), &Value::Null, &Value::Null)
    );
    assert_eq!(it.kinds().await, ["report.ready", "report.ready", "report.ended"]);
    let event = it.list("/events?kind=report.ended").await.remove(0);
    assert_eq!((&event["data"]["runs"], &event["data"]["last_run_at"]), (&json!(2), &json!("2026-01-06T12:21:00Z")));
    let asked = it.questions();
    it.after(DAY).await;
    it.drain().await;
    assert_eq!(it.questions(), asked, "nothing more is asked of what has ended");
}

#[tokio::test]
async fn a_report_that_shall_go_on_is_made_anew_with_the_next_run_of_its_phase_and_keeps_its_history() {
    let it = TestApp::start().await;
    let report = made(&it, json!({ "interval_hours": 24, "occurrences": 1, "recreate": true })).await;
    let first = it.sandbox.world.reports()[0].id.clone();
    it.after(UNTIL_FIRST_RUN).await;
    it.drain().await;

    let there = it.sandbox.world.reports();
    let (old, new): (Vec<_>, Vec<_>) = there.iter().partition(|report| report.id == first);
    let start_at = new[0].terms.schedule.as_ref().unwrap().start_at;
    assert_eq!((new.len(), new[0].status, json!(start_at)), (1, ReportStatus::Active, json!("2026-01-06T12:21:00Z")));
    assert_eq!((old.len(), old[0].status), (1, ReportStatus::Inactive), "with it its executions would be gone");
    it.after(DAY).await;
    it.drain().await;
    assert_eq!(it.list(&format!("/files?report_id={report}")).await.len(), 2);
    assert_eq!(it.kinds().await, ["report.ready", "report.ready"]);
}

#[tokio::test]
async fn the_last_file_that_came_while_the_service_was_away_is_fetched_and_told_before_the_report_is_made_anew() {
    let it = TestApp::start().await;
    let report = made(&it, json!({ "interval_hours": 24, "occurrences": 1, "recreate": true })).await;
    it.after(UNTIL_FIRST_RUN + 3 * HOUR).await;
    it.start_again().await;
    let compare = async || {
        for work in it.app.compare.claim(1).await.unwrap() {
            it.app.compare.perform(work).await.unwrap();
        }
        it.app.register.claim(1).await.unwrap()
    };
    assert!(compare().await.is_empty(), "nothing is made anew before the last file was asked for");
    for work in it.app.discover.claim(1).await.unwrap() {
        it.app.discover.perform(work).await.unwrap();
    }
    assert!(compare().await.is_empty(), "nor before it is fetched");

    it.drain().await;

    assert_eq!(it.kinds().await, ["report.ready"]);
    assert_eq!(it.list(&format!("/files?report_id={report}")).await.len(), 1);
    let there = it.sandbox.world.reports();
    assert_eq!(there.iter().filter(|report| report.status == ReportStatus::Active).count(), 1);
    let shown = it.get(&format!("/reports/{report}")).await;
    assert_eq!((&shown["state"], &shown["settling"]), (&json!("registered"), &json!(false)));
}

#[tokio::test]
async fn an_ended_report_that_is_resumed_is_made_anew_with_all_its_runs() {
    let it = TestApp::start().await;
    let report = made(&it, json!({ "interval_hours": 24, "occurrences": 1 })).await;
    it.after(UNTIL_FIRST_RUN).await;
    it.drain().await;
    let (_, changed) =
        it.call_and_drain("PATCH", &format!("/reports/{report}"), Some(json!({ "occurrences": 2 }))).await;
    assert_eq!((&changed["state"], it.sandbox.world.reports()[0].status), (&json!("ended"), ReportStatus::Inactive));
    assert!(changed["warnings"][0].as_str().unwrap().contains("resume"));

    let (status, resumed) = it.call_and_drain("POST", &format!("/reports/{report}/resume"), None).await;

    assert_eq!((status, &resumed["state"], &resumed["settling"]), (200, &json!("registered"), &json!(false)));
    let there = it.sandbox.world.reports();
    assert_eq!((there.len(), there[0].status), (1, ReportStatus::Active));
    assert_eq!(there[0].terms.schedule.as_ref().unwrap().count, Some(2));
}

#[tokio::test]
async fn a_report_that_is_over_is_made_anew_when_it_is_resumed_or_mended_only_after_its_last_file_was_fetched() {
    for is_mended in [false, true] {
        let it = TestApp::start().await;
        let report = made(&it, json!({ "interval_hours": 24, "occurrences": 1 })).await;
        let old = it.sandbox.world.reports()[0].id.clone();
        it.after(UNTIL_FIRST_RUN).await;
        let (id, mut conn) = (report.parse().unwrap(), it.app.pool.acquire().await.unwrap());
        // As if the run had shown only after the end.
        if is_mended {
            let drift = r#"[{"field":"state","ours":"active","theirs":"inactive"}]"#;
            it.sql(&format!("update reports set drift = '{drift}', drift_since = created_at")).await;
            let read = store::find(&mut conn, id).await.unwrap().unwrap();
            store::comparisons::mend(&mut conn, &read, it.clock.now()).await.unwrap();
        } else {
            it.sql("update reports set state = 'ended', expected_at = null").await;
            for _ in 0..2 {
                lifecycle::want(&mut conn, id, Want::Resumed, it.clock.now()).await.unwrap();
            }
        }

        assert_eq!(settle(&it).await, [old.as_str()], "it is asked first what it made");
        for work in it.app.discover.claim(1).await.unwrap() {
            it.app.discover.perform(work).await.unwrap();
        }
        assert_eq!(settle(&it).await, [old.as_str()], "which is fetched before it is deleted");
        let waits = it.get(&format!("/reports/{report}")).await;
        assert!(waits["last_failure"].as_str().unwrap().contains("still to be fetched"), "{waits}");
        it.sql("update reports set occurrences = 2").await;
        it.drain().await;
        it.after(60).await;
        it.drain().await;

        assert_eq!(it.list(&format!("/files?report_id={report}")).await.len(), 1);
        let there = it.sandbox.world.reports();
        assert_eq!((there.len(), there[0].status), (1, ReportStatus::Active));
        assert_ne!(there[0].id, old);
        let shown = it.get(&format!("/reports/{report}")).await;
        assert_eq!((&shown["state"], &shown["settling"]), (&json!("registered"), &json!(false)));
        assert_eq!((&shown["last_failure"], it.kinds().await), (&Value::Null, vec!["report.ready".to_owned()]));
    }
}

/// Runs the register step once; tells the ids of what is there then.
async fn settle(it: &TestApp) -> Vec<String> {
    for work in it.app.register.claim(1).await.unwrap() {
        it.app.register.perform(work).await.unwrap();
    }
    it.sandbox.world.reports().into_iter().map(|report| report.id).collect()
}

#[tokio::test]
async fn a_report_that_runs_at_once_ends_with_its_file_and_nobody_is_told_of_the_end() {
    let it = TestApp::start().await;
    let report = made(&it, json!({ "execute_now": true })).await;
    it.after(60).await;
    it.drain().await;

    assert_eq!(it.get(&format!("/reports/{report}")).await["state"], "ended");
    assert_eq!(it.kinds().await, ["report.ready"]);
}

#[tokio::test]
async fn a_report_that_runs_at_once_and_fails_has_ended_too() {
    let it = TestApp::start().await;
    it.sandbox.world.fault(tidings::sandbox::Fault::ExecutionFailed);
    let report = made(&it, json!({ "execute_now": true })).await;
    it.after(60).await;
    it.drain().await;
    for _ in 0..5 {
        it.after(60).await;
        it.drain().await;
    }

    assert_eq!(it.kinds().await, ["report.failed"]);
    assert_eq!(it.get(&format!("/reports/{report}")).await["state"], "ended");
}

#[tokio::test]
async fn an_end_before_the_last_run_is_drift_and_made_anew_only_if_that_was_asked_for() {
    for recreate in [false, true] {
        let it = TestApp::start().await;
        let report = made(&it, json!({ "interval_hours": 24, "occurrences": 5, "recreate": recreate })).await;
        it.after(UNTIL_FIRST_RUN).await;
        it.drain().await;
        // Somebody shortened it there to one run, which came.
        let soon = it.clock.now() + chrono::TimeDelta::hours(5);
        let body = json!({ "ReportName": "Daily usage", "StartTime": soon.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "RecurrenceInterval": 24, "RecurrenceCount": 1, "CallbackUrl": it.callback_address() });
        it.there("PUT", "", Some(body)).await;
        it.after(DAY).await;
        it.drain().await;

        let drift = it.list("/events?kind=report.drifted").await;
        assert_eq!(drift.len(), 1, "{recreate}");
        assert_eq!(
            drift[0]["data"]["differences"][0],
            json!({ "field": "state", "ours": "active", "theirs": "inactive" })
        );
        let there = it.sandbox.world.reports();
        let shown = it.get(&format!("/reports/{report}")).await;
        let now = there.iter().find(|there| shown["remote_id"] == there.id).unwrap();
        let expected = if recreate { ReportStatus::Active } else { ReportStatus::Inactive };
        assert_eq!((there.len(), now.status), (1 + usize::from(recreate), expected));
        let left = if recreate { 3 } else { 1 };
        assert_eq!(now.terms.schedule.as_ref().unwrap().count, Some(left));
        assert_eq!(it.get(&format!("/reports/{report}")).await["state"], "registered");
    }
}

#[tokio::test]
async fn an_end_that_the_api_never_says_is_taken_for_one_when_nothing_has_come_for_longer_than_a_run_takes() {
    let it = TestApp::start().await;
    let between = Server::before(it.sandbox.url(), |_, (status, body)| {
        (status, String::from_utf8_lossy(&body).replace("Inactive", "Active").into())
    })
    .await;
    let account = it.account_through(&between).await;
    let report =
        json!({ "account_id": account, "name": "Once", "query": QUERY, "interval_hours": 24, "occurrences": 1 });
    let report = it.post("/reports", report).await["id"].as_str().unwrap().to_owned();
    it.drain().await;
    it.after(UNTIL_FIRST_RUN).await;
    it.drain().await;
    assert_eq!(it.kinds().await, ["report.ready"]);

    for _ in 0..3 {
        it.after(DAY).await;
        it.drain().await;
    }

    assert_eq!(it.kinds().await, ["report.ready", "report.ended"]);
    assert_eq!(it.get(&format!("/reports/{report}")).await["state"], "ended");
}

#[tokio::test]
async fn a_paused_report_that_is_over_is_deleted_by_mending_only_after_its_last_file_was_fetched() {
    let it = TestApp::start().await;
    let report = made(&it, json!({ "interval_hours": 24, "occurrences": 1 })).await;
    let old = it.sandbox.world.reports()[0].id.clone();
    it.after(UNTIL_FIRST_RUN).await;
    let drift = r#"[{"field":"state","ours":"paused","theirs":"inactive"}]"#;
    it.sql(&format!("update reports set state = 'paused', drift = '{drift}', drift_since = created_at")).await;
    let mut conn = it.app.pool.acquire().await.unwrap();
    let read = store::find(&mut conn, report.parse().unwrap()).await.unwrap().unwrap();
    store::comparisons::mend(&mut conn, &read, it.clock.now()).await.unwrap();

    assert_eq!(settle(&it).await, [old.as_str()], "it is asked first what it made");
    it.drain().await;

    assert_eq!(it.list(&format!("/executions?report_id={report}")).await[0]["state"], "stored");
    assert_eq!(it.get(&format!("/reports/{report}")).await["state"], "paused");
    assert!(it.sandbox.world.reports().is_empty());
}
