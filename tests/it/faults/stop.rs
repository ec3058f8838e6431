//! A clean end: what is in flight gets a little time, and what could not be finished is free for others at once.

use std::time::{Duration, Instant};

use serde_json::json;
use tidings::worker;
use tokio_util::sync::CancellationToken;

use crate::support::app::TestApp;
use crate::support::scene::{UNTIL_FIRST_RUN, client, until};
use crate::support::server::{Server, answer, hand_on};

#[tokio::test]
async fn what_a_stopping_service_could_not_finish_is_free_for_another_at_once() {
    let it = TestApp::start().await;
    let silent = Server::start(|_| async {
        std::future::pending::<()>().await;
        answer(200)
    })
    .await;
    let sandbox = it.sandbox.url();
    // Everything at the API is answered but the question for executions.
    let between = Server::start(move |taken| {
        let sandbox = sandbox.clone();
        async move {
            if taken.uri.path().contains("ScheduledReport/execution") {
                std::future::pending::<()>().await;
            }
            let (status, body) = hand_on(&sandbox, &taken).await;
            axum::http::Response::builder().status(status).body(body.into()).unwrap()
        }
    })
    .await;
    let endpoint = json!({ "channel": "webhook", "url": silent.url.as_str() });
    let subscription = it.post("/subscriptions", json!({ "name": "silent", "endpoint": endpoint })).await;
    it.post(&format!("/subscriptions/{}/test", subscription["id"].as_str().unwrap()), json!({})).await;
    let account = it.account_through(&between).await;
    it.report(&account).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(worker::run(it.app.clone(), stop.clone()));
    let asked = || between.taken().iter().any(|taken| taken.uri.path().contains("ScheduledReport/execution"));
    until("a check and a delivery are under way", || async { asked() && !silent.taken().is_empty() }).await;
    assert_eq!(it.app.discover.claim(9).await.unwrap().len() + it.app.deliver.claim(9).await.unwrap().len(), 0);

    let began = Instant::now();
    stop.cancel();
    running.await.unwrap();

    assert!(began.elapsed() < Duration::from_secs(17), "{:?}", began.elapsed());
    assert_eq!(it.app.discover.claim(9).await.unwrap().len(), 1, "the check");
    assert_eq!(it.app.deliver.claim(9).await.unwrap().len(), 1, "the delivery");
}

#[tokio::test]
async fn what_a_stopping_service_can_finish_it_finishes() {
    let it = TestApp::start().await;
    it.registered().await;
    it.after(UNTIL_FIRST_RUN).await;
    let stop = CancellationToken::new();
    let slow = Server::start(|_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        answer(200)
    })
    .await;
    let endpoint = json!({ "channel": "webhook", "url": slow.url.as_str() });
    it.post("/subscriptions", json!({ "name": "slow", "endpoint": endpoint })).await;
    client().post(it.callback_address()).send().await.unwrap();
    let running = tokio::spawn(worker::run(it.app.clone(), stop.clone()));
    until("a delivery is under way", || async { !slow.taken().is_empty() }).await;

    stop.cancel();
    running.await.unwrap();

    assert_eq!(it.number("select count(*) from deliveries where state = 'delivered'").await, 1);
    assert_eq!(slow.taken().len(), 1);
}
