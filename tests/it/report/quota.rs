//! The documented limits: kept before anything is sent, and the quotas counted before a report is created.

use serde_json::{Value, json};

use crate::support::app::{QUERY, TestApp};
use crate::support::scene::HOUR;
use crate::support::server::Server;

async fn at_once(it: &TestApp, account: &str, name: &str) {
    let report = json!({ "account_id": account, "name": name, "query": QUERY, "execute_now": true });
    it.post("/reports", report).await;
}

#[tokio::test]
async fn the_sixth_report_that_runs_at_once_waits_until_the_hour_has_passed() {
    let it = TestApp::start().await;
    let between = Server::before(it.sandbox.url(), |_, answer| answer).await;
    let account = it.account_through(&between).await;
    for number in 1..=6 {
        at_once(&it, &account, &format!("Now {number}")).await;
    }
    // All of them at the same time, as the worker does.
    let work = it.app.register.claim(8).await.unwrap();
    assert_eq!(work.len(), 6);
    futures_util::future::join_all(work.into_iter().map(|work| it.app.register.perform(work))).await;
    it.after(31).await;
    it.drain().await;

    // Whichever of them asked last.
    let all = it.list("/reports").await;
    let waiting: Vec<&Value> = all.iter().filter(|report| report["state"] == "draft").collect();
    assert_eq!((waiting.len(), it.sandbox.world.reports().len()), (1, 5));
    assert!(waiting[0]["last_failure"].as_str().unwrap().contains("waits for its turn"), "{}", waiting[0]);
    it.after(HOUR + 60).await;
    it.drain().await;

    assert_eq!(it.sandbox.world.reports().len(), 6);
    let shown = it.get(&format!("/reports/{}", waiting[0]["id"].as_str().unwrap())).await;
    assert_eq!(shown["last_failure"], Value::Null);
    assert_eq!(between.taken().iter().filter(|taken| taken.creates_a_report()).count(), 6, "nothing was asked in vain");
}

#[tokio::test]
async fn the_fifty_first_active_report_is_refused_here_with_what_to_do_and_registered_when_there_is_room() {
    let it = TestApp::start().await;
    let between = Server::before(it.sandbox.url(), |_, answer| answer).await;
    let account = it.account_through(&between).await;
    let mut reports = Vec::new();
    for number in 1..=51 {
        let report =
            json!({ "account_id": account, "name": format!("Daily {number}"), "query": QUERY, "interval_hours": 24 });
        reports.push(it.post("/reports", report).await["id"].as_str().unwrap().to_owned());
    }
    it.drain().await;

    let all = it.list("/reports?limit=200").await;
    let refused: Vec<&Value> = all.iter().filter(|report| report["state"] == "rejected").collect();
    assert_eq!(refused.len(), 1);
    let (last, shown) = (refused[0]["id"].as_str().unwrap(), refused[0]);
    let why = shown["last_failure"].as_str().unwrap();
    assert!(why.contains("50") && why.contains("pause or delete"), "{why}");
    assert_eq!(between.taken().iter().filter(|taken| taken.creates_a_report()).count(), 50);

    let other = reports.iter().find(|report| *report != last).unwrap();
    it.call_and_drain("POST", &format!("/reports/{other}/pause"), None).await;
    let (_, resumed) = it.call_and_drain("POST", &format!("/reports/{last}/resume"), None).await;
    assert_eq!(resumed["state"], "registered");
}

#[tokio::test]
async fn an_end_of_the_schedule_is_taken_by_the_marketplaces_program_only_and_sent_there() {
    let it = TestApp::start().await;
    let (partner, marketplace) = (it.account().await, it.marketplace_account().await);
    let report = |account: &str, end_at: &str| {
        json!({ "account_id": account, "name": "Until", "interval_hours": 24, "end_at": end_at,
            "query": "SELECT OfferName, Sku FROM ISVOrder TIMESPAN LAST_MONTH" })
    };
    let (refused, answer) = it.call("POST", "/reports", Some(report(&partner, "2026-01-07T00:00:00Z"))).await;
    let (early, wrong) = it.call("POST", "/reports", Some(report(&marketplace, "2026-01-05T12:00:00Z"))).await;
    let made = it.post("/reports", report(&marketplace, "2026-01-07T00:00:00Z")).await;
    it.drain().await;

    let fields = |answer: &Value| {
        let errors = answer["errors"].as_array().unwrap().iter();
        errors.map(|error| error["field"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((refused, fields(&answer)), (422, vec!["query".to_owned(), "end_at".to_owned()]));
    let both = json!({ "account_id": partner, "name": "a;b", "interval_hours": 24, "end_at": "2026-02-01T00:00:00Z", "query": "x" });
    let (_, both) = it.call("POST", "/reports", Some(both)).await;
    assert_eq!(fields(&both), ["name", "query", "end_at"]);
    assert_eq!((early, &wrong["errors"][0]["message"]), (422, &json!("must be after start_at")));
    let shown = it.get(&format!("/reports/{}", made["id"].as_str().unwrap())).await;
    assert_eq!((&shown["state"], &shown["end_at"]), (&json!("registered"), &json!("2026-01-07T00:00:00Z")), "{shown}");
    let schedule = it.sandbox.world.reports()[0].terms.schedule.clone().unwrap();
    assert_eq!(json!(schedule.end_at), "2026-01-07T00:00:00Z");
}

#[tokio::test]
async fn a_start_that_could_not_be_sent_in_time_is_moved_along_its_phase_when_it_is_sent() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let report = json!({ "account_id": account, "name": "Daily", "query": QUERY, "interval_hours": 24,
        "start_at": "2026-01-05T12:30:00Z" });
    let report = it.post("/reports", report).await["id"].as_str().unwrap().to_owned();
    it.after(HOUR).await;
    it.drain().await;

    let shown = it.get(&format!("/reports/{report}")).await;
    assert_eq!((&shown["state"], &shown["start_at"]), (&json!("registered"), &json!("2026-01-06T12:30:00Z")));
}
