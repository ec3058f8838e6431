//! Changes: what the API lets us change is changed in place, with a start that it takes and the runs that are left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use serde_json::{Value, json};
use tidings::sandbox::world::{CallbackMethod, Format, ReportStatus};

use crate::support::app::{QUERY, TestApp};
use crate::support::scene::{DAY, HOUR, UNTIL_FIRST_RUN};
use crate::support::server::Server;

async fn change(it: &TestApp, report: &str, body: Value) -> (u16, Value) {
    it.call_and_drain("PATCH", &format!("/reports/{report}"), Some(body)).await
}

#[tokio::test]
async fn what_can_be_changed_there_is_changed_in_place_and_keeps_id_and_executions() {
    let it = TestApp::start().await;
    let report = it.told().await;
    let before = it.sandbox.world.reports().remove(0);

    let body = json!({ "name": "Usage", "description": "Of all", "interval_hours": 48, "occurrences": 9,
        "format": "tsv", "callback_method": "GET" });
    let (status, changed) = change(&it, &report, body).await;

    assert_eq!((status, &changed["settling"], &changed["warnings"]), (200, &json!(false), &json!([])));
    let there = it.sandbox.world.reports();
    let (now, schedule) = (&there[0], there[0].terms.schedule.clone().unwrap());
    assert_eq!((there.len(), &now.id, now.executions.len(), now.status), (1, &before.id, 1, ReportStatus::Active));
    assert_eq!((now.terms.name.as_str(), now.terms.description.as_deref()), ("Usage", Some("Of all")));
    assert_eq!((now.terms.format, now.terms.callback_method), (Format::Tsv, CallbackMethod::Get));
    assert_eq!(now.terms.callback_url, before.terms.callback_url);
    // One of the nine runs has happened.
    assert_eq!((schedule.interval_hours, schedule.count), (48, Some(8)));
    assert_eq!(json!(schedule.start_at), "2026-01-06T12:21:00Z");
    assert_eq!((&changed["occurrences"], &changed["expected_at"]), (&json!(9), &json!("2026-01-06T12:21:00Z")));
}

#[tokio::test]
async fn a_changed_report_goes_on_in_its_phase_and_ends_after_as_many_runs_as_were_asked_for() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    change(&it, &report, json!({ "occurrences": 3 })).await;
    it.after(UNTIL_FIRST_RUN).await;
    it.drain().await;
    for name in ["Second", "Third", "Fourth"] {
        change(&it, &report, json!({ "name": name })).await;
        it.after(DAY).await;
        it.drain().await;
    }

    assert_eq!(it.list(&format!("/files?report_id={report}")).await.len(), 3);
    assert_eq!(it.sandbox.world.reports()[0].executions.len(), 3);
}

#[tokio::test]
async fn a_change_that_takes_a_run_away_says_which_and_sends_the_next_start_of_the_phase() {
    let it = TestApp::start().await;
    let report = it.told().await;
    it.after(DAY - 2 * HOUR).await;

    let (status, changed) = change(&it, &report, json!({ "name": "Renamed" })).await;

    assert_eq!(status, 200);
    assert_eq!(changed["warnings"], json!(["the run of 2026-01-06T12:21:00Z will not happen"]));
    let schedule = it.sandbox.world.reports()[0].terms.schedule.clone().unwrap();
    assert_eq!(json!(schedule.start_at), "2026-01-07T12:21:00Z");
}

#[tokio::test]
async fn an_update_says_everything_but_the_query() {
    let it = TestApp::start().await;
    let between = Server::before(it.sandbox.url(), |_, answer| answer).await;
    let account = it.account_through(&between).await;
    let report = it.report(&account).await;
    it.drain().await;

    change(&it, &report, json!({ "description": "New" })).await;

    let taken = between.taken();
    let update = taken.iter().find(|taken| taken.method == "PUT").unwrap();
    let body: Value = serde_json::from_slice(&update.body).unwrap();
    let names: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let expected =
        ["CallbackMethod", "CallbackUrl", "Description", "Format", "RecurrenceInterval", "ReportName", "StartTime"];
    assert_eq!(names, expected);
    assert_eq!(taken.iter().filter(|taken| taken.creates_a_report()).count(), 1);
    assert!(!taken.iter().any(|taken| taken.method == "DELETE"));
}

#[tokio::test]
async fn a_change_of_what_somebody_deleted_there_makes_it_anew() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.there("DELETE", "", None).await;

    let (_, changed) = change(&it, &report, json!({ "name": "Renamed" })).await;

    assert_eq!((&changed["state"], &changed["settling"]), (&json!("registered"), &json!(false)));
    let there = it.sandbox.world.reports();
    assert_eq!((there.len(), there[0].terms.name.as_str()), (1, "Renamed"));
}

#[tokio::test]
async fn a_paused_report_is_changed_there_and_stays_paused() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.call_and_drain("POST", &format!("/reports/{report}/pause"), None).await;

    let (_, changed) = change(&it, &report, json!({ "name": "Renamed" })).await;

    let there = it.sandbox.world.reports();
    assert_eq!((there[0].terms.name.as_str(), there[0].status), ("Renamed", ReportStatus::Paused));
    assert_eq!((&changed["state"], &changed["expected_at"]), (&json!("paused"), &Value::Null));
}

#[tokio::test]
async fn a_change_cannot_ask_for_fewer_runs_than_have_happened_nor_give_a_schedule_to_one_that_runs_at_once() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let report = it.report(&account).await;
    let at_once = json!({ "account_id": account, "name": "Now", "query": QUERY, "execute_now": true });
    let at_once = it.post("/reports", at_once).await["id"].as_str().unwrap().to_owned();
    it.drain().await;
    it.after(UNTIL_FIRST_RUN + DAY).await;
    it.drain().await;

    let (few, answer) = it.call("PATCH", &format!("/reports/{report}"), Some(json!({ "occurrences": 2 }))).await;
    let (schedule, _) = it.call("PATCH", &format!("/reports/{at_once}"), Some(json!({ "interval_hours": 24 }))).await;

    assert_eq!((few, schedule), (422, 422));
    assert_eq!(answer["errors"][0]["message"], "must be more than the 2 runs that have happened");
}

#[tokio::test]
async fn an_update_whose_answer_was_lost_is_sent_again_and_leaves_one_report_there() {
    let it = TestApp::start().await;
    let lost = Arc::new(AtomicBool::new(false));
    let between = Server::before(it.sandbox.url(), move |taken, answer| {
        let lose = taken.method == "PUT" && !lost.swap(true, Ordering::SeqCst);
        if lose { (StatusCode::BAD_GATEWAY, "".into()) } else { answer }
    })
    .await;
    let account = it.account_through(&between).await;
    let report = it.report(&account).await;
    it.drain().await;

    let (_, waiting) = change(&it, &report, json!({ "name": "Renamed" })).await;
    assert_eq!(waiting["settling"], true);
    it.after(6).await;
    it.drain().await;

    let shown = it.get(&format!("/reports/{report}")).await;
    assert_eq!((&shown["settling"], &shown["last_failure"]), (&json!(false), &Value::Null));
    let there = it.sandbox.world.reports();
    assert_eq!((there.len(), there[0].terms.name.as_str()), (1, "Renamed"));
}

#[tokio::test]
async fn a_change_that_the_api_refuses_shows_its_words_and_is_not_asked_for_again_and_again() {
    let it = TestApp::start().await;
    let between = Server::before(it.sandbox.url(), |taken, answer| {
        let refuse = taken.method == "PUT" && String::from_utf8_lossy(&taken.body).contains("Unwelcome");
        let words = json!({ "value": [], "message": "Invalid report parameters", "statusCode": 400 });
        if refuse { (StatusCode::BAD_REQUEST, words.to_string().into()) } else { answer }
    })
    .await;
    let account = it.account_through(&between).await;
    let report = it.report(&account).await;
    it.drain().await;

    let (status, refused) = change(&it, &report, json!({ "name": "Unwelcome" })).await;
    for _ in 0..6 {
        it.after(5 * 60).await;
        it.drain().await;
    }

    assert_eq!((status, &refused["state"]), (200, &json!("registered")));
    assert!(refused["last_failure"].as_str().unwrap().contains("Invalid report parameters"), "{refused}");
    assert_eq!(between.taken().iter().filter(|taken| taken.method == "PUT").count(), 1);
    let (_, better) = change(&it, &report, json!({ "name": "Welcome" })).await;
    assert_eq!((&better["settling"], &better["last_failure"]), (&json!(false), &Value::Null));
}

#[tokio::test]
async fn a_report_that_runs_at_once_is_renamed_here_only_and_runs_again_only_for_another_query() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let report = json!({ "account_id": account, "name": "Now", "query": QUERY, "execute_now": true });
    let report = it.post("/reports", report).await["id"].as_str().unwrap().to_owned();
    it.drain().await;
    let remote = it.sandbox.world.reports()[0].id.clone();

    let (_, renamed) = change(&it, &report, json!({ "name": "Renamed" })).await;
    assert_eq!((&renamed["name"], &renamed["settling"]), (&json!("Renamed"), &json!(false)));
    assert_eq!(it.sandbox.world.reports()[0].id, remote);
    change(&it, &report, json!({ "query": super::OTHER_QUERY })).await;

    let there = it.sandbox.world.reports();
    assert_eq!((there.len(), there[0].query.as_str()), (1, super::OTHER_QUERY));
}

#[tokio::test]
async fn a_report_that_is_found_there_from_a_try_before_a_change_is_brought_up_to_date() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    let remote = it.sandbox.world.reports()[0].id.clone();
    it.sql("delete from registrations").await;
    it.sql(
        "update reports set state = 'draft', there = 'none', sent = null, interval_hours = 48, settle_at = created_at",
    )
    .await;
    it.drain().await;

    let there = it.sandbox.world.reports();
    let interval = there[0].terms.schedule.as_ref().unwrap().interval_hours;
    assert_eq!((there.len(), &there[0].id, interval), (1, &remote, 48));
    assert_eq!(it.get(&format!("/reports/{report}")).await["settling"], false);
}

#[tokio::test]
async fn a_change_that_needs_a_callback_address_says_so_instead_of_being_refused_there_again_and_again() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.sql("update accounts set program = 'cmp', api_url = 'https://api.partner.example'").await;

    let (_, changed) = change(&it, &report, json!({ "description": "Hourly" })).await;

    assert!(changed["last_failure"].as_str().unwrap().contains("TIDINGS_PUBLIC_URL"), "{changed}");
    assert_eq!(it.sandbox.world.reports()[0].terms.description, None);
}
