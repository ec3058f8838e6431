//! Accounts: tokens are renewed without losing the rotated one, and an account that must wait waits as a whole.

mod ahead;
mod change;
mod kill;
mod line;
mod page;
mod polite;
mod proof;
mod refused;
mod sign_in;
mod verify;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tidings::account::{Credentials, Draft, Grant, ProgramName, TokenVersion, store};
use tidings::sandbox::Fault;
use tidings::secret::{Keyring, Secret};

use crate::support::app::TestApp;
use crate::support::scene::{HOUR, UNTIL_FIRST_RUN, client, until};
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
    assert_eq!(used[0], it.sandbox.world.account(0).refresh_token.expose());
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
    it.sandbox.world.fault_times(Fault::SignInRequired, 1000);
    let report = it.report(&account).await;
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

    let first = it.sandbox.world.account(0).refresh_token.expose().to_owned();
    let again = json!({ "refresh_token": first, "name": "Contoso again" });
    let (status, _) = it.call("PATCH", &format!("/accounts/{account}"), Some(again)).await;
    it.app.sessions.refresh(account.parse().unwrap()).await.unwrap();

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
async fn one_new_credential_beside_one_as_before_makes_the_account_active() {
    let it = TestApp::start().await;
    let account = it.account().await;
    it.sandbox.world.fault(Fault::SignInRequired);
    it.post(&format!("/accounts/{account}/verify"), json!({})).await;
    assert_eq!(it.get(&format!("/accounts/{account}")).await["state"], "sign_in_required");

    let same = it.sandbox.world.account(0).client_secret.expose().to_owned();
    let change = json!({ "client_secret": same, "refresh_token": another_refresh_token(&it).await });
    let (_, shown) = it.call("PATCH", &format!("/accounts/{account}"), Some(change)).await;

    assert_eq!((&shown["state"], &shown["last_failure"]), (&json!("active"), &Value::Null));
}

#[tokio::test]
async fn a_renewal_that_is_refused_after_a_new_credential_was_given_does_not_lock_the_account() {
    let it = TestApp::start().await;
    let fresh = another_refresh_token(&it).await;
    let account = Arc::<Mutex<String>>::default();
    let (service, id) = (it.url.clone(), account.clone());
    let between = Server::start(move |_| {
        let url = service.join(&format!("/api/v1/accounts/{}", id.lock().unwrap())).unwrap();
        let change = client().patch(url).bearer_auth(crate::support::app::ADMIN_KEY);
        let change = change.json(&json!({ "refresh_token": fresh }));
        async move {
            change.send().await.unwrap();
            let refusal = json!({ "error": "invalid_grant", "error_description": "revoked" });
            axum::http::Response::builder().status(400).body(refusal.to_string().into()).unwrap()
        }
    })
    .await;
    let made = it.account_through(&between).await;
    account.lock().unwrap().clone_from(&made);

    let verified = it.post(&format!("/accounts/{made}/verify"), json!({})).await;

    assert!(verified["problem"].as_str().unwrap().contains("revoked"), "{verified}");
    assert_eq!(it.get(&format!("/accounts/{made}")).await["state"], "active");
    assert!(it.kinds().await.is_empty());
}

#[tokio::test]
async fn an_account_goes_on_once_it_is_verified_when_only_a_policy_had_changed() {
    let it = TestApp::start().await;
    let account = it.account().await;
    it.sandbox.world.fault(Fault::SignInRequired);
    let report = it.report(&account).await;
    it.drain().await;
    assert_eq!(it.get(&format!("/accounts/{account}")).await["state"], "sign_in_required");

    assert_eq!(it.post(&format!("/accounts/{account}/verify"), json!({})).await["ok"], true);

    let shown = it.get(&format!("/accounts/{account}")).await;
    assert_eq!(
        (&shown["state"], &shown["sign_in_since"], &shown["last_failure"]),
        (&json!("active"), &Value::Null, &Value::Null)
    );
    it.drain().await;
    assert_eq!(it.get(&format!("/reports/{report}")).await["state"], "registered");
}

#[tokio::test]
async fn a_shorter_wait_that_is_told_later_does_not_shorten_a_longer_one() {
    let it = TestApp::start().await;
    let (pool, sandbox) = (it.database.pool.clone(), it.sandbox.url());
    let between = Server::start(move |taken| {
        let (pool, sandbox) = (pool.clone(), sandbox.clone());
        async move {
            if taken.signs_in() {
                let (status, body) = hand_on(&sandbox, &taken).await;
                return axum::http::Response::builder().status(status).body(body.into()).unwrap();
            }
            // Another call was told to wait for longer meanwhile.
            let longer = "update accounts set blocked_until = '2026-01-05T08:45:15Z'";
            sqlx::query(longer).execute(&pool).await.unwrap();
            axum::http::Response::builder().status(429).header("retry-after", "5").body("".into()).unwrap()
        }
    })
    .await;
    let account = it.account_through(&between).await;

    it.post(&format!("/accounts/{account}/verify"), json!({})).await;

    assert_eq!(it.get(&format!("/accounts/{account}")).await["blocked_until"], "2026-01-05T08:45:15Z");
}

#[tokio::test]
async fn the_same_credential_is_known_again_after_the_service_key_was_replaced() {
    let it = TestApp::start().await;
    let (old, new) = (Keyring::generate(), Keyring::generate());
    let rotated = Secret::new(format!("{},{}", new.expose(), old.expose()));
    let draft = Draft {
        name: "Contoso".into(),
        program: ProgramName::Mpn,
        tenant_id: "contoso".into(),
        client_id: "client".into(),
        grant: Grant::RefreshToken,
        token_version: TokenVersion::One,
        client_secret_expires_at: None,
        login_url: None,
        api_url: None,
        username: None,
        credentials: Credentials { refresh_token: Some(Secret::new("first")), ..Credentials::default() },
    };
    let checked = draft.check(&it.app.guard, None).unwrap();
    let mut conn = it.database.pool.acquire().await.unwrap();
    let before = Keyring::parse(&old).unwrap();
    let id = store::insert(&mut conn, &it.clock, &before, &checked).await.unwrap();
    it.sql("update accounts set refresh_token = 'a later one'").await;

    let after = Keyring::parse(&rotated).unwrap();
    store::update(&mut conn, &it.clock, &after, id, &checked).await.unwrap();

    assert_eq!(it.number("select count(*) from accounts where refresh_token = 'a later one'").await, 1);
}

#[tokio::test]
async fn a_rotated_refresh_token_is_kept_also_when_its_caller_has_gone() {
    let it = TestApp::start().await;
    let may_answer = Arc::new(tokio::sync::Notify::new());
    let (sandbox, wait) = (it.sandbox.url(), may_answer.clone());
    let between = Server::start(move |taken| {
        let (sandbox, wait) = (sandbox.clone(), wait.clone());
        async move {
            let (status, body) = hand_on(&sandbox, &taken).await;
            wait.notified().await;
            axum::http::Response::builder().status(status).body(body.into()).unwrap()
        }
    })
    .await;
    let account = it.account_through(&between).await;
    it.sql("update accounts set refresh_token_print = refresh_token").await;
    let (sessions, id) = (it.app.sessions.clone(), account.parse().unwrap());
    let caller = tokio::spawn(async move { sessions.verify(id).await.map(drop) });
    until("the sign-in is asked for", || async { !between.taken().is_empty() }).await;

    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    may_answer.notify_one();

    let kept = "select count(*) from accounts where refresh_token <> refresh_token_print";
    until("the rotated token is kept", || async { it.number(kept).await == 1 }).await;
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

    let user = it.sandbox.world.account(0).clone();
    let token = address.path().rsplit('/').next().unwrap().to_owned();
    let secrets = [
        user.client_secret.expose(),
        user.refresh_token.expose(),
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
    let user = it.sandbox.world.account(0);
    let form = [
        ("grant_type", "refresh_token"),
        ("resource", "https://api.partnercenter.microsoft.com"),
        ("client_id", &user.client_id),
        ("client_secret", user.client_secret.expose()),
        ("refresh_token", user.refresh_token.expose()),
    ];
    let url = it.sandbox.url().join(&format!("/{}/oauth2/token", user.tenant)).unwrap();
    let answer: Value = client().post(url).form(&form).send().await.unwrap().json().await.unwrap();
    answer["refresh_token"].as_str().unwrap().to_owned()
}
