//! When a report is expected and when it is late: intervals that drift, runs that fail to come, pauses, restarts, replicas.

use std::time::Duration;

use serde_json::{Value, json};
use tidings::report::expectation;
use tidings::sandbox::Fault;

use crate::support::app::{QUERY, TestApp};
use crate::support::scene::{DAY, HOUR, UNTIL_FIRST_RUN};

/// A report's own interval there, where it is scheduled every 24 hours.
const DRIFTED_DAY: Duration = Duration::from_secs(DAY + 17 * 60);

async fn tell_late(it: &TestApp) -> usize {
    expectation::tell_late(&it.app.pool, &it.app.clock).await.unwrap()
}

async fn told_late(it: &TestApp) -> usize {
    it.list("/events?kind=report.late&limit=200").await.len()
}

/// Lets so many hours pass in which the steps run every half hour.
async fn hours(it: &TestApp, hours: u64) {
    for _ in 0..hours * 2 {
        it.after(HOUR / 2).await;
        it.drain().await;
        tell_late(it).await;
    }
}

async fn expected_at(it: &TestApp, report: &str) -> Option<chrono::DateTime<chrono::Utc>> {
    let report = it.get(&format!("/reports/{report}")).await;
    report["expected_at"].as_str().map(|at| at.parse().unwrap())
}

#[tokio::test]
async fn a_report_whose_interval_drifts_over_thirty_runs_is_never_late_and_always_found() {
    let it = TestApp::with(|settings| settings.speed = Duration::from_secs(DAY).div_duration_f64(DRIFTED_DAY)).await;
    let report = it.registered().await;
    it.sandbox.world.fault_rate(Fault::CallbackLost, 1.0);
    it.after(UNTIL_FIRST_RUN + 200).await;
    it.drain().await;

    for run in 1..=30 {
        it.after(DRIFTED_DAY.as_secs()).await;
        assert_eq!(tell_late(&it).await, 0, "at run {run}");
        it.drain().await;
        let found = it.list(&format!("/executions?report_id={report}&limit=200")).await;
        assert_eq!((found.len(), &found[0]["state"]), (run + 1, &json!("stored")), "run {run}");
    }

    let found = it.list(&format!("/executions?report_id={report}")).await;
    let generated: chrono::DateTime<chrono::Utc> = found[0]["generated_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(expected_at(&it, &report).await, Some(generated + Duration::from_secs(DAY)));
}

#[tokio::test]
async fn each_report_is_late_after_its_own_grace_period() {
    let it = TestApp::start().await;
    let account = it.account().await;
    for (name, grace) in [("Strict", json!(1)), ("Usual", Value::Null), ("Lenient", json!(12))] {
        let report =
            json!({ "account_id": account, "name": name, "query": QUERY, "interval_hours": 24, "grace_hours": grace });
        it.post("/reports", report).await;
    }
    it.drain().await;
    it.sandbox.world.fault_rate(Fault::ServerError, 1.0);
    it.after(UNTIL_FIRST_RUN).await;

    let mut late = Vec::new();
    for hour in 1..=13 {
        it.after(HOUR).await;
        if tell_late(&it).await > 0 {
            let told = it.list("/events?kind=report.late").await;
            late.push((
                hour,
                told[0]["data"]["report"]["name"].as_str().unwrap().to_owned(),
                told[0]["data"]["grace_hours"].clone(),
            ));
        }
    }

    let late: Vec<(i32, &str, i64)> =
        late.iter().map(|(hour, name, grace)| (*hour, &**name, grace.as_i64().unwrap())).collect();
    assert_eq!(late, [(1, "Strict", 1), (2, "Usual", 2), (12, "Lenient", 12)]);
}

#[tokio::test]
async fn a_grace_period_that_changes_is_no_change_there_and_has_bounds() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    let path = format!("/reports/{report}");
    assert_eq!(it.get(&path).await["grace_hours"], 2);
    let asked = it.sandbox.world.counts().api_requests;

    let change = it.call_and_drain("PATCH", &path, Some(json!({ "grace_hours": 2160 }))).await;

    assert_eq!((change.0, &change.1["grace_hours"], &change.1["warnings"]), (200, &json!(2160), &json!([])));
    assert_eq!(it.sandbox.world.counts().api_requests, asked);
    for grace in [0, 2161] {
        let (status, answer) = it.call("PATCH", &path, Some(json!({ "grace_hours": grace }))).await;
        assert_eq!((status, &answer["errors"][0]["field"]), (422, &json!("grace_hours")), "{answer}");
    }
    it.call_and_drain("PATCH", &path, Some(json!({ "description": "Weekly" }))).await;
    assert_eq!(it.get(&path).await["grace_hours"], 2160);
    it.call_and_drain("PATCH", &path, Some(json!({ "grace_hours": null }))).await;
    assert_eq!(it.get(&path).await["grace_hours"], 2);
}

#[tokio::test]
async fn a_report_that_is_paused_is_never_late_and_is_expected_again_when_it_is_resumed() {
    let it = TestApp::start().await;
    let report = it.told().await;
    it.call_and_drain("POST", &format!("/reports/{report}/pause"), None).await;
    assert_eq!(expected_at(&it, &report).await, None);

    hours(&it, 60).await;
    assert_eq!(told_late(&it).await, 0);

    it.call_and_drain("POST", &format!("/reports/{report}/resume"), None).await;
    let expected = expected_at(&it, &report).await.unwrap();
    assert!(expected > it.clock.now() && expected <= it.clock.now() + Duration::from_secs(DAY), "{expected}");
    hours(&it, 1).await;
    assert_eq!(told_late(&it).await, 0);

    it.sandbox.world.fault_rate(Fault::ServerError, 1.0);
    hours(&it, 27).await;
    assert_eq!(told_late(&it).await, 1);
}

#[tokio::test]
async fn a_run_that_is_in_time_after_a_late_one_is_found_at_the_schedules_time_though_its_callback_is_lost() {
    let it = TestApp::start().await;
    let report = it.told().await;
    // As after a run that came five hours late.
    it.sql("update reports set expected_at = expected_at + interval '5 hours'").await;
    it.sandbox.world.fault_rate(Fault::CallbackLost, 1.0);

    it.after(DAY - 30).await;
    it.drain().await;
    assert_eq!(it.list(&format!("/executions?report_id={report}")).await.len(), 1);
    it.after(11 * 60).await;
    it.drain().await;

    assert_eq!(it.list(&format!("/executions?report_id={report}")).await.len(), 2);
    let next = expected_at(&it, &report).await.unwrap() - it.clock.now();
    assert!((23..=24).contains(&next.num_hours()), "{next}");
}

#[tokio::test]
async fn a_run_that_is_skipped_is_told_once_and_the_one_after_it_recovers() {
    let it = TestApp::start().await;
    let report = it.told().await;
    let before = expected_at(&it, &report).await.unwrap();
    it.there("PUT", "pause/", None).await;
    it.after(DAY + HOUR).await;
    it.there("PUT", "resume/", None).await;

    hours(&it, 20).await;
    assert_eq!(it.kinds().await, ["report.ready", "report.late"]);
    hours(&it, 5).await;

    let mut kinds = it.kinds().await;
    kinds.sort();
    assert_eq!(kinds, ["report.late", "report.ready", "report.ready", "report.recovered"]);
    assert_eq!(expected_at(&it, &report).await, Some(before + Duration::from_secs(2 * DAY)));
}

#[tokio::test]
async fn a_report_that_is_late_across_a_restart_is_told_once_and_recovers_once() {
    let it = TestApp::start().await;
    it.registered().await;
    it.sandbox.world.fault_rate(Fault::ServerError, 1.0);
    it.after(UNTIL_FIRST_RUN + 2 * HOUR).await;
    assert_eq!(tell_late(&it).await, 1);

    let url = it.url.to_string();
    let it = it.at(&url).await;
    it.start_again().await;
    it.after(HOUR).await;
    assert_eq!(tell_late(&it).await, 0);
    it.sandbox.world.clear_faults();
    it.after(HOUR).await;
    it.drain().await;

    let mut kinds = it.kinds().await;
    kinds.sort();
    assert_eq!(kinds, ["report.late", "report.ready", "report.recovered"]);
}

#[tokio::test]
async fn the_runs_of_days_in_which_nothing_of_ours_ran_are_filled_in() {
    let it = TestApp::start().await;
    let report = it.told().await;
    it.sandbox.world.fault_rate(Fault::CallbackLost, 1.0);

    it.after(40 * DAY).await;
    it.start_again().await;
    tell_late(&it).await;
    it.drain().await;

    let found = it.list(&format!("/executions?report_id={report}&limit=200")).await;
    assert_eq!(found.len(), 41);
    assert!(found.iter().all(|execution| execution["state"] == "stored"));
    assert!(expected_at(&it, &report).await.unwrap() > it.clock.now());
    let recovered = it.list("/events?kind=report.recovered").await;
    assert_eq!((told_late(&it).await, recovered.len()), (1, 1));
}

#[tokio::test]
async fn however_many_are_late_at_once_are_told_at_once() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.sql(
        "insert into reports (id, account_id, query_id, name, slug, start_at, interval_hours, execute_now, format,
             callback_method, state, expected_at, created_at, updated_at)
         select gen_random_uuid(), account_id, query_id, 'Usage ' || number, slug, start_at, interval_hours, false, format,
             callback_method, state, expected_at, created_at, updated_at
         from reports, generate_series(1, 249) as number",
    )
    .await;
    it.clock.advance(Duration::from_secs(UNTIL_FIRST_RUN + 2 * HOUR));

    assert_eq!(tell_late(&it).await, 250, "with {report}");
    assert_eq!(it.number("select count(*) from events where kind = 'report.late'").await, 250);
    assert_eq!(tell_late(&it).await, 0);
}

#[tokio::test]
async fn two_replicas_tell_each_late_report_once_and_ask_about_each_once() {
    let it = TestApp::start().await;
    let account = it.account().await;
    for at in 0..20 {
        let name = format!("Usage {at}");
        it.post("/reports", json!({ "account_id": account, "name": name, "query": QUERY, "interval_hours": 24 })).await;
    }
    it.drain().await;
    it.after(UNTIL_FIRST_RUN + 3 * HOUR).await;
    let other = sqlx::PgPool::connect_with(it.database.options.clone()).await.unwrap();
    let there = tidings::execution::discover::Discover { pool: other.clone(), ..it.app.discover.clone() };

    let (here_told, there_told) = tokio::join!(
        expectation::tell_late(&it.app.pool, &it.app.clock),
        expectation::tell_late(&other, &it.app.clock)
    );
    let (here_asks, there_asks) = tokio::join!(it.app.discover.claim(10), there.claim(100));

    assert_eq!((here_told.unwrap() + there_told.unwrap(), told_late(&it).await), (20, 20));
    // What one had locked the other left for later.
    let left = it.app.discover.claim(100).await.unwrap();
    let claims = here_asks.unwrap().into_iter().chain(there_asks.unwrap()).chain(left);
    let claimed: Vec<_> = claims.map(|check| check.report_id).collect();
    let reports: std::collections::BTreeSet<_> = claimed.iter().collect();
    assert_eq!((claimed.len(), reports.len()), (20, 20));
}
