//! Notifications: who is told what, once each, whatever the endpoints do.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use serde_json::{Value, json};
use tidings::app::App;
use tidings::clock::Clock;
use tidings::sandbox::world::CaughtKind;
use tidings::wake::Topic;
use tidings::worker;
use tokio_util::sync::CancellationToken;

use crate::support::app::{QUERY, TestApp};
use crate::support::scene::{client, until};
use crate::support::server::{Server, answer};

/// A webhook subscription at `server` with these terms beside.
async fn webhook(it: &TestApp, server: &Server, mut terms: Value) -> Value {
    let url = server.url.join("/hook/s3cret-path").unwrap();
    terms["endpoint"] = json!({ "channel": "webhook", "url": url.as_str() });
    if terms["name"].is_null() {
        terms["name"] = "hook".into();
    }
    it.post("/subscriptions", terms).await
}

fn id(of: &Value) -> String {
    of["id"].as_str().unwrap().to_owned()
}

/// A message to one subscription, sent as far as it gets at once.
async fn send_test(it: &TestApp, subscription: &Value) {
    it.post(&format!("/subscriptions/{}/test", id(subscription)), json!({})).await;
    it.drain().await;
}

async fn deliveries(it: &TestApp, subscription: &Value) -> Vec<Value> {
    it.list(&format!("/deliveries?subscription_id={}", id(subscription))).await
}

fn kinds(server: &Server) -> Vec<String> {
    let kind = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap()["type"].as_str().unwrap().to_owned();
    server.taken().iter().map(|taken| kind(&taken.body)).collect()
}

/// A server that answers these statuses in turn, the last one for ever; each with a `Retry-After` where one is given.
async fn answering_in_turn(answers: &'static [(u16, Option<&'static str>)]) -> Server {
    let turn = Arc::new(AtomicUsize::new(0));
    Server::start(move |_| {
        let (status, after) = answers[turn.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
        async move {
            let mut response = answer(status);
            if let Some(after) = after {
                response.headers_mut().insert("retry-after", after.parse().unwrap());
            }
            response
        }
    })
    .await
}

#[tokio::test]
async fn each_subscription_is_told_what_it_asked_for_and_nothing_else() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    let server = Server::answering(204).await;
    let account = it.get(&format!("/reports/{report}")).await["account_id"].clone();
    let later = json!({
        "account_id": account, "name": "Later", "query": QUERY, "interval_hours": 24, "start_at": "2026-02-01T00:00:00Z",
    });
    let other = it.post("/reports", later).await["id"].clone();
    let cases = [
        (json!({}), 1),
        (json!({ "events": ["report.ready"] }), 1),
        (json!({ "events": ["report.failed", "account.sign_in_required"] }), 0),
        (json!({ "report_ids": [report] }), 1),
        (json!({ "report_ids": [other] }), 0),
        (json!({ "report_ids": [report], "events": ["report.failed"] }), 0),
    ];
    let mut subscriptions = Vec::new();
    for (terms, _) in &cases {
        subscriptions.push(webhook(&it, &server, terms.clone()).await);
    }
    it.after(crate::support::scene::UNTIL_FIRST_RUN).await;
    it.drain().await;

    for (subscription, (terms, expected)) in subscriptions.iter().zip(&cases) {
        assert_eq!(deliveries(&it, subscription).await.len(), *expected, "{terms}");
    }
    assert_eq!(kinds(&server), ["report.ready"; 3]);
}

#[tokio::test]
async fn chosen_reports_leave_out_what_is_about_no_report_unless_it_is_named() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    let server = Server::answering(204).await;
    let narrowed = webhook(&it, &server, json!({ "report_ids": [report] })).await;
    let named = webhook(&it, &server, json!({ "report_ids": [report], "events": ["account.sign_in_required"] })).await;
    it.sandbox.world.fault(tidings::sandbox::Fault::SignInRequired);

    it.after(6 * 3600).await;
    it.drain().await;

    assert_eq!(it.kinds().await, ["account.sign_in_required"]);
    assert_eq!((deliveries(&it, &narrowed).await.len(), deliveries(&it, &named).await.len()), (0, 1));
}

#[tokio::test]
async fn a_test_goes_to_its_own_subscription_only_whatever_that_asked_for() {
    let it = TestApp::start().await;
    let (mine, others) = (Server::answering(200).await, Server::answering(200).await);
    let tested = webhook(&it, &mine, json!({ "events": ["report.late"] })).await;
    webhook(&it, &others, json!({})).await;

    send_test(&it, &tested).await;

    assert_eq!((kinds(&mine), kinds(&others).len()), (vec!["subscription.test".to_owned()], 0));
}

#[tokio::test]
async fn what_matches_a_paused_subscription_is_cancelled_and_a_suspended_one_failed_each_with_its_reason() {
    let it = TestApp::start().await;
    let server = answering_in_turn(&[(410, None), (200, None)]).await;
    let suspended = webhook(&it, &server, json!({ "name": "suspended" })).await;
    send_test(&it, &suspended).await;
    let paused = webhook(&it, &server, json!({ "name": "paused" })).await;
    it.post(&format!("/subscriptions/{}/pause", id(&paused)), json!({})).await;

    it.told().await;

    let of_paused = deliveries(&it, &paused).await;
    assert_eq!((&of_paused[0]["state"], of_paused.len()), (&json!("cancelled"), 1));
    assert_eq!(of_paused[0]["reason"], "the subscription was paused");
    let of_suspended = deliveries(&it, &suspended).await;
    assert_eq!((&of_suspended[0]["state"], of_suspended.len()), (&json!("failed"), 2));
    assert_eq!(of_suspended[0]["reason"], "the subscription was suspended");
    assert_eq!(server.taken().len(), 1);

    it.post(&format!("/subscriptions/{}/resume", id(&suspended)), json!({})).await;
    it.post("/deliveries/resend", json!({ "subscription_id": id(&suspended) })).await;
    it.drain().await;
    assert!(deliveries(&it, &suspended).await.iter().all(|delivery| delivery["state"] == "delivered"));
}

#[tokio::test]
async fn a_webhook_is_verified_by_the_secret_that_was_shown_once() {
    let it = TestApp::with(|settings| settings.refresh_idle = Duration::from_hours(24 * 36_500)).await;
    let server = Server::answering(200).await;
    let made = webhook(&it, &server, json!({})).await;
    let secret = made["secret"].as_str().unwrap();
    let shown = it.get(&format!("/subscriptions/{}", id(&made))).await;

    it.registered().await;
    // The verifier goes by the real time.
    let past = (Clock::system().now() - it.clock.now()).to_std().unwrap();
    it.clock.advance(past);
    // The sandbox catches up with a hundred runs at a time.
    for _ in 0..=past.as_secs() / (100 * 24 * 3600) {
        it.sandbox.world.tick().await;
    }
    it.drain().await;

    assert!(shown.get("secret").is_none());
    let call = server.taken().remove(0);
    let verifier = standardwebhooks::Webhook::new(secret).unwrap();
    verifier.verify(&call.body, &call.headers).unwrap();
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(body["type"], "report.ready");
    assert_eq!(body["data"]["report"]["name"], "Daily usage");
    let file = client().get(body["data"]["file"]["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(file.status(), 200);
}

#[tokio::test]
async fn a_failed_attempt_is_repeated_after_its_wait_under_the_same_id() {
    let it = TestApp::start().await;
    let server = answering_in_turn(&[(500, None), (500, None), (200, None)]).await;
    let made = webhook(&it, &server, json!({})).await;
    send_test(&it, &made).await;
    assert_eq!(server.taken().len(), 1);
    it.clock.advance(Duration::from_secs(3));
    it.drain().await;
    assert_eq!(server.taken().len(), 1);

    for seconds in [2, 30] {
        it.clock.advance(Duration::from_secs(seconds));
        it.drain().await;
    }

    let ids: Vec<String> = server.taken().iter().map(|taken| taken.header("webhook-id").to_owned()).collect();
    let delivery = &deliveries(&it, &made).await[0];
    assert_eq!(ids, [id(delivery), id(delivery), id(delivery)]);
    assert_eq!((&delivery["state"], &delivery["tries"]), (&json!("delivered"), &json!(3)));
    let attempts = it.get(&format!("/deliveries/{}", id(delivery))).await["attempts"].clone();
    let seen: Vec<_> = attempts.as_array().unwrap().iter().map(|one| (&one["outcome"], &one["status"])).collect();
    assert_eq!(
        seen,
        [(&json!("retry"), &json!(500)), (&json!("retry"), &json!(500)), (&json!("delivered"), &json!(200))]
    );
}

#[tokio::test]
async fn a_retry_after_replaces_the_wait_be_it_shorter_or_longer() {
    let it = TestApp::start().await;
    let server = answering_in_turn(&[(503, Some("120")), (429, Some("1")), (200, None)]).await;
    let made = webhook(&it, &server, json!({})).await;
    send_test(&it, &made).await;

    for (wait, calls) in [(119, 1), (1, 2), (1, 3)] {
        it.clock.advance(Duration::from_secs(wait));
        it.drain().await;
        assert_eq!(server.taken().len(), calls);
    }
    assert_eq!(deliveries(&it, &made).await[0]["state"], "delivered");
}

#[tokio::test]
async fn an_endpoint_that_is_gone_suspends_its_subscription_and_the_others_are_told() {
    let it = TestApp::start().await;
    let (gone, fine) = (Server::answering(410).await, Server::answering(200).await);
    let made = webhook(&it, &gone, json!({ "name": "gone" })).await;
    webhook(&it, &fine, json!({ "events": ["subscription.suspended"] })).await;

    send_test(&it, &made).await;

    let shown = it.get(&format!("/subscriptions/{}", id(&made))).await;
    assert_eq!(shown["state"], "suspended");
    assert!(shown["last_failure"].as_str().unwrap().contains("410"), "{shown}");
    assert_eq!(deliveries(&it, &made).await[0]["state"], "failed");
    assert_eq!((kinds(&fine), gone.taken().len()), (vec!["subscription.suspended".to_owned()], 1));
}

#[tokio::test]
async fn a_resend_opens_the_same_delivery_again() {
    let it = TestApp::start().await;
    let server = Server::answering(200).await;
    let made = webhook(&it, &server, json!({})).await;
    send_test(&it, &made).await;
    let delivery = deliveries(&it, &made).await.remove(0);

    let reopened = it.post(&format!("/deliveries/{}/resend", id(&delivery)), json!({})).await;
    assert_eq!((&reopened["id"], &reopened["state"]), (&delivery["id"], &json!("pending")));
    it.drain().await;

    let after = it.get(&format!("/deliveries/{}", id(&delivery))).await;
    let triggers: Vec<&str> =
        after["attempts"].as_array().unwrap().iter().map(|one| one["trigger"].as_str().unwrap()).collect();
    assert_eq!((&after["state"], triggers), (&json!("delivered"), vec!["schedule", "resend"]));
    let ids: Vec<String> = server.taken().iter().map(|taken| taken.header("webhook-id").to_owned()).collect();
    assert_eq!(ids, [id(&delivery), id(&delivery)]);
    assert_eq!(deliveries(&it, &made).await.len(), 1);
}

#[tokio::test]
async fn a_resend_of_a_pending_delivery_means_now() {
    let it = TestApp::start().await;
    let server = answering_in_turn(&[(503, Some("3600")), (200, None)]).await;
    let made = webhook(&it, &server, json!({})).await;
    send_test(&it, &made).await;
    let delivery = deliveries(&it, &made).await.remove(0);

    it.post(&format!("/deliveries/{}/resend", id(&delivery)), json!({})).await;
    it.drain().await;

    assert_eq!(deliveries(&it, &made).await[0]["state"], "delivered");
}

#[tokio::test]
async fn a_send_whose_outcome_was_not_recorded_is_repeated_under_the_same_id() {
    let it = TestApp::start().await;
    let first = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |_| {
        let is_first = first.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if is_first {
                std::future::pending::<()>().await;
            }
            answer(200)
        }
    })
    .await;
    let made = webhook(&it, &server, json!({})).await;
    it.post(&format!("/subscriptions/{}/test", id(&made)), json!({})).await;
    it.app.fan_out.run_once().await.unwrap();
    let claim = it.app.deliver.claim(1).await.unwrap().remove(0);
    let deliver = it.app.deliver.clone();
    let killed = tokio::spawn(async move { deliver.perform(claim).await });
    until("the endpoint was called", || async { !server.taken().is_empty() }).await;
    killed.abort();
    assert!(killed.await.unwrap_err().is_cancelled());

    it.drain().await;
    assert_eq!(server.taken().len(), 1);
    it.clock.advance(Duration::from_secs(31));
    it.drain().await;

    let taken = server.taken();
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0].header("webhook-id"), taken[1].header("webhook-id"));
    let delivery = &deliveries(&it, &made).await[0];
    assert_eq!((&delivery["state"], &delivery["tries"]), (&json!("delivered"), &json!(1)));
}

#[tokio::test]
async fn an_event_of_a_kind_we_do_not_know_holds_up_no_other() {
    let it = TestApp::start().await;
    let server = Server::answering(200).await;
    let made = webhook(&it, &server, json!({})).await;
    it.sql(
        "insert into events (id, kind, key, occurred_at, data)
         values ('019b9341-2a00-716e-9d4f-8cd9207147fc', 'report.from_the_future', 'new', '2026-01-05T08:00:00Z', '{}')",
    )
    .await;

    send_test(&it, &made).await;

    assert_eq!(kinds(&server), ["subscription.test"]);
    let unknown = &it.list(&format!("/deliveries?subscription_id={}&state=pending", id(&made))).await[0];
    assert_eq!(unknown["event_kind"], "report.from_the_future");
    assert!(unknown["reason"].as_str().unwrap().contains("unknown kind"), "{unknown}");
}

#[tokio::test]
async fn many_events_for_many_subscriptions_are_handed_out_a_few_thousand_at_a_time() {
    let it = TestApp::start().await;
    let server = Server::answering(200).await;
    webhook(&it, &server, json!({})).await;
    it.sql(
        "insert into subscriptions (id, name, channel, endpoint, endpoint_shown, endpoint_print, secret, created_at,
             updated_at)
         select gen_random_uuid(), name, channel, endpoint, endpoint_shown, endpoint_print, secret, created_at, updated_at
         from subscriptions, generate_series(2, 60)",
    )
    .await;
    it.sql(
        "insert into events (id, kind, key, occurred_at, data)
         select gen_random_uuid(), 'report.ready', number::text, '2026-01-05T08:00:00Z', '{}'
         from generate_series(1, 100) as number",
    )
    .await;

    let mut taken = Vec::new();
    while taken.last() != Some(&0) {
        taken.push(it.app.fan_out.run_once().await.unwrap());
    }

    assert_eq!(taken, [83, 17, 0]);
    assert_eq!(it.number("select count(*) from deliveries").await, 6000);
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_opened_is_an_attempt_of_ours_that_waits_and_finally_fails() {
    let it = TestApp::start().await;
    let server = Server::answering(200).await;
    let made = webhook(&it, &server, json!({})).await;
    it.sql("update subscriptions set endpoint = '\\x00'").await;

    send_test(&it, &made).await;

    let waiting = deliveries(&it, &made).await.remove(0);
    assert_eq!((&waiting["state"], &waiting["tries"]), (&json!("pending"), &json!(1)));
    let attempts = it.get(&format!("/deliveries/{}", id(&waiting))).await["attempts"].clone();
    assert_eq!((&attempts[0]["outcome"], attempts.as_array().unwrap().len()), (&json!("ours"), 1));
    it.clock.advance(Duration::from_secs(3 * 24 * 3600));
    it.drain().await;
    assert_eq!(deliveries(&it, &made).await[0]["state"], "failed");
    assert!(server.taken().is_empty());
}

#[tokio::test]
async fn an_outcome_is_held_while_the_database_does_not_take_it() {
    let it = TestApp::start().await;
    let server = Server::answering(200).await;
    let made = webhook(&it, &server, json!({})).await;
    it.post(&format!("/subscriptions/{}/test", id(&made)), json!({})).await;
    it.app.fan_out.run_once().await.unwrap();
    let claim = it.app.deliver.claim(1).await.unwrap().remove(0);
    it.sql("alter table attempts rename to hidden").await;

    let mut performed = pin!(it.app.deliver.perform(claim));
    let gave_up = tokio::time::timeout(Duration::from_millis(500), &mut performed).await;
    assert!(gave_up.is_err() && !server.taken().is_empty(), "{gave_up:?}");
    it.sql("alter table hidden rename to attempts").await;

    performed.await.unwrap();
    it.clock.advance(Duration::from_secs(31));
    it.drain().await;
    let delivery = &deliveries(&it, &made).await[0];
    assert_eq!((&delivery["state"], &delivery["tries"]), (&json!("delivered"), &json!(1)));
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
async fn an_old_address_that_is_gone_does_not_suspend_a_subscription_that_has_a_new_one() {
    let it = TestApp::start().await;
    let changed = CancellationToken::new();
    let seen = changed.clone();
    let old = Server::start(move |_| {
        let seen = seen.clone();
        async move {
            seen.cancelled().await;
            answer(410)
        }
    })
    .await;
    let made = webhook(&it, &old, json!({})).await;
    let path = format!("/subscriptions/{}", id(&made));
    let new = json!({ "endpoint": { "url": old.url.join("/another").unwrap().as_str() } });

    let change = async {
        until("the old address was called", || async { !old.taken().is_empty() }).await;
        let (status, answer) = it.call("PATCH", &path, Some(new)).await;
        assert_eq!(status, 200, "{answer}");
        changed.cancel();
    };
    tokio::join!(send_test(&it, &made), change);

    assert_eq!(it.get(&path).await["state"], "active");
    assert_eq!(deliveries(&it, &made).await[0]["state"], "failed");
}

#[tokio::test]
async fn all_mails_are_one_lane_beside_the_webhooks() {
    let it = TestApp::start().await;
    let server = Server::answering(200).await;
    let hook = webhook(&it, &server, json!({})).await;
    let mut made = vec![hook];
    for person in ["ann", "ben", "cid"] {
        let endpoint = json!({ "channel": "email", "to": format!("{person}@example.com") });
        made.push(it.post("/subscriptions", json!({ "name": person, "endpoint": endpoint })).await);
    }
    for subscription in made.iter().cycle().take(8) {
        it.post(&format!("/subscriptions/{}/test", id(subscription)), json!({})).await;
    }
    it.app.fan_out.run_once().await.unwrap();

    let claimed = it.app.deliver.claim(64).await.unwrap();

    let hooks = claimed.iter().filter(|claim| claim.subscription_id.to_string() == id(&made[0])).count();
    assert_eq!((hooks, claimed.len() - hooks), (2, 4));
}

/// Runs the worker until dropped.
fn run_worker(app: &App) -> tokio_util::sync::DropGuard {
    let stop = CancellationToken::new();
    tokio::spawn(worker::run(app.clone(), stop.clone()));
    stop.drop_guard()
}

#[tokio::test]
async fn what_cannot_be_told_late_is_not_taken_for_a_database_that_was_away() {
    let it = TestApp::start().await;
    it.sql("create table looks (at timestamptz)").await;
    it.sql(
        "create function look() returns trigger language plpgsql as
         $$ begin insert into looks values (clock_timestamp()); return null; end $$",
    )
    .await;
    it.sql("create trigger look after update of expected_since on checks for each statement execute function look()")
        .await;
    it.sql("create sequence refusals").await;
    it.sql(
        "create function refuse() returns trigger language plpgsql as
         $$ begin perform nextval('refusals'); raise exception 'a bad row'; end $$",
    )
    .await;
    it.sql("create trigger refuse before update of late_since on reports for each statement execute function refuse()")
        .await;
    it.sql("insert into sign_in_links values ('\\x00', '2026-01-01T00:00:00Z')").await;

    let _worker = run_worker(&it.app);

    until("the rest was done", || async { it.number("select count(*) from sign_in_links").await == 0 }).await;
    // A sequence keeps its value though the transaction was refused.
    until("it was refused", || async { it.number("select count(*) from refusals where is_called").await == 1 }).await;
    assert_eq!(it.number("select count(*) from looks").await, 1);
}

#[tokio::test]
async fn a_heap_for_one_slow_endpoint_delays_no_other() {
    let it = TestApp::start().await;
    let slow = Server::start(|_| std::future::pending::<Response<Body>>()).await;
    let fast = Server::answering(200).await;
    // Two subscriptions of one address are one endpoint.
    let heaps = [webhook(&it, &slow, json!({})).await, webhook(&it, &slow, json!({})).await];
    let quick = webhook(&it, &fast, json!({})).await;
    for _ in 0..100 {
        for heap in &heaps {
            it.post(&format!("/subscriptions/{}/test", id(heap)), json!({})).await;
        }
    }
    let _worker = run_worker(&it.app);
    until("all are handed out", || async { it.number("select count(*) from deliveries").await == 200 }).await;
    // As many hints as it takes to fill every place, if nothing holds the heap back.
    for _ in 0..40 {
        it.app.wake.hint(Topic::Deliveries);
        tokio::time::sleep(Duration::from_millis(25)).await;
    }

    it.post(&format!("/subscriptions/{}/test", id(&quick)), json!({})).await;

    let told = async { until("the other is told", || async { !fast.taken().is_empty() }).await };
    tokio::time::timeout(Duration::from_secs(3), told).await.unwrap();
    let busy = slow.taken().len();
    assert!((4..=24).contains(&busy), "{busy} at once");
}

#[tokio::test]
async fn whoever_unsubscribes_is_asked_first_and_then_told_no_more() {
    let it = TestApp::start().await;
    let mail = it.subscribe("email").await;
    it.told().await;
    let caught = it.sandbox.world.caught();
    let CaughtKind::Mail(sent) = &caught[0].what else { panic!("{caught:?}") };
    let header = |wanted: &str| {
        let found = sent.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.replace(['\r', '\n', ' ', '\t'], "")).unwrap()
    };
    assert_eq!(header("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    let listed = header("List-Unsubscribe");
    let url = listed.split(['<', '>']).find(|part| part.starts_with("http")).unwrap().to_owned();
    let state = || async { it.get(&format!("/subscriptions/{}", id(&mail))).await["state"].clone() };

    assert_eq!(client().get(&url).send().await.unwrap().status(), 200);
    assert_eq!(state().await, "active");
    let forged = url.replace("/unsubscribe/", "/unsubscribe/A");
    assert_eq!(client().post(forged).send().await.unwrap().status(), 404);
    assert_eq!(state().await, "active");
    let ended = client().post(&url).body("List-Unsubscribe=One-Click").send().await.unwrap();
    assert_eq!((ended.status().as_u16(), state().await), (200, json!("paused")));
}

#[tokio::test]
async fn a_removed_subscription_is_told_nothing_more_and_its_past_stays_readable() {
    let it = TestApp::start().await;
    let server = answering_in_turn(&[(500, None), (200, None)]).await;
    let made = webhook(&it, &server, json!({})).await;
    send_test(&it, &made).await;

    let (status, _) = it.call("DELETE", &format!("/subscriptions/{}", id(&made)), None).await;
    it.clock.advance(Duration::from_secs(60));
    it.drain().await;

    let delivery = deliveries(&it, &made).await.remove(0);
    assert_eq!((status, server.taken().len(), &delivery["state"]), (204, 1, &json!("cancelled")));
    let resend = format!("/deliveries/{}/resend", id(&delivery));
    assert_eq!(it.call("POST", &resend, None).await.0, 409);
}
