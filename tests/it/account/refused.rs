//! What only a person can mend is told apart from what passes, told once, and believed of a fresh token only.

use serde_json::json;
use tidings::sandbox::Fault;
use tidings::sandbox::world::CaughtKind;

use crate::support::app::TestApp;

#[tokio::test]
async fn each_refusal_of_the_sign_in_stops_the_account_at_once_and_is_told_once() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let faults = [
        (Fault::SignInRequired, "AADSTS50076"),
        (Fault::MfaRegistration, "AADSTS50079"),
        (Fault::SignInBlocked, "AADSTS53003"),
        (Fault::ConsentMissing, "AADSTS65001"),
        (Fault::ResourceMissing, "AADSTS650057"),
        (Fault::GrantExpired, "AADSTS70008"),
        (Fault::RefreshTokenIdle, "AADSTS700082"),
        (Fault::SecretExpired, "AADSTS7000222"),
        (Fault::ClientRefused, "AADSTS70002"),
    ];
    for (told, (fault, code)) in faults.into_iter().enumerate() {
        it.after(3600).await;
        it.sandbox.world.fault(fault);
        let asked = it.sandbox.world.counts().token_requests;

        let refused = it.get_any(&format!("/accounts/{account}/datasets")).await;

        assert!(refused.contains(code), "{fault}: {refused}");
        assert!(it.get_any(&format!("/accounts/{account}/datasets")).await.contains("waits"));
        assert_eq!(it.sandbox.world.counts().token_requests, asked + 1, "{fault}");
        let shown = it.get(&format!("/accounts/{account}")).await;
        assert_eq!(shown["state"], "sign_in_required", "{fault}");
        let why = shown["last_failure"].as_str().unwrap();
        assert!(why.contains(code) && why.contains("(correlation "), "{fault}: {why}");
        assert_eq!(it.kinds().await.len(), told + 1, "{fault}");
        assert_eq!(it.post(&format!("/accounts/{account}/verify"), json!({})).await["ok"], true, "{fault}");
    }
}

#[tokio::test]
async fn a_sign_in_that_is_busy_passes_and_leaves_the_account_as_it_is() {
    let it = TestApp::start().await;
    let account = it.account().await;
    it.sandbox.world.fault(Fault::SignInBusy);

    let verified = it.post(&format!("/accounts/{account}/verify"), json!({})).await;

    assert_eq!((&verified["token"], &verified["ok"]), (&json!(false), &json!(false)), "{verified}");
    let shown = it.get(&format!("/accounts/{account}")).await;
    assert_eq!(shown["state"], "active");
    assert!(shown["blocked_until"].is_string(), "{shown}");
    it.after(3600).await;
    assert_eq!(it.post(&format!("/accounts/{account}/verify"), json!({})).await["ok"], true);
}

#[tokio::test]
async fn a_call_that_is_refused_for_want_of_mfa_is_asked_once_more_with_a_fresh_token() {
    for fault in [Fault::Mfa900421, Fault::MfaRequired] {
        let it = TestApp::start().await;
        let account = it.account().await;
        it.sandbox.world.fault(fault);

        let verified = it.post(&format!("/accounts/{account}/verify"), json!({})).await;

        assert_eq!(verified["ok"], true, "{fault}: {verified}");
        assert_eq!(it.sandbox.world.counts().token_requests, 2, "{fault}");
        assert!(it.kinds().await.is_empty(), "{fault}");

        it.sandbox.world.fault_times(fault, 2);
        let verified = it.post(&format!("/accounts/{account}/verify"), json!({})).await;
        assert_eq!((&verified["token"], &verified["api"]), (&json!(true), &json!(false)), "{fault}: {verified}");
        assert_eq!(it.get(&format!("/accounts/{account}")).await["state"], "sign_in_required", "{fault}");
        assert_eq!(it.kinds().await, ["account.sign_in_required"], "{fault}");
    }
}

#[tokio::test]
async fn a_token_that_is_refused_again_and_again_is_not_renewed_in_a_loop() {
    let it = TestApp::start().await;
    let account = it.account().await;
    it.report(&account).await;
    it.sandbox.world.fault_times(Fault::TokenRefused, 1000);

    it.drain().await;
    it.drain().await;

    assert_eq!(it.sandbox.world.counts().token_requests, 2);
    let shown = it.get(&format!("/accounts/{account}")).await;
    assert_eq!((&shown["state"], shown["blocked_until"].is_string()), (&json!("active"), true));
}

impl TestApp {
    /// An answer whatever its status, as text.
    async fn get_any(&self, path: &str) -> String {
        self.call("GET", path, None).await.1.to_string()
    }
}

#[tokio::test]
async fn an_application_that_is_refused_is_told_to_need_a_credential_and_no_person() {
    let it = TestApp::start().await;
    let user = it.sandbox.world.account(0).clone();
    let input = json!({
        "name": "Marketplace", "program": "cmp", "tenant_id": user.tenant, "client_id": user.client_id,
        "grant": "client_credentials", "client_secret": "not-its-secret", "login_url": it.sandbox.url().as_str(),
        "api_url": it.sandbox.url().join("/insights/v1.1/cmp").unwrap().as_str(),
    });
    let account = it.post("/accounts", input).await["id"].as_str().unwrap().to_owned();
    it.subscribe("email").await;

    let verified = it.post(&format!("/accounts/{account}/verify"), json!({})).await;
    it.drain().await;

    let remedy =
        "give it the right client secret or certificate: tidings account change \"Marketplace\" --client-secret";
    let shown = it.get(&format!("/accounts/{account}")).await;
    assert!(shown["last_failure"].as_str().unwrap().contains(remedy), "{shown}");
    assert!(verified["problem"].as_str().unwrap().contains(remedy), "{verified}");
    let caught = it.sandbox.world.caught();
    let CaughtKind::Mail(sent) = &caught[0].what else { panic!("{caught:?}") };
    let text = sent.text.clone().unwrap();
    assert!(text.contains("Its reports wait: ") && text.contains("tidings account change"), "{text}");
    assert!(!text.contains("person") && text.contains(&format!("/accounts/{account}")), "{text}");
}
