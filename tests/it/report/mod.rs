//! Reports: one there for each here, whatever is killed or refused on the way, and in line with what is wanted.

mod adopt;
mod change;
mod drift;
mod ending;
mod quota;
mod race;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use serde_json::{Value, json};
use tidings::report::lifecycle::{self, Want};
use tidings::sandbox::Fault;
use tidings::sandbox::world::ReportStatus;

use crate::support::app::{ADMIN_KEY, QUERY, TestApp};
use crate::support::scene::{DAY, UNTIL_FIRST_RUN, client, until};
use crate::support::server::{Server, hand_on};

const OTHER_QUERY: &str = "SELECT CustomerName, MonthlyActiveUsers FROM OfficeUsage TIMESPAN LAST_MONTH";

#[tokio::test]
async fn a_creation_whose_answer_was_lost_is_not_repeated() {
    let it = TestApp::start().await;
    let lost = Arc::new(AtomicBool::new(false));
    let between = Server::before(it.sandbox.url(), move |taken, answer| {
        let lose = taken.creates_a_report() && !lost.swap(true, Ordering::SeqCst);
        if lose { (StatusCode::BAD_GATEWAY, "".into()) } else { answer }
    })
    .await;
    let account = it.account_through(&between).await;
    let report = it.report(&account).await;
    it.drain().await;
    assert_eq!(it.get(&format!("/reports/{report}")).await["state"], "draft");

    it.after(5).await;
    it.drain().await;

    assert_eq!(it.get(&format!("/reports/{report}")).await["state"], "registered");
    assert_eq!(it.sandbox.world.reports().len(), 1);
    assert_eq!(between.taken().iter().filter(|taken| taken.creates_a_report()).count(), 1);
}

#[tokio::test]
async fn a_list_that_cannot_be_read_to_its_end_is_not_taken_for_all_there_is() {
    for (next, page_is_there, pages) in
        [("?page=", true, 50), ("?page=", false, 2), ("https://elsewhere.example/", true, 1)]
    {
        let it = TestApp::start().await;
        let between = Server::before(it.sandbox.url(), move |taken, answer| {
            let page: usize =
                taken.uri.query().and_then(|query| query.strip_prefix("page=")?.parse().ok()).unwrap_or(1);
            if taken.method != "GET" || !taken.uri.path().ends_with("/ScheduledReport") {
                return answer;
            }
            if page > 1 && !page_is_there {
                return (StatusCode::NOT_FOUND, "".into());
            }
            (StatusCode::OK, json!({ "value": [], "nextLink": format!("{next}{}", page + 1) }).to_string().into())
        })
        .await;
        let account = it.account_through(&between).await;
        let report = it.report(&account).await;
        it.drain().await;

        let shown = it.get(&format!("/reports/{report}")).await;
        assert!(shown["last_failure"].as_str().unwrap().contains("the list has no end"), "{shown}");
        let taken = between.taken();
        assert_eq!(taken.iter().filter(|taken| taken.creates_a_report()).count(), 0);
        assert_eq!(taken.iter().filter(|taken| taken.uri.path().ends_with("/ScheduledReport")).count(), pages);
    }
}

#[tokio::test]
async fn a_kill_between_the_creation_there_and_our_record_makes_no_second_report() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    let remote = it.get(&format!("/reports/{report}")).await["remote_id"].clone();

    it.sql("delete from registrations").await;
    it.sql("update reports set state = 'draft', there = 'none', settle_at = created_at, settle_tries = 1").await;
    it.drain().await;

    let shown = it.get(&format!("/reports/{report}")).await;
    assert_eq!((&shown["state"], &shown["remote_id"]), (&json!("registered"), &remote));
    assert_eq!(it.sandbox.world.reports().len(), 1);
}

#[tokio::test]
async fn a_failure_of_the_api_is_retried_after_a_wait_until_one_report_exists_there() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let report = it.report(&account).await;
    let asked = it.sandbox.world.counts().api_requests;
    it.sandbox.world.fault_times(Fault::ServerError, 2);
    it.drain().await;
    it.drain().await;
    assert_eq!(it.sandbox.world.counts().api_requests, asked + 1);
    assert!(it.get(&format!("/reports/{report}")).await["last_failure"].as_str().unwrap().contains("500"));

    for _ in 0..3 {
        it.after(5).await;
        it.drain().await;
    }

    let shown = it.get(&format!("/reports/{report}")).await;
    assert_eq!((&shown["state"], &shown["last_failure"]), (&json!("registered"), &Value::Null));
    assert_eq!(it.sandbox.world.reports().len(), 1);
}

#[tokio::test]
async fn a_refused_report_shows_the_words_of_the_api_and_a_better_query_makes_it_go_on() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let wrong = json!({ "account_id": account, "name": "Wrong", "interval_hours": 24,
        "query": "SELECT CustomerName, Nonsense FROM OfficeUsage TIMESPAN LAST_MONTH" });
    // The datasets cannot be had, so nothing is held against the query.
    it.sandbox.world.fault(Fault::ServerError);
    let report = it.post("/reports", wrong).await["id"].as_str().unwrap().to_owned();
    it.after(5).await;
    it.drain().await;

    let shown = it.get(&format!("/reports/{report}")).await;
    assert_eq!(shown["state"], "rejected");
    assert!(shown["last_failure"].as_str().unwrap().contains("Incorrect column name"), "{shown}");
    let (_, again) = it.call_and_drain("POST", &format!("/reports/{report}/resume"), None).await;
    assert_eq!(again["state"], "rejected");

    let (status, mended) =
        it.call_and_drain("PATCH", &format!("/reports/{report}"), Some(json!({ "query": QUERY }))).await;
    assert_eq!((status, &mended["state"], &mended["last_failure"]), (200, &json!("registered"), &Value::Null));
    assert_eq!(it.sandbox.world.reports().len(), 1);
}

#[tokio::test]
async fn a_query_that_somebody_deleted_there_is_made_anew_for_the_next_report() {
    let it = TestApp::start().await;
    let account = it.account().await;
    it.report(&account).await;
    it.drain().await;
    it.sql("update queries set remote_id = 'gone'").await;

    let next = json!({ "account_id": account, "name": "The next", "interval_hours": 24, "query": QUERY });
    let next = it.post("/reports", next).await["id"].as_str().unwrap().to_owned();
    it.drain().await;

    let shown = it.get(&format!("/reports/{next}")).await;
    assert_eq!((&shown["state"], &shown["last_failure"]), (&json!("registered"), &Value::Null));
}

#[tokio::test]
async fn a_report_is_paused_resumed_and_deleted_there() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    let there = || it.sandbox.world.reports().first().map(|report| report.status);

    let (status, paused) = it.call_and_drain("POST", &format!("/reports/{report}/pause"), None).await;
    assert_eq!((status, &paused["state"], there()), (200, &json!("paused"), Some(ReportStatus::Paused)));
    let (status, resumed) = it.call_and_drain("POST", &format!("/reports/{report}/resume"), None).await;
    assert_eq!((status, &resumed["state"], there()), (200, &json!("registered"), Some(ReportStatus::Active)));
    let (status, _) = it.call_and_drain("DELETE", &format!("/reports/{report}"), None).await;
    assert_eq!((status, there()), (204, None));
    assert_eq!(it.get(&format!("/reports/{report}")).await["state"], "retired");
    let (status, told) = it.call("PATCH", &format!("/reports/{report}"), Some(json!({ "name": "Anew" }))).await;
    assert_eq!((status, &told["detail"]), (409, &json!("a report that is retired can't be changed")));
}

#[tokio::test]
async fn a_paused_report_expects_nothing_and_a_resumed_one_its_next_run() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    let first = it.get(&format!("/reports/{report}")).await["expected_at"].clone();
    assert_eq!(first, "2026-01-05T12:21:00Z");

    let (_, paused) = it.call_and_drain("POST", &format!("/reports/{report}/pause"), None).await;
    it.after(DAY).await;
    let (_, resumed) = it.call_and_drain("POST", &format!("/reports/{report}/resume"), None).await;

    assert_eq!(paused["expected_at"], Value::Null);
    assert_eq!(resumed["expected_at"], "2026-01-06T12:21:00Z");
}

#[tokio::test]
async fn a_paused_report_that_is_changed_stays_paused_until_it_is_resumed() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.call_and_drain("POST", &format!("/reports/{report}/pause"), None).await;

    let change = Some(json!({ "query": OTHER_QUERY }));
    let (_, changed) = it.call_and_drain("PATCH", &format!("/reports/{report}"), change).await;
    assert_eq!((&changed["state"], &changed["settling"]), (&json!("paused"), &json!(false)));
    assert!(!it.sandbox.world.reports().iter().any(|report| report.status == ReportStatus::Active));

    let (_, resumed) = it.call_and_drain("POST", &format!("/reports/{report}/resume"), None).await;
    assert_eq!(resumed["state"], "registered");
    let there = it.sandbox.world.reports();
    assert_eq!((there.len(), there[0].status, there[0].query.as_str()), (1, ReportStatus::Active, OTHER_QUERY));
}

#[tokio::test]
async fn a_draft_that_is_retired_after_a_kill_leaves_nothing_there() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.sql("delete from registrations").await;
    it.sql("update reports set state = 'draft', there = 'none', settle_at = created_at, settle_tries = 1").await;

    // Before any step sees the draft.
    let mut conn = it.app.pool.acquire().await.unwrap();
    lifecycle::want(&mut conn, report.parse().unwrap(), Want::Retired, it.clock.now()).await.unwrap();
    it.drain().await;

    assert_eq!(it.sandbox.world.reports().len(), 0);
    assert_eq!(it.get(&format!("/reports/{report}")).await["settling"], false);
}

#[tokio::test]
async fn a_changed_query_makes_the_report_anew_there_and_keeps_its_history_here() {
    let it = TestApp::start().await;
    let report = it.told().await;
    let before = it.get(&format!("/reports/{report}")).await["remote_id"].clone();

    let (status, changed) =
        it.call_and_drain("PATCH", &format!("/reports/{report}"), Some(json!({ "query": OTHER_QUERY }))).await;
    assert_eq!((status, &changed["state"], &changed["settling"]), (200, &json!("registered"), &json!(false)));
    it.after(DAY).await;
    it.drain().await;

    let there = it.sandbox.world.reports();
    assert_eq!((there.len(), there[0].query.as_str()), (1, OTHER_QUERY));
    assert_ne!(json!(there[0].id), before);
    let files = it.list(&format!("/files?report_id={report}")).await;
    assert_eq!(files.len(), 2, "{files:?}");
    assert_eq!(files[0]["columns"], json!(["CustomerName", "MonthlyActiveUsers"]));
}

#[tokio::test]
async fn a_change_that_comes_while_the_report_is_being_created_is_not_lost() {
    let it = TestApp::start().await;
    let (service, sandbox, first) = (it.url.clone(), it.sandbox.url(), Arc::new(AtomicBool::new(true)));
    let between = Server::start(move |taken| {
        let (service, sandbox) = (service.clone(), sandbox.clone());
        let interfere = taken.creates_a_report() && first.swap(false, Ordering::SeqCst);
        async move {
            let (status, body) = hand_on(&sandbox, &taken).await;
            if interfere {
                change_the_query(&service).await;
            }
            axum::http::Response::builder().status(status).body(body.into()).unwrap()
        }
    })
    .await;
    let account = it.account_through(&between).await;
    let report = it.report(&account).await;

    let work = it.app.register.claim(1).await.unwrap().remove(0);
    let taken_over = it.app.register.perform(work).await;
    it.after(31).await;
    // The transaction that was given up may hold the row for a moment.
    let in_line = || async {
        it.drain().await;
        it.get(&format!("/reports/{report}")).await["settling"] == false
    };
    until("the report is in line", in_line).await;

    assert!(matches!(taken_over, Err(tidings::db::StoreError::Lost)));
    let (there, shown) = (it.sandbox.world.reports(), it.get(&format!("/reports/{report}")).await);
    assert_eq!((there.len(), there[0].query.as_str()), (1, OTHER_QUERY), "{shown}");
    assert_eq!(shown["remote_id"], there[0].id);
}

/// Asks for another query of the only report, and waits until that is recorded.
async fn change_the_query(service: &url::Url) {
    let reports = service.join("/api/v1/reports").unwrap();
    let list = || async {
        let answer = client().get(reports.clone()).bearer_auth(ADMIN_KEY).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["items"][0].clone()
    };
    let url = format!("{reports}/{}", list().await["id"].as_str().unwrap());
    // It answers when the report is in line, which it cannot be before this returns.
    let change = client().patch(url).bearer_auth(ADMIN_KEY).json(&json!({ "query": OTHER_QUERY }));
    tokio::spawn(change.send());
    until("the change is recorded", || async { list().await["query"] == OTHER_QUERY }).await;
}

#[tokio::test]
async fn a_late_report_is_told_once_after_the_grace_and_once_more_when_it_comes() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    let tell_late = || tidings::report::expectation::tell_late(&it.app.pool, &it.app.clock);
    it.sql("update reports set expected_at = expected_at - interval '3 hours'").await;

    it.clock.advance(std::time::Duration::from_secs(3 * 3600 - 60));
    assert_eq!(tell_late().await.unwrap(), 0);
    it.clock.advance(std::time::Duration::from_secs(120 + 6 * 60));
    assert_eq!(tell_late().await.unwrap(), 1);
    assert_eq!(tell_late().await.unwrap(), 0);
    assert!(it.get(&format!("/reports/{report}")).await["late_since"].is_string());

    it.after(UNTIL_FIRST_RUN).await;
    it.drain().await;
    assert_eq!(it.kinds().await, ["report.late", "report.recovered", "report.ready"]);
    assert_eq!(it.get(&format!("/reports/{report}")).await["late_since"], Value::Null);
}

#[tokio::test]
async fn a_change_that_changes_nothing_leaves_the_report_there_alone() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    let before = it.get(&format!("/reports/{report}")).await["remote_id"].clone();

    for same in [json!({}), json!({ "name": null }), json!({ "query": QUERY, "interval_hours": 24, "format": "csv" })] {
        let (status, _) = it.call("PATCH", &format!("/reports/{report}"), Some(same)).await;
        assert_eq!(status, 200);
        it.drain().await;
    }

    assert_eq!(it.get(&format!("/reports/{report}")).await["remote_id"], before);
    assert_eq!(it.sandbox.world.reports().len(), 1);
}

#[tokio::test]
async fn the_name_of_a_retired_report_can_be_used_again_and_its_account_is_kept_for_its_files() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let report = it.report(&account).await;
    it.drain().await;
    let path = format!("/reports/{report}");
    let (retired, ()) = tokio::join!(it.call("DELETE", &path, None), async {
        until("retired", async || it.get(&path).await["state"] == "retired").await;
        it.drain().await;
    });
    assert_eq!(retired.0, 204);

    let again = it.report(&account).await;
    let (status, answer) = it.call("DELETE", &format!("/accounts/{account}"), None).await;

    assert_ne!(again, report);
    assert_eq!(status, 409);
    assert!(answer["detail"].as_str().unwrap().contains("retired ones count too"), "{answer}");
}

#[tokio::test]
async fn an_account_whose_queries_no_report_ever_used_is_removed_with_them() {
    let it = TestApp::start().await;
    let account = it.account().await;
    it.post(&format!("/accounts/{account}/queries"), json!({ "name": "Unused", "text": QUERY })).await;

    let (status, answer) = it.call("DELETE", &format!("/accounts/{account}"), None).await;

    assert_eq!(status, 204, "{answer}");
    assert!(it.list("/accounts").await.is_empty());
}
