//! Signing in by a code that a person types elsewhere.

use serde_json::{Value, json};
use tidings::sandbox::Fault;

use crate::support::app::TestApp;
use crate::support::server::Server;

/// An account that nobody has signed in for, at the sandbox or at somebody before it.
async fn without_sign_in(it: &TestApp, login: &str) -> String {
    let user = it.sandbox.world.account(0).clone();
    let account = json!({
        "name": "Contoso", "program": "mpn", "tenant_id": user.tenant, "client_id": user.client_id,
        "client_secret": user.client_secret.expose(), "grant": "refresh_token", "login_url": login,
        "api_url": it.sandbox.url().join("/insights/v1/mpn").unwrap().as_str(),
    });
    it.post("/accounts", account).await["id"].as_str().unwrap().to_owned()
}

async fn begun(it: &TestApp, account: &str) -> Value {
    let (status, sign_in) = it.call("POST", &format!("/accounts/{account}/sign-in"), None).await;
    assert_eq!((status, &sign_in["state"]), (201, &json!("waiting")), "{sign_in}");
    sign_in
}

#[tokio::test]
async fn a_person_signs_in_by_a_code_and_what_waited_goes_on() {
    let it = TestApp::start().await;
    let account = without_sign_in(&it, it.sandbox.url().as_str()).await;
    let report = it.report(&account).await;
    it.drain().await;
    let shown = it.get(&format!("/accounts/{account}")).await;
    assert_eq!(
        (&shown["state"], &shown["last_failure"]),
        (&json!("sign_in_required"), &json!("nobody has signed in yet"))
    );
    assert!(it.kinds().await.is_empty());
    assert_eq!(it.sandbox.world.counts().api_requests, 0);
    assert_eq!(it.call("GET", &format!("/accounts/{account}/sign-in"), None).await.0, 404);

    let sign_in = begun(&it, &account).await;
    assert_eq!((&sign_in["interval_seconds"], &sign_in["failure"]), (&json!(5), &Value::Null));
    assert!(sign_in["message"].as_str().unwrap().contains(sign_in["user_code"].as_str().unwrap()));
    assert_eq!(sign_in["expires_at"], "2026-01-05T08:30:15Z");
    let (status, again) = it.call("POST", &format!("/accounts/{account}/sign-in"), None).await;
    assert_eq!((status, &again), (200, &sign_in));
    it.after(5).await;
    it.drain().await;
    assert_eq!(it.get(&format!("/accounts/{account}/sign-in")).await, sign_in);

    assert!(it.sandbox.world.approve_device(sign_in["user_code"].as_str().unwrap()));
    it.after(5).await;
    it.drain().await;

    assert_eq!(it.get(&format!("/accounts/{account}/sign-in")).await["state"], "done");
    let shown = it.get(&format!("/accounts/{account}")).await;
    assert_eq!((&shown["state"], &shown["last_failure"]), (&json!("active"), &Value::Null));
    assert_eq!(shown["refreshed_at"], "2026-01-05T08:15:25Z");
    assert_eq!(shown["sign_in_expires_at"], "2026-04-05T08:15:25Z");
    assert_eq!(it.get(&format!("/reports/{report}")).await["state"], "registered");
    assert_eq!(it.number("select count(*) from sign_ins where device_code is not null").await, 0);
}

#[tokio::test]
async fn a_sign_in_that_is_declined_or_runs_out_says_so_and_may_be_begun_again() {
    let it = TestApp::start().await;
    let account = without_sign_in(&it, it.sandbox.url().as_str()).await;
    let declined = begun(&it, &account).await;
    assert!(it.sandbox.world.decline_device(declined["user_code"].as_str().unwrap()));
    it.after(5).await;
    it.drain().await;
    let shown = it.get(&format!("/accounts/{account}/sign-in")).await;
    assert_eq!(shown["state"], "failed", "{shown}");
    assert!(shown["failure"].as_str().is_some_and(|why| !why.is_empty()));

    begun(&it, &account).await;
    it.after(15 * 60).await;
    it.drain().await;
    assert_eq!(it.get(&format!("/accounts/{account}/sign-in")).await["state"], "expired");
    assert_eq!(it.get(&format!("/accounts/{account}")).await["state"], "sign_in_required");
    begun(&it, &account).await;
}

#[tokio::test]
async fn trouble_that_passes_does_not_end_a_sign_in_and_being_asked_to_slow_down_is_obeyed() {
    let it = TestApp::start().await;
    // It lets us ask sooner than the sandbox wants to be asked.
    let between = Server::before(it.sandbox.url(), |taken, (status, body)| {
        let mut told: Value = serde_json::from_slice(&body).unwrap_or_default();
        if taken.uri.path().ends_with("/devicecode") {
            told["interval"] = json!("2");
        }
        (status, told.to_string().into())
    })
    .await;
    let account = without_sign_in(&it, between.url.as_str()).await;
    let sign_in = begun(&it, &account).await;
    assert_eq!(sign_in["interval_seconds"], 2);
    it.sandbox.world.fault(Fault::SignInBusy);

    for _ in 0..3 {
        it.after(2).await;
        it.drain().await;
    }

    let shown = it.get(&format!("/accounts/{account}/sign-in")).await;
    assert_eq!((&shown["state"], &shown["interval_seconds"]), (&json!("waiting"), &json!(7)));
    assert!(it.sandbox.world.approve_device(sign_in["user_code"].as_str().unwrap()));
    it.after(7).await;
    it.drain().await;
    assert_eq!(it.get(&format!("/accounts/{account}/sign-in")).await["state"], "done");
}

#[tokio::test]
async fn one_replica_at_a_time_asks_and_another_goes_on_when_that_was_killed() {
    let it = TestApp::start().await;
    let account = without_sign_in(&it, it.sandbox.url().as_str()).await;
    let sign_in = begun(&it, &account).await;
    it.sandbox.world.approve_device(sign_in["user_code"].as_str().unwrap());
    it.after(5).await;

    let killed = it.app.sign_ins.claim(10).await.unwrap();
    assert_eq!((killed.len(), it.app.sign_ins.claim(10).await.unwrap().len()), (1, 0));
    it.after(30).await;
    it.drain().await;

    assert_eq!(it.get(&format!("/accounts/{account}/sign-in")).await["state"], "done");
    // What the first comes back with changes nothing any more.
    for work in killed {
        assert!(it.app.sign_ins.perform(work).await.is_err());
    }
    assert_eq!(it.get(&format!("/accounts/{account}")).await["state"], "active");
}

#[tokio::test]
async fn only_an_account_that_a_user_signs_in_to_can_be_signed_in_to_by_code() {
    let it = TestApp::start().await;
    let account = it.marketplace_account().await;

    let (status, problem) = it.call("POST", &format!("/accounts/{account}/sign-in"), None).await;

    assert_eq!(status, 409);
    assert!(problem["detail"].as_str().unwrap().contains("refresh_token"), "{problem}");
}

#[tokio::test]
async fn the_token_of_a_sign_in_is_not_replaced_by_the_one_that_was_given_before() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let sign_in = begun(&it, &account).await;
    it.sandbox.world.approve_device(sign_in["user_code"].as_str().unwrap());
    it.after(5).await;
    it.drain().await;
    it.sql("create table kept as select refresh_token from accounts").await;

    let first = it.sandbox.world.account(0).refresh_token.expose().to_owned();
    let change = json!({ "refresh_token": first });
    let (status, _) = it.call("PATCH", &format!("/accounts/{account}"), Some(change.clone())).await;

    assert_eq!(status, 200);
    assert_eq!(it.number("select count(*) from accounts join kept using (refresh_token)").await, 1);
    assert_eq!(it.post(&format!("/accounts/{account}/compare"), change).await["differs"], json!([]));
}

#[tokio::test]
async fn a_sign_in_that_cannot_be_opened_ends_and_holds_up_no_other() {
    let it = TestApp::start().await;
    let account = without_sign_in(&it, it.sandbox.url().as_str()).await;
    begun(&it, &account).await;
    it.sql("update sign_ins set device_code = 'sealed by another key'").await;

    it.after(5).await;
    it.drain().await;

    let shown = it.get(&format!("/accounts/{account}/sign-in")).await;
    assert_eq!(shown["state"], "failed");
    assert!(shown["failure"].as_str().unwrap().contains("TIDINGS_SECRET_KEY"), "{shown}");
}
