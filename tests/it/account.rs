//! Accounts: tokens are renewed without losing the rotated one, and an account that must wait waits as a whole.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tidings::sandbox::Fault;

use crate::support::app::TestApp;
use crate::support::scene::{HOUR, UNTIL_FIRST_RUN, client};
use crate::support::server::{Server, answer, hand_on};

#[tokio::test]
async fn each_sign_in_uses_the_refresh_token_that_the_one_before_brought() {
    let it = TestApp::start().await;
    let brought = Arc::<Mutex<Vec<String>>>::default();
    let kept = brought.clone();
    let between = Server::before(it.sandbox.url(), move |taken, answer| {
        if taken.signs_in() {
            let token: Value = serde_json::from_slice(&answer.1).unwrap();
            kept.lock().unwrap().push(token["refresh_token"].as_str().unwrap().to_owned());
        }
        answer
    })
    .await;
    let account = it.account_through(&between).await;

    for _ in 0..3 {
        assert_eq!(it.post(&format!("/accounts/{account}/verify"), json!({})).await["ok"], true);
        it.clock.advance(Duration::from_secs(HOUR));
    }

    let used: Vec<String> = between
        .taken()
        .iter()
        .filter(|taken| taken.signs_in())
        .map(|taken| taken.field("refresh_token").unwrap())
        .collect();
    assert_eq!(used[0], it.sandbox.world.settings().refresh_token.expose());
    assert_eq!(used[1..], brought.lock().unwrap()[..2]);
    assert_ne!(used[1], used[2]);
}

#[tokio::test]
async fn the_rotated_refresh_token_is_kept_before_the_access_token_is_used() {
    let it = TestApp::start().await;
    let (pool, sandbox) = (it.database.pool.clone(), it.sandbox.url());
    let kept_at_first_use = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let seen = kept_at_first_use.clone();
    let between = Server::start(move |taken| {
        let (pool, sandbox, seen) = (pool.clone(), sandbox.clone(), seen.clone());
        async move {
            if taken.signs_in() {
                let (status, body) = hand_on(&sandbox, &taken).await;
                return axum::http::Response::builder().status(status).body(body.into()).unwrap();
            }
            let kept = sqlx::query_scalar("select refresh_token from accounts").fetch_one(&pool).await.unwrap();
            seen.lock().unwrap().push(kept);
            answer(500)
        }
    })
    .await;
    let account = it.account_through(&between).await;
    let given: Vec<u8> =
        sqlx::query_scalar("select refresh_token from accounts").fetch_one(&it.database.pool).await.unwrap();

    it.post(&format!("/accounts/{account}/verify"), json!({})).await;

    let kept = kept_at_first_use.lock().unwrap().clone();
    assert_eq!(kept.len(), 1);
    assert_ne!(kept[0], given);
}

#[tokio::test]
async fn a_token_that_is_refused_once_is_renewed_once_and_the_story_goes_on() {
    let it = TestApp::start().await;
    it.sandbox.world.fault(Fault::TokenRefused);

    it.registered().await;

    assert_eq!(it.sandbox.world.counts().token_requests, 2);
}

#[tokio::test]
async fn an_account_that_must_sign_in_is_told_once_and_left_alone_until_it_gets_a_new_credential() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let report = it.report(&account).await;
    it.sandbox.world.fault_times(Fault::SignInRequired, 1000);
    it.drain().await;
    it.after(10 * HOUR).await;
    it.drain().await;

    let shown = it.get(&format!("/accounts/{account}")).await;
    assert_eq!(shown["state"], "sign_in_required");
    assert!(shown["last_failure"].as_str().unwrap().contains("multi-factor"), "{shown}");
    assert_eq!(it.kinds().await, ["account.sign_in_required"]);
    assert_eq!((it.sandbox.world.counts().token_requests, it.sandbox.world.counts().api_requests), (1, 0));

    it.sandbox.world.clear_faults();
    let change = json!({ "refresh_token": another_refresh_token(&it).await });
    let (_, shown) = it.call("PATCH", &format!("/accounts/{account}"), Some(change)).await;
    assert_eq!((&shown["state"], &shown["sign_in_since"]), (&json!("active"), &Value::Null));
    it.drain().await;
    assert_eq!(it.get(&format!("/reports/{report}")).await["state"], "registered");
}

#[tokio::test]
async fn a_throttled_account_is_not_asked_before_its_retry_after_is_over() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let report = it.report(&account).await;
    it.sandbox.world.fault(Fault::Throttled);
    it.drain().await;
    let asked = it.sandbox.world.counts().api_requests;
    let other =
        json!({ "account_id": account, "name": "Other", "query": crate::support::app::QUERY, "interval_hours": 24 });
    it.post("/reports", other).await;

    it.after(1).await;
    it.drain().await;
    assert_eq!(it.sandbox.world.counts().api_requests, asked);
    assert!(it.get(&format!("/accounts/{account}")).await["blocked_until"].is_string());

    it.after(2).await;
    it.drain().await;
    assert_eq!(it.get(&format!("/reports/{report}")).await["state"], "registered");
    assert_eq!(it.sandbox.world.reports().len(), 2);
}

#[tokio::test]
async fn the_same_credential_again_does_not_bring_back_the_old_refresh_token() {
    let it = TestApp::start().await;
    let between = Server::before(it.sandbox.url(), |_, answer| answer).await;
    let account = it.account_through(&between).await;
    it.post(&format!("/accounts/{account}/verify"), json!({})).await;

    let first = it.sandbox.world.settings().refresh_token.expose().to_owned();
    let again = json!({ "refresh_token": first, "name": "Contoso again" });
    let (status, _) = it.call("PATCH", &format!("/accounts/{account}"), Some(again)).await;
    it.post(&format!("/accounts/{account}/verify"), json!({})).await;

    assert_eq!(status, 200);
    let sign_ins: Vec<_> = between.taken().into_iter().filter(super::support::server::Taken::signs_in).collect();
    assert_eq!(sign_ins.len(), 2);
    assert_ne!(sign_ins[1].field("refresh_token").unwrap(), first);
}

#[tokio::test]
async fn a_renewal_that_ends_after_a_new_credential_was_given_does_not_replace_it() {
    let it = TestApp::start().await;
    let fresh = another_refresh_token(&it).await;
    let (service, sandbox) = (it.url.clone(), it.sandbox.url());
    let account_id = Arc::<Mutex<String>>::default();
    let (id, given) = (account_id.clone(), fresh.clone());
    let between = Server::start(move |taken| {
        let (service, sandbox, given, id) =
            (service.clone(), sandbox.clone(), given.clone(), id.lock().unwrap().clone());
        async move {
            let (status, body) = hand_on(&sandbox, &taken).await;
            if taken.signs_in() && taken.field("refresh_token").as_ref() != Some(&given) {
                let url = service.join(&format!("/api/v1/accounts/{id}")).unwrap();
                let change = client().patch(url).bearer_auth(crate::support::app::ADMIN_KEY);
                change.json(&json!({ "refresh_token": given })).send().await.unwrap();
            }
            axum::http::Response::builder().status(status).body(body.into()).unwrap()
        }
    })
    .await;
    let account = it.account_through(&between).await;
    account_id.lock().unwrap().clone_from(&account);

    it.call("POST", &format!("/accounts/{account}/verify"), None).await;
    it.clock.advance(Duration::from_secs(HOUR));
    it.call("POST", &format!("/accounts/{account}/verify"), None).await;

    let last = between.taken().into_iter().rfind(super::support::server::Taken::signs_in).unwrap();
    assert_eq!(last.field("refresh_token"), Some(fresh));
}

#[tokio::test]
async fn no_answer_of_the_api_holds_a_secret() {
    let it = TestApp::start().await;
    let webhook = it.subscribe("webhook").await;
    it.subscribe("slack").await;
    let report = it.registered().await;
    let address = it.callback_address();
    it.after(UNTIL_FIRST_RUN).await;
    it.drain().await;

    let settings = it.sandbox.world.settings().clone();
    let token = address.path().rsplit('/').next().unwrap().to_owned();
    let secrets = [
        settings.client_secret.expose(),
        settings.refresh_token.expose(),
        webhook["secret"].as_str().unwrap(),
        "s3cret-hook",
        &token,
        "sig=",
    ];
    for list in ["accounts", "reports", "callbacks", "executions", "files", "events", "subscriptions", "deliveries"] {
        let items = it.list(&format!("/{list}")).await;
        assert!(!items.is_empty(), "{list}");
        let mut shown = json!(items).to_string();
        if list != "events" {
            let one = it.get(&format!("/{list}/{}", items[0]["id"].as_str().unwrap())).await;
            shown.push_str(&one.to_string());
        }
        for secret in secrets {
            assert!(!shown.contains(secret), "{list} shows {secret}: {shown}");
        }
    }
    assert!(!report.is_empty());
}

/// A refresh token as a person gets one who signs in again.
async fn another_refresh_token(it: &TestApp) -> String {
    let settings = it.sandbox.world.settings();
    let form = [
        ("grant_type", "refresh_token"),
        ("resource", "https://api.partnercenter.microsoft.com"),
        ("client_id", &settings.client_id),
        ("client_secret", settings.client_secret.expose()),
        ("refresh_token", settings.refresh_token.expose()),
    ];
    let url = it.sandbox.url().join(&format!("/{}/oauth2/token", settings.tenant)).unwrap();
    let answer: Value = client().post(url).form(&form).send().await.unwrap().json().await.unwrap();
    answer["refresh_token"].as_str().unwrap().to_owned()
}
