//! What somebody changes at the API behind our back is noticed by the daily comparison, told once and mended on request.

use serde_json::{Value, json};
use tidings::sandbox::world::ReportStatus;
use url::Url;

use crate::support::app::TestApp;
use crate::support::scene::{DAY, HOUR};

/// A full update, as somebody with a script of their own would send it.
fn foreign(changes: &Value) -> Value {
    let mut body = json!({ "ReportName": "Daily usage", "StartTime": "2026-01-05T12:21:00Z", "RecurrenceInterval": 24,
        "CallbackUrl": "https://hooks.example/secret-of-theirs", "CallbackMethod": "POST", "Format": "csv" });
    body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    body
}

async fn differences(it: &TestApp, report: &str) -> Vec<Value> {
    let drift = it.get(&format!("/reports/{report}/drift?fresh=true")).await;
    assert!(drift["checked_at"].is_string());
    drift["differences"].as_array().unwrap().clone()
}

async fn mend(it: &TestApp, report: &str) -> Value {
    let (status, mended) = it.call_and_drain("POST", &format!("/reports/{report}/mend"), None).await;
    assert_eq!((status, &mended["settling"], &mended["drift_since"]), (200, &json!(false), &Value::Null), "{mended}");
    mended
}

#[tokio::test]
async fn a_report_as_we_made_it_does_not_drift() {
    let it = TestApp::start().await;
    let report = it.told().await;

    assert_eq!(differences(&it, &report).await, Vec::<Value>::new());
    it.after(2 * DAY).await;
    it.drain().await;

    assert!(!it.kinds().await.contains(&"report.drifted".to_owned()));
}

#[tokio::test]
async fn the_daily_comparison_notices_a_foreign_change_tells_it_once_and_shows_no_address() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.there("PUT", "", Some(foreign(&json!({ "ReportName": "Theirs", "RecurrenceInterval": 48 })))).await;
    assert_eq!(it.get(&format!("/reports/{report}/drift")).await["checked_at"], Value::Null);

    for _ in 0..3 {
        it.after(DAY).await;
        it.drain().await;
    }

    let told: Vec<String> = it.kinds().await.into_iter().filter(|kind| kind == "report.drifted").collect();
    assert_eq!(told.len(), 1);
    let drift = it.get(&format!("/reports/{report}/drift")).await["differences"].clone();
    let tail = it.get(&format!("/reports/{report}")).await["callback_address"].clone();
    let expected = json!([
        { "field": "name", "ours": "Daily usage", "theirs": "Theirs" },
        { "field": "interval_hours", "ours": 24, "theirs": 48 },
        { "field": "callback", "ours": tail, "theirs": "hooks.example" },
    ]);
    assert_eq!(drift, expected);
    let event = it.list("/events?kind=report.drifted").await.remove(0);
    assert_eq!(event["data"]["differences"][2]["theirs"], "another address");
    assert!(!it.all_rows().await.contains("secret-of-theirs"));
}

#[tokio::test]
async fn what_was_changed_there_is_changed_back_by_an_update() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    let address = it.callback_address();
    it.there("PUT", "", Some(foreign(&json!({ "ReportName": "Theirs" })))).await;
    assert_eq!(differences(&it, &report).await.len(), 2);

    mend(&it, &report).await;

    let there = it.sandbox.world.reports();
    assert_eq!((there.len(), there[0].terms.name.as_str()), (1, "Daily usage"));
    assert_eq!(it.callback_address(), address);
    assert_eq!(differences(&it, &report).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_report_paused_or_resumed_there_is_noticed_and_brought_back() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.there("PUT", "pause/", None).await;
    let drift = differences(&it, &report).await;
    assert_eq!(drift, [json!({ "field": "state", "ours": "active", "theirs": "paused" })]);

    mend(&it, &report).await;
    assert_eq!(it.sandbox.world.reports()[0].status, ReportStatus::Active);

    it.call_and_drain("POST", &format!("/reports/{report}/pause"), None).await;
    it.there("PUT", "resume/", None).await;
    assert_eq!(differences(&it, &report).await.len(), 1);
    mend(&it, &report).await;
    assert_eq!(it.sandbox.world.reports()[0].status, ReportStatus::Paused);
}

#[tokio::test]
async fn a_report_deleted_there_is_drift_its_checks_go_on_quietly_and_mending_makes_it_anew() {
    let it = TestApp::start().await;
    let report = it.told().await;
    it.there("DELETE", "", None).await;

    it.after(DAY).await;
    it.drain().await;
    let asked = it.questions();
    it.after(HOUR).await;
    it.drain().await;

    assert!(it.questions() - asked < 20, "no storm");
    let shown = it.get(&format!("/reports/{report}")).await;
    assert_eq!((&shown["state"], &shown["last_failure"]), (&json!("registered"), &Value::Null));
    let drift = it.get(&format!("/reports/{report}/drift")).await["differences"].clone();
    assert_eq!(drift, json!([{ "field": "state", "ours": "active", "theirs": "deleted" }]));
    assert!(it.kinds().await.contains(&"report.drifted".to_owned()));

    mend(&it, &report).await;
    assert_eq!(it.sandbox.world.reports().len(), 1);
    assert_eq!(it.list(&format!("/files?report_id={report}")).await.len(), 1, "its history stays");
}

#[tokio::test]
async fn what_was_deleted_there_a_moment_after_it_was_made_is_said_to_be_unclear_yet_and_mended_by_one_command_later() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.there("DELETE", "", None).await;
    let drift = it.get(&format!("/reports/{report}/drift?fresh=true")).await;
    assert_eq!((&drift["checked_at"], &drift["differences"]), (&Value::Null, &json!([])));
    assert!(drift["not_compared"].as_str().unwrap().contains("five minutes"), "{drift}");
    let unclear = mend(&it, &report).await;
    assert!(unclear["warnings"][0].as_str().unwrap().contains("five minutes"), "{unclear}");

    it.after(5 * 60).await;
    mend(&it, &report).await;

    assert_eq!(it.sandbox.world.reports().len(), 1, "nobody had to have it compared before");
    assert_eq!(it.sandbox.world.reports()[0].status, ReportStatus::Active);
}

#[tokio::test]
async fn a_difference_that_goes_away_by_itself_is_forgotten_and_told_again_when_it_comes_back() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    for _ in 0..2 {
        it.there("PUT", "pause/", None).await;
        assert_eq!(differences(&it, &report).await.len(), 1);
        it.there("PUT", "resume/", None).await;
        assert_eq!(differences(&it, &report).await, Vec::<Value>::new());
        it.after(60).await;
    }

    assert_eq!(it.kinds().await, ["report.drifted", "report.drifted"]);
    let (_, paused) = it.call_and_drain("POST", &format!("/reports/{report}/pause"), None).await;
    assert_eq!((&paused["state"], it.sandbox.world.reports()[0].status), (&json!("paused"), ReportStatus::Paused));
}

#[tokio::test]
async fn two_replicas_that_compare_at_once_tell_it_once_and_one_takes_up_what_the_other_left() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.there("PUT", "pause/", None).await;
    let account = it.get(&format!("/reports/{report}")).await["account_id"].as_str().unwrap().parse().unwrap();
    let (one, other) = tokio::join!(it.app.compare.look(account), it.app.compare.look(account));
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(it.kinds().await, ["report.drifted"]);

    it.clock.advance(std::time::Duration::from_secs(DAY + 1));
    assert_eq!(it.app.compare.claim(5).await.unwrap().len(), 1);
    assert!(it.app.compare.claim(5).await.unwrap().is_empty(), "somebody else is at it");
    it.clock.advance(std::time::Duration::from_secs(31));
    assert_eq!(it.app.compare.claim(5).await.unwrap().len(), 1, "the lease has run out");
}

#[tokio::test]
async fn a_comparison_that_was_not_answered_is_made_again_later_and_forgets_nothing() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.there("PUT", "pause/", None).await;
    differences(&it, &report).await;
    it.sandbox.world.fault_times(tidings::sandbox::Fault::ServerError, 1);
    it.after(DAY).await;
    let work = it.app.compare.claim(1).await.unwrap().remove(0);
    it.app.compare.perform(work).await.unwrap();

    assert!(it.app.compare.claim(1).await.unwrap().is_empty());
    assert_eq!(it.get(&format!("/reports/{report}/drift")).await["differences"].as_array().unwrap().len(), 1);
    it.after(16 * 60).await;
    assert_eq!(it.app.compare.claim(1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_drift_and_an_end_are_told_in_words() {
    let it = TestApp::start().await;
    it.subscribe("slack").await;
    let report = it.registered().await;
    it.there("PUT", "", Some(foreign(&json!({ "ReportName": "Theirs" })))).await;
    differences(&it, &report).await;
    it.drain().await;
    let page = it.dashboard("GET", &format!("/reports/{report}")).await;
    it.dashboard("POST", &format!("/reports/{report}/mend")).await;
    it.drain().await;
    assert_eq!(it.sandbox.world.reports()[0].terms.name, "Daily usage");
    it.call_and_drain("PATCH", &format!("/reports/{report}"), Some(json!({ "occurrences": 1 }))).await;
    it.after(crate::support::scene::UNTIL_FIRST_RUN).await;
    it.drain().await;

    let told = serde_json::to_string(&it.sandbox.world.caught()).unwrap();
    assert!(told.contains("Daily usage was changed at Microsoft"), "{told}");
    assert!(told.contains("Theirs instead of Daily usage"), "{told}");
    assert!(told.contains("another address instead of our address"), "{told}");
    assert!(told.contains("Daily usage has ended") && told.contains("It has run once"), "{told}");
    assert!(
        page.contains("Somebody changed this report at Microsoft") && page.contains("Theirs instead of Daily usage")
    );
    assert!(it.dashboard("GET", &format!("/reports/{report}")).await.contains("ended"));
}

#[tokio::test]
async fn our_own_change_that_is_still_under_way_is_no_drift() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.sql("update reports set name = 'Ours', amend = true, settle_at = created_at, updated_at = created_at").await;

    assert_eq!(differences_so_far(&it, &report).await, json!([]));
    it.drain().await;

    assert_eq!(it.sandbox.world.reports()[0].terms.name, "Ours");
    assert_eq!(differences(&it, &report).await, Vec::<Value>::new());
}

async fn differences_so_far(it: &TestApp, report: &str) -> Value {
    it.get(&format!("/reports/{report}/drift?fresh=true")).await["differences"].clone()
}

#[tokio::test]
async fn a_service_that_moves_gives_its_new_address_to_the_api_when_no_run_is_lost_by_it() {
    let it = TestApp::start().await;
    let report = it.told().await;
    let before = it.callback_address();
    // The next run is an hour away.
    it.after(DAY - HOUR).await;
    it.drain().await;
    let moved = it.at("https://tidings.example/base").await;

    moved.start_again().await;
    moved.drain().await;
    assert_eq!(moved.callback_address(), before, "the run comes first");
    moved.after(HOUR + 40 * 60).await;
    moved.drain().await;
    moved.after(1).await;
    moved.drain().await;

    let address: Url = moved.callback_address();
    assert_eq!(address.host_str(), Some("tidings.example"));
    assert_eq!(moved.sandbox.world.reports()[0].executions.len(), 2);
    assert_eq!(moved.list(&format!("/files?report_id={report}")).await.len(), 2);
    assert!(!moved.kinds().await.contains(&"report.drifted".to_owned()));
    assert_eq!(differences(&moved, &report).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_report_made_without_a_public_address_gets_one_by_an_update() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    // As it was made by a service that the API could not reach.
    let without = json!({ "ReportName": "Daily usage", "StartTime": "2026-01-05T12:21:00Z", "RecurrenceInterval": 24 });
    it.there("PUT", "", Some(without)).await;
    it.sql("update reports set sent = sent - 'callback'").await;

    it.start_again().await;
    it.drain().await;

    assert!(it.app.addresses.is_ours(it.callback_address().as_str(), report.parse().unwrap()));
    assert_eq!(it.sandbox.world.reports().len(), 1);
    assert!(it.kinds().await.is_empty());
}
