//! Clocks that jump by a day: nothing sleeps until the day is over, and nothing is told under two ids.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tidings::report::expectation;

use crate::support::app::{QUERY, TestApp};
use crate::support::scene::{DAY, UNTIL_FIRST_RUN, client};
use crate::support::server::Server;

const A_DAY: Duration = Duration::from_secs(DAY);

/// How much each step has to do now, of those that have anything.
async fn claimed(it: &TestApp) -> BTreeMap<&'static str, usize> {
    let counts = [
        ("sign_in", it.app.sign_ins.claim(9).await.unwrap().len()),
        ("register", it.app.register.claim(9).await.unwrap().len()),
        ("compare", it.app.compare.claim(9).await.unwrap().len()),
        ("discover", it.app.discover.claim(9).await.unwrap().len()),
        ("download", it.app.fetch.claim(9).await.unwrap().len()),
        ("deliver", it.app.deliver.claim(9).await.unwrap().len()),
    ];
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// Something to do for each step, and nothing done yet.
async fn work_for_each_step() -> TestApp {
    let it = TestApp::start().await;
    let report = it.registered().await;
    it.after(UNTIL_FIRST_RUN).await;
    for check in it.app.discover.claim(1).await.unwrap() {
        it.app.discover.perform(check).await.unwrap();
    }
    let account = it.get(&format!("/reports/{report}")).await["account_id"].as_str().unwrap().to_owned();
    let other = json!({ "account_id": account, "name": "Weekly usage", "query": QUERY, "interval_hours": 168 });
    it.post("/reports", other).await;
    it.post(&format!("/accounts/{account}/sign-in"), json!({})).await;
    it.after(6).await;
    let subscription = it.subscribe("webhook").await;
    it.post(&format!("/subscriptions/{}/test", subscription["id"].as_str().unwrap()), json!({})).await;
    it.app.fan_out.run_once().await.unwrap();
    it.start_again().await;
    it
}

fn each_step() -> BTreeMap<&'static str, usize> {
    ["sign_in", "register", "compare", "discover", "download", "deliver"].map(|step| (step, 1)).into()
}

#[tokio::test]
async fn a_claim_from_before_the_clock_was_set_back_has_run_out() {
    let it = work_for_each_step().await;
    assert_eq!(claimed(&it).await, each_step());
    assert_eq!(claimed(&it).await, BTreeMap::new());

    it.clock.set_back(A_DAY);

    // What is compared once a day may wait a day.
    let but_compare: BTreeMap<_, _> = each_step().into_iter().filter(|(step, _)| *step != "compare").collect();
    assert_eq!(claimed(&it).await, but_compare);
    assert_eq!(claimed(&it).await, BTreeMap::new());
}

#[tokio::test]
async fn a_claim_of_a_replica_whose_clock_is_a_little_ahead_holds() {
    let it = work_for_each_step().await;
    assert_eq!(claimed(&it).await, each_step());

    it.clock.set_back(Duration::from_secs(5));

    assert_eq!(claimed(&it).await, BTreeMap::new());
}

#[tokio::test]
async fn a_claim_has_run_out_when_the_clock_was_set_forward() {
    let it = work_for_each_step().await;
    assert_eq!(claimed(&it).await, each_step());

    it.clock.advance(Duration::from_secs(31));

    assert_eq!(claimed(&it).await, each_step());
}

#[tokio::test]
async fn what_waits_for_a_time_from_before_the_clock_was_set_back_waits_no_longer() {
    let it = work_for_each_step().await;
    for (table, due, seconds) in [
        ("sign_ins", "due_at", 120),
        ("reports", "settle_at", 3600),
        ("comparisons", "due_at", DAY),
        ("checks", "due_at", 6 * 3600),
        ("deliveries", "due_at", 10 * 3600),
    ] {
        let until = it.clock.now() + Duration::from_secs(seconds);
        it.sql(&format!("update {table} set {due} = '{until}' where {due} is not null")).await;
    }
    // A download exists once it was claimed; that claim is a day ahead in the end, too.
    assert_eq!(it.app.fetch.claim(1).await.unwrap().len(), 1);
    it.sql(&format!(
        "update downloads set lease_until = null, due_at = '{}'",
        it.clock.now() + Duration::from_hours(1)
    ))
    .await;
    it.sql(&format!("update accounts set blocked_until = '{}'", it.clock.now() + Duration::from_mins(59))).await;
    assert_eq!(claimed(&it).await, BTreeMap::new());

    it.clock.set_back(A_DAY);

    assert_eq!(claimed(&it).await, each_step());
}

#[tokio::test]
async fn a_run_that_was_expected_when_the_clock_was_set_back_is_asked_for_within_a_minute() {
    let it = TestApp::start().await;
    it.registered().await;
    client().post(it.callback_address()).send().await.unwrap();

    it.clock.set_back(A_DAY);
    it.drain().await;

    let questions = it.questions();
    let late = format!("select count(*) from checks where due_at > '{}'", it.clock.now() + Duration::from_mins(1));
    assert_eq!(it.number(&late).await, 0);
    it.after(61).await;
    it.drain().await;
    assert!(it.questions() > questions);
    // An hour is enough for what only might come.
    for _ in 0..40 {
        it.after(120).await;
        it.drain().await;
    }
    assert_eq!(it.number("select count(*) from checks where expected_since is not null").await, 0);
}

#[tokio::test]
async fn a_renewal_from_before_the_clock_was_set_back_is_not_waited_for() {
    let it = TestApp::start().await;
    let account = it.account().await;
    it.sql(&format!("update accounts set renewal_until = '{}'", it.clock.now() + Duration::from_secs(30))).await;

    it.clock.set_back(A_DAY);
    let renewed = it.app.sessions.refresh(account.parse().unwrap());

    tokio::time::timeout(Duration::from_secs(5), renewed).await.expect("no wait").unwrap();
}

#[tokio::test]
async fn jumps_in_the_middle_of_everything_tell_nothing_under_two_ids() {
    let it = TestApp::start().await;
    let endpoint = Server::answering(200).await;
    let subscription = json!({ "name": "all", "endpoint": { "channel": "webhook", "url": endpoint.url.as_str() } });
    it.post("/subscriptions", subscription).await;
    it.registered().await;
    it.after(UNTIL_FIRST_RUN).await;
    let address = it.callback_address();

    for round in 0..4 {
        client().post(address.clone()).send().await.unwrap();
        jump_between_claim_and_perform(&it, round % 2 == 0).await;
        expectation::tell_late(&it.app.pool, &it.clock).await.unwrap();
    }
    it.drain().await;
    it.sandbox.world.tick().await;
    client().post(address).send().await.unwrap();
    it.drain().await;

    let mut ids = BTreeMap::<String, BTreeSet<String>>::new();
    for taken in endpoint.taken() {
        let body: Value = serde_json::from_slice(&taken.body).unwrap();
        let fact = format!("{} {} {}", body["type"], body["data"]["execution"]["id"], body["data"]["expected_at"]);
        ids.entry(fact).or_default().insert(taken.header("webhook-id").to_owned());
    }
    assert!(ids.keys().any(|fact| fact.contains("report.ready")), "{ids:?}");
    assert!(ids.values().all(|ids| ids.len() == 1), "{ids:?}");
    let runs = it.sandbox.world.reports()[0].executions.len();
    let stored = it.kinds().await.into_iter().filter(|kind| kind == "report.ready").count();
    assert_eq!(stored, runs);
}

/// Each step claims, the clock jumps, somebody else claims the same, and both do it.
async fn jump_between_claim_and_perform(it: &TestApp, forward: bool) {
    let jump = || if forward { it.clock.advance(A_DAY) } else { it.clock.set_back(A_DAY) };
    let back = || if forward { it.clock.set_back(A_DAY) } else { it.clock.advance(A_DAY) };
    macro_rules! twice {
        ($step:expr) => {
            let first = $step.claim(9).await.unwrap();
            jump();
            let second = $step.claim(9).await.unwrap();
            for work in second.into_iter().chain(first) {
                // One of the two has lost its claim; that is told, and changes nothing.
                let _ = $step.perform(work).await;
            }
            back();
        };
    }
    twice!(it.app.discover);
    twice!(it.app.fetch);
    it.app.fan_out.run_once().await.unwrap();
    twice!(it.app.deliver);
}
