//! What ends soon is told ahead of time, and what can be kept from ending is.

use serde_json::{Value, json};
use tidings::account::expiring;

use crate::support::app::TestApp;
use crate::support::scene::DAY;

impl TestApp {
    /// What was told of an end, oldest first: what ends, and in how many days.
    async fn told_to_end(&self) -> Vec<(String, i64)> {
        expiring::tell(&self.app.pool, &self.app.clock).await.unwrap();
        let events = self.list("/events?kind=account.sign_in_expiring").await;
        let told = |event: &Value| {
            assert_eq!(event["data"]["account"]["name"], "Contoso");
            (event["data"]["what"].as_str().unwrap().to_owned(), event["data"]["days"].as_i64().unwrap())
        };
        events.iter().rev().map(told).collect()
    }
}

#[tokio::test]
async fn the_end_of_a_client_secret_is_told_fourteen_and_three_days_before_once_each() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let secret = |days: i64| ("client_secret".to_owned(), days);
    let ends = json!({ "client_secret_expires_at": "2026-02-04T08:15:15Z" });
    let (status, shown) = it.call("PATCH", &format!("/accounts/{account}"), Some(ends)).await;
    assert_eq!((status, &shown["client_secret_expires_at"]), (200, &json!("2026-02-04T08:15:15Z")));

    it.after(15 * DAY).await;
    assert_eq!(it.told_to_end().await, []);
    it.after(DAY).await;
    assert_eq!(it.told_to_end().await, [secret(14)]);
    it.after(DAY).await;
    assert_eq!(it.told_to_end().await, [secret(14)]);
    it.after(10 * DAY).await;
    assert_eq!(it.told_to_end().await, [secret(14), secret(3)]);
    it.after(3 * DAY).await;
    assert_eq!(it.told_to_end().await.len(), 2);

    let renewed = json!({ "client_secret_expires_at": "2026-02-05T08:15:15Z" });
    it.call("PATCH", &format!("/accounts/{account}"), Some(renewed)).await;
    assert_eq!(it.told_to_end().await, [secret(14), secret(3), secret(1)]);
}

#[tokio::test]
async fn a_refresh_token_that_lies_idle_is_told_of_unless_a_person_must_sign_in_anyway() {
    let it = TestApp::start().await;
    let account = it.account().await;
    it.post(&format!("/accounts/{account}/verify"), json!({})).await;
    assert_eq!(it.get(&format!("/accounts/{account}")).await["refreshed_at"], "2026-01-05T08:15:15Z");

    it.after(75 * DAY).await;
    assert_eq!(it.told_to_end().await, []);
    it.after(DAY).await;
    assert_eq!(it.told_to_end().await, [("refresh_token".to_owned(), 14)]);

    it.sql("update accounts set state = 'sign_in_required', sign_in_since = created_at").await;
    it.after(12 * DAY).await;
    assert_eq!(it.told_to_end().await.len(), 1);
}

#[tokio::test]
async fn a_sign_in_that_nothing_uses_is_renewed_within_a_week_and_never_ends() {
    let it = TestApp::with(|settings| settings.strict_refresh = true).await;
    let account = it.account().await;
    let keep_fresh = || async { it.app.sessions.keep_fresh().await.unwrap() };
    assert_eq!([keep_fresh().await, keep_fresh().await], [1, 0]);

    for _ in 0..20 {
        it.after(7 * DAY).await;
        assert_eq!(keep_fresh().await, 1);
    }

    assert_eq!(it.sandbox.world.counts().token_requests, 21);
    assert_eq!(it.told_to_end().await, []);
    assert_eq!(it.post(&format!("/accounts/{account}/verify"), json!({})).await["ok"], true);
}

#[tokio::test]
async fn a_subscriber_is_told_in_words_what_ends_and_when() {
    let it = TestApp::start().await;
    it.subscribe("slack").await;
    let account = it.account().await;
    let ends = json!({ "client_secret_expires_at": "2026-01-08T08:15:15Z" });
    it.call("PATCH", &format!("/accounts/{account}"), Some(ends)).await;

    it.told_to_end().await;
    it.drain().await;

    let caught = it.sandbox.world.caught();
    let told = format!("{caught:?}");
    assert!(told.contains("The client secret of Contoso ends in 3 days"), "{told}");
    assert!(told.contains("2026-01-08T08:15:15Z"), "{told}");
}
