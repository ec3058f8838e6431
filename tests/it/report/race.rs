//! What comes between: a lost answer, two changes at once, a change while a step is at work, somebody who was faster there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use serde_json::{Value, json};
use tidings::db::StoreError;
use tidings::report::{Change, store};
use tidings::sandbox::world::ReportStatus;

use crate::support::app::{ADMIN_KEY, QUERY, TestApp};
use crate::support::scene::{HOUR, client, until};
use crate::support::server::{Server, hand_on};

#[tokio::test]
async fn a_report_that_ran_at_once_after_a_lost_answer_is_found_there_by_its_age_where_it_has_no_address() {
    let it = TestApp::start().await;
    let lost = Arc::new(AtomicBool::new(false));
    let between = Server::before(it.sandbox.url(), move |taken, (status, body)| {
        if taken.creates_a_report() && !lost.swap(true, Ordering::SeqCst) {
            return (StatusCode::BAD_GATEWAY, "".into());
        }
        // As of a service that the API cannot reach.
        let body = String::from_utf8_lossy(&body).replace("callbackUrl", "was").replace("CallbackUrl", "was");
        (status, body.into())
    })
    .await;
    let account = it.account_through(&between).await;
    let report = json!({ "account_id": account, "name": "Now", "query": QUERY, "execute_now": true });
    let report = it.post("/reports", report).await["id"].as_str().unwrap().to_owned();
    it.drain().await;

    it.after(120).await;
    assert_eq!(it.sandbox.world.reports()[0].status, ReportStatus::Inactive);
    it.drain().await;

    assert_eq!(between.taken().iter().filter(|taken| taken.creates_a_report()).count(), 1);
    assert_eq!(it.list(&format!("/files?report_id={report}")).await.len(), 1);
    assert_eq!(it.get(&format!("/reports/{report}")).await["state"], "ended");
}

#[tokio::test]
async fn of_two_changes_that_read_the_same_report_the_second_is_refused() {
    let it = TestApp::start().await;
    let report = it.registered().await.parse().unwrap();
    let mut conn = it.app.pool.acquire().await.unwrap();
    let read = store::find(&mut conn, report).await.unwrap().unwrap();
    it.after(1).await;
    let named = |name: &str| Change { name: Some(name.into()), ..Change::default() };
    let change = |name: &str| named(name).check(&read, it.clock.now()).unwrap();

    let first = store::update(&mut conn, &it.clock, &read, &change("First")).await;
    let second = store::update(&mut conn, &it.clock, &read, &change("Second")).await;

    assert!(first.is_ok() && matches!(second, Err(StoreError::Lost)));
    assert_eq!(it.get(&format!("/reports/{report}")).await["name"], "First");
}

#[tokio::test]
async fn a_new_name_of_a_query_does_not_bring_its_old_text_back() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let query = it.post(&format!("/accounts/{account}/queries"), json!({ "name": "Kept", "query": QUERY })).await;
    let (account, id) = (account.parse().unwrap(), query["id"].as_str().unwrap().parse().unwrap());
    let mut conn = it.app.pool.acquire().await.unwrap();

    for change in [(None, Some("SELECT Month FROM OfficeUsage")), (Some("Renamed"), None)] {
        store::queries::change(&mut conn, account, id, change, it.clock.now()).await.unwrap();
    }

    let kept = store::queries::find(&mut conn, account, id).await.unwrap().unwrap();
    assert_eq!((kept.name.as_str(), kept.text.as_str()), ("Renamed", "SELECT Month FROM OfficeUsage"));
}

#[tokio::test]
async fn a_pause_that_comes_while_a_change_is_refused_there_does_not_wait_for_the_next_try() {
    let it = TestApp::start().await;
    let (service, sandbox) = (it.url.clone(), it.sandbox.url());
    let between = Server::start(move |taken| {
        let (service, sandbox) = (service.clone(), sandbox.clone());
        let refuse = taken.method == "PUT" && String::from_utf8_lossy(&taken.body).contains("Unwelcome");
        async move {
            let (mut status, body) = hand_on(&sandbox, &taken).await;
            if refuse {
                pause_the_only_report(&service).await;
                status = StatusCode::BAD_REQUEST;
            }
            axum::http::Response::builder().status(status).body(body.into()).unwrap()
        }
    })
    .await;
    let account = it.account_through(&between).await;
    let report = it.report(&account).await;
    it.drain().await;
    it.sql("update reports set name = 'Unwelcome', amend = true, settle_at = created_at").await;

    let work = it.app.register.claim(1).await.unwrap().remove(0);
    assert!(matches!(it.app.register.perform(work).await, Err(StoreError::Lost)));
    it.sql("update reports set name = 'Welcome'").await;
    it.after(31).await;
    let is_paused = || async {
        it.drain().await;
        it.sandbox.world.reports()[0].status == ReportStatus::Paused
    };
    until("the report is paused there", is_paused).await;

    assert_eq!(it.get(&format!("/reports/{report}")).await["settling"], false);
}

async fn pause_the_only_report(service: &url::Url) {
    let reports = service.join("/api/v1/reports").unwrap();
    let list = || async {
        let answer = client().get(reports.clone()).bearer_auth(ADMIN_KEY).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["items"][0].clone()
    };
    let pause = format!("{reports}/{}/pause", list().await["id"].as_str().unwrap());
    // It answers when the report is in line, which it cannot be before this returns.
    tokio::spawn(client().post(pause).bearer_auth(ADMIN_KEY).send());
    until("the pause is recorded", || async { list().await["state"] == "paused" }).await;
}

#[tokio::test]
async fn what_somebody_deleted_there_is_deleted_and_paused_and_made_anew_when_it_is_resumed() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.there("DELETE", "", None).await;

    let (_, paused) = it.call_and_drain("POST", &format!("/reports/{report}/pause"), None).await;
    assert_eq!((&paused["state"], &paused["settling"]), (&json!("paused"), &json!(false)), "{paused}");
    let (_, resumed) = it.call_and_drain("POST", &format!("/reports/{report}/resume"), None).await;
    assert_eq!((&resumed["state"], it.sandbox.world.reports().len()), (&json!("registered"), 1));

    it.call_and_drain("POST", &format!("/reports/{report}/pause"), None).await;
    it.there("DELETE", "", None).await;
    let (_, resumed) = it.call_and_drain("POST", &format!("/reports/{report}/resume"), None).await;
    assert_eq!((&resumed["state"], it.sandbox.world.reports().len()), (&json!("registered"), 1));

    it.there("DELETE", "", None).await;
    let (status, _) = it.call_and_drain("DELETE", &format!("/reports/{report}"), None).await;
    let retired = it.get(&format!("/reports/{report}")).await;
    assert_eq!((status, &retired["state"], &retired["settling"]), (204, &json!("retired"), &json!(false)));
}

#[tokio::test]
async fn one_that_runs_at_once_and_is_refused_for_those_of_others_waits_and_is_made_later() {
    let it = TestApp::start().await;
    let full = Arc::new(AtomicBool::new(true));
    let is_full = full.clone();
    let sandbox = it.sandbox.url();
    let between = Server::start(move |taken| {
        let (sandbox, full) = (sandbox.clone(), taken.creates_a_report() && is_full.load(Ordering::SeqCst));
        async move {
            let why = "User has exceeded its ExecuteNow report creation quota of 5 reports/60 mins";
            let (status, body) = if full {
                (StatusCode::BAD_REQUEST, json!({ "message": why, "statusCode": 400 }).to_string().into())
            } else {
                hand_on(&sandbox, &taken).await
            };
            axum::http::Response::builder().status(status).body(body.into()).unwrap()
        }
    })
    .await;
    let account = it.account_through(&between).await;
    let report = json!({ "account_id": account, "name": "Now", "query": QUERY, "execute_now": true });
    let report = it.post("/reports", report).await["id"].as_str().unwrap().to_owned();
    it.drain().await;
    let shown = it.get(&format!("/reports/{report}")).await;
    assert_eq!(shown["state"], "draft");
    assert!(shown["last_failure"].as_str().unwrap().contains("ExecuteNow"), "{shown}");

    full.store(false, Ordering::SeqCst);
    it.after(HOUR).await;
    it.drain().await;

    assert_eq!(it.sandbox.world.reports().len(), 1);
}

#[tokio::test]
async fn what_null_takes_away_is_gone_here_and_there() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let report = json!({ "account_id": account, "name": "Few", "description": "Short", "query": QUERY,
        "interval_hours": 24, "occurrences": 3 });
    let report = it.post("/reports", report).await["id"].as_str().unwrap().to_owned();
    it.drain().await;

    let nothing = json!({ "occurrences": null, "description": null, "end_at": null });
    let (status, changed) = it.call_and_drain("PATCH", &format!("/reports/{report}"), Some(nothing)).await;

    assert_eq!((status, &changed["occurrences"], &changed["description"]), (200, &Value::Null, &Value::Null));
    assert_eq!(it.sandbox.world.reports()[0].terms.schedule.as_ref().unwrap().count, None);
    let (_, same) = it.call_and_drain("PATCH", &format!("/reports/{report}"), Some(json!({ "name": "Few" }))).await;
    assert_eq!(same["updated_at"], changed["updated_at"], "what is not given stays");
}

#[tokio::test]
async fn a_query_that_another_row_shares_there_stays_when_one_of_them_is_changed_and_one_without_letters_has_a_name() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let kept = |name: &'static str| {
        let path = format!("/accounts/{account}/queries");
        let it = &it;
        async move { it.post(&path, json!({ "name": name, "query": QUERY })).await["id"].as_str().unwrap().to_owned() }
    };
    let (one, other) = (kept("日本").await, kept("Usage").await);
    let twin = kept("Usage!").await;
    for (name, query) in [("A", &one), ("B", &other), ("C", &twin)] {
        let report = json!({ "account_id": account, "name": name, "query_id": query, "interval_hours": 24 });
        it.post("/reports", report).await;
    }
    it.drain().await;
    let named = it.list(&format!("/accounts/{account}/queries?there=true")).await;
    assert!(named.iter().all(|query| query["name"] != ""), "{named:?}");
    assert_eq!(it.number("select count(distinct remote_id) from queries").await, 2);

    let text = json!({ "query": "SELECT Month FROM OfficeUsage" });
    it.call_and_drain("PATCH", &format!("/accounts/{account}/queries/{twin}"), Some(text)).await;
    it.drain().await;

    let there = it.list(&format!("/accounts/{account}/queries?there=true")).await;
    let shared = it.list(&format!("/accounts/{account}/queries")).await;
    let shared = shared.iter().find(|query| query["id"] == other.as_str()).unwrap();
    assert!(there.iter().any(|query| query["remote_id"] == shared["remote_id"]), "{there:?}");
    assert_eq!(it.number("select count(*) from leftovers").await, 0);
}
