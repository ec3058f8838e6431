//! Retention: what is old goes in steps, what is needed stays, and nothing that was told is told again.

use std::time::Duration;

use serde_json::{Value, json};
use tidings::account::expiring;
use tidings::db::prune::alone;
use tidings::report::expectation;
use tidings::retention::{Keep, LOCK, Retention};
use tidings::sandbox::fault::Fault;
use tidings::telemetry;
use tokio_util::sync::CancellationToken;

use crate::support::app::{ADMIN_KEY, TestApp};
use crate::support::scene::{DAY, HOUR, UNTIL_FIRST_RUN, client, until};
use crate::support::server::Server;

/// Everything that may go goes.
const NOTHING: Keep = Keep { callbacks: 0, attempts: 0, deliveries: 0, events: 0, audit: 0 };

async fn prune(it: &TestApp, keep: Keep) {
    it.clock.advance(Duration::from_secs(1));
    let retention = Retention { pool: it.app.pool.clone(), clock: it.clock.clone(), keep };
    retention.run_once(&CancellationToken::new()).await.unwrap();
}

async fn rows(it: &TestApp) -> [i64; 4] {
    let mut counts = [0; 4];
    for (count, table) in counts.iter_mut().zip(["callbacks", "attempts", "deliveries", "events"]) {
        *count = it.number(&format!("select count(*) from {table}")).await;
    }
    counts
}

async fn subscribed(it: &TestApp, server: &Server) -> String {
    let terms = json!({ "name": "hook", "endpoint": { "channel": "webhook", "url": server.url.as_str() } });
    it.post("/subscriptions", terms).await["id"].as_str().unwrap().to_owned()
}

async fn test_message(it: &TestApp, subscription: &str) {
    it.post(&format!("/subscriptions/{subscription}/test"), json!({})).await;
}

/// How often this kind was told since the events were removed.
async fn told_again(it: &TestApp, kind: &str) -> usize {
    it.kinds().await.iter().filter(|told| *told == kind).count()
}

#[tokio::test]
async fn each_kind_of_row_goes_when_it_is_older_than_it_is_kept() {
    let it = TestApp::start().await;
    let server = Server::answering(204).await;
    subscribed(&it, &server).await;
    it.told().await;
    assert_eq!(rows(&it).await, [1, 1, 1, 1]);

    it.clock.advance(Duration::from_secs(88 * DAY));
    prune(&it, Keep::default()).await;
    assert_eq!(rows(&it).await, [1, 1, 1, 1]);
    it.clock.advance(Duration::from_secs(3 * DAY));
    prune(&it, Keep { callbacks: 90, attempts: 90, deliveries: 365, events: 400, audit: 400 }).await;
    assert_eq!(rows(&it).await, [0, 0, 1, 1]);
    it.clock.advance(Duration::from_secs(310 * DAY));
    prune(&it, Keep::default()).await;
    assert_eq!(rows(&it).await, [0; 4]);
    assert_eq!(it.number("select count(*) from audit").await, 0);
}

#[tokio::test]
async fn what_is_pending_stays_with_all_that_it_needs() {
    let it = TestApp::start().await;
    let (taking, refusing) = (Server::answering(204).await, Server::answering(500).await);
    for server in [&taking, &refusing] {
        let subscription = subscribed(&it, server).await;
        test_message(&it, &subscription).await;
    }
    it.drain().await;
    assert_eq!(rows(&it).await, [0, 2, 2, 2]);

    prune(&it, NOTHING).await;

    assert_eq!(rows(&it).await, [0, 1, 1, 1]);
    assert_eq!(it.list("/deliveries").await[0]["state"], "pending");
}

#[tokio::test]
async fn a_delivery_that_was_sent_again_is_as_young_as_that() {
    let it = TestApp::start().await;
    let server = Server::answering(204).await;
    let subscription = subscribed(&it, &server).await;
    test_message(&it, &subscription).await;
    it.drain().await;
    it.after(100 * DAY).await;
    let delivery = it.list("/deliveries").await[0]["id"].as_str().unwrap().to_owned();
    it.post(&format!("/deliveries/{delivery}/resend"), json!({})).await;
    it.drain().await;

    prune(&it, Keep { attempts: 0, ..Keep::default() }).await;

    assert_eq!(rows(&it).await, [0, 0, 1, 1]);
}

#[tokio::test]
async fn an_event_that_not_everyone_was_told_of_stays_and_is_told() {
    let it = TestApp::start().await;
    let server = Server::answering(204).await;
    let subscription = subscribed(&it, &server).await;
    test_message(&it, &subscription).await;
    prune(&it, NOTHING).await;
    it.sql("update events set seq = 1").await;
    prune(&it, NOTHING).await;

    it.sql("update event_numbers set last_seq = 1").await;
    it.drain().await;

    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
async fn pages_and_lists_do_without_what_was_removed() {
    let it = TestApp::start().await;
    let server = Server::answering(204).await;
    subscribed(&it, &server).await;
    let report = it.told().await;
    prune(&it, NOTHING).await;
    assert_eq!(rows(&it).await, [0; 4]);

    let page = it.dashboard("GET", &format!("/reports/{report}")).await;

    assert!(page.contains("stored"), "{page}");
    for list in ["callbacks", "events", "deliveries"] {
        assert_eq!(it.list(&format!("/{list}")).await, Vec::<Value>::new());
    }
    let execution = it.list("/executions").await.remove(0);
    let found = it.get(&format!("/executions/{}", execution["id"].as_str().unwrap())).await;
    assert_eq!((&found["found_by"], &found["file"]["format"]), (&json!("callback"), &json!("csv")));
}

#[tokio::test]
async fn a_file_is_told_once_even_when_its_event_has_gone() {
    let it = TestApp::start().await;
    let report = it.told().await;
    assert_eq!(it.kinds().await, ["report.ready"]);
    prune(&it, NOTHING).await;

    client().post(it.callback_address()).send().await.unwrap();
    it.post(&format!("/reports/{report}/check"), json!({})).await;
    it.start_again().await;
    it.drain().await;

    assert!(it.questions() > 2 && it.kinds().await.is_empty());
    assert_eq!(it.number("select count(*) from downloads").await, 1);
}

#[tokio::test]
async fn a_failed_execution_is_told_once_even_when_its_event_has_gone() {
    let it = TestApp::start().await;
    it.registered().await;
    it.sandbox.world.fault(Fault::ExecutionFailed);
    it.after(UNTIL_FIRST_RUN).await;
    client().post(it.callback_address()).send().await.unwrap();
    it.drain().await;
    assert_eq!(it.kinds().await, ["report.failed"]);
    prune(&it, NOTHING).await;

    client().post(it.callback_address()).send().await.unwrap();
    it.drain().await;

    assert_eq!(told_again(&it, "report.failed").await, 0);
}

#[tokio::test]
async fn a_late_report_is_told_once_even_when_its_event_has_gone_and_recovers_all_the_same() {
    let it = TestApp::start().await;
    it.registered().await;
    it.sandbox.world.fault_times(Fault::ServerError, 100_000);
    it.after(UNTIL_FIRST_RUN + 3 * HOUR).await;
    let tell_late = || expectation::tell_late(&it.app.pool, &it.app.clock);
    assert_eq!(tell_late().await.unwrap(), 1);
    it.drain().await;
    prune(&it, NOTHING).await;
    assert!(it.kinds().await.is_empty());

    it.after(HOUR).await;
    assert_eq!(tell_late().await.unwrap(), 0);
    it.sandbox.world.clear_faults();
    it.after(600).await;
    it.drain().await;
    assert_eq!(told_again(&it, "report.recovered").await, 1);
    prune(&it, NOTHING).await;
    assert_eq!(tell_late().await.unwrap(), 0);
    it.drain().await;

    assert!(it.kinds().await.is_empty());
}

#[tokio::test]
async fn an_account_that_must_sign_in_is_told_once_even_when_its_event_has_gone() {
    let it = TestApp::start().await;
    let account = it.account().await;
    it.sandbox.world.fault_times(Fault::SignInRequired, 1000);
    it.report(&account).await;
    it.drain().await;
    assert_eq!(it.kinds().await, ["account.sign_in_required"]);
    prune(&it, NOTHING).await;

    it.after(10 * HOUR).await;
    it.drain().await;

    assert!(it.kinds().await.is_empty());
}

#[tokio::test]
async fn a_drift_is_told_once_even_when_its_event_has_gone() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    let theirs = json!({ "ReportName": "Theirs", "StartTime": "2026-01-05T12:21:00Z", "RecurrenceInterval": 24,
        "CallbackUrl": it.callback_address().as_str(), "CallbackMethod": "POST", "Format": "csv" });
    it.there("PUT", "", Some(theirs)).await;
    it.after(DAY).await;
    it.drain().await;
    assert_eq!(told_again(&it, "report.drifted").await, 1);
    prune(&it, NOTHING).await;

    for _ in 0..2 {
        it.after(DAY).await;
        it.drain().await;
    }

    assert_eq!(it.get(&format!("/reports/{report}/drift")).await["differences"][0]["theirs"], "Theirs");
    assert_eq!(told_again(&it, "report.drifted").await, 0);
}

#[tokio::test]
async fn a_sign_in_that_ends_is_told_twice_and_no_more_however_short_events_are_kept() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let ends = json!({ "client_secret_expires_at": "2026-02-04T08:15:15Z" });
    it.call("PATCH", &format!("/accounts/{account}"), Some(ends)).await;
    let mut told = 0;

    for _ in 0..35 {
        it.after(DAY).await;
        told += expiring::tell(&it.app.pool, &it.app.clock).await.unwrap();
        it.drain().await;
        prune(&it, Keep { events: *Keep::EVENTS.start(), ..NOTHING }).await;
    }

    assert_eq!(told, 2);
}

#[tokio::test]
async fn a_reader_who_lags_behind_what_was_removed_is_told_where_to_go_on() {
    let it = TestApp::start().await;
    let server = Server::answering(204).await;
    let subscription = subscribed(&it, &server).await;
    for _ in 0..3 {
        test_message(&it, &subscription).await;
        it.drain().await;
    }
    prune(&it, NOTHING).await;
    test_message(&it, &subscription).await;
    it.drain().await;

    let (status, gone) = it.call("GET", "/events?after=2", None).await;
    assert_eq!(
        (status, &gone["type"], &gone["first_seq"]),
        (410, &json!("urn:tidings:problem:events-removed"), &json!(4))
    );
    assert!(gone["detail"].as_str().unwrap().contains("after=3"), "{gone}");
    assert_eq!(it.list("/events?after=3").await[0]["seq"], 4);
    let stream = it.url.join("/api/v1/events/stream").unwrap();
    let stream = || client().get(stream.clone()).bearer_auth(ADMIN_KEY);
    assert_eq!(stream().header("last-event-id", "2").send().await.unwrap().status(), 410);
    assert_eq!(stream().header("last-event-id", "3").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn it_goes_on_where_a_stop_cut_it_off_one_replica_at_a_time_and_counts() {
    let it = TestApp::start().await;
    let old = "insert into callbacks (id, received_at, report_id, verdict, method, path, headers, body, body_escaped, body_cut)
        select ('01800000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, '2022-04-06', gen_random_uuid(), 'accepted',
            'POST', '', '{}', '', false, false from generate_series(1, 5000) as n";
    it.sql(old).await;
    let stopped = CancellationToken::new();
    stopped.cancel();
    telemetry::metrics();

    it.app.retention.run_once(&stopped).await.unwrap();
    assert_eq!(rows(&it).await[0], 3000);
    let other = alone(&it.app.pool, LOCK).await.unwrap();
    prune(&it, NOTHING).await;
    assert_eq!(rows(&it).await[0], 3000);
    drop(other);
    until("the lock ends with the connection that held it", || async {
        prune(&it, NOTHING).await;
        rows(&it).await[0] == 0
    })
    .await;

    assert!(telemetry::metrics().render().contains("tidings_pruned_total{table=\"callbacks\"}"));
}
