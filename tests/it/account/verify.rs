//! What verifying and comparing an account tell.

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::server::Server;

#[tokio::test]
async fn verifying_says_what_works_and_whether_the_sign_in_has_mfa() {
    let it = TestApp::start().await;
    let account = it.account().await;

    let verified = it.post(&format!("/accounts/{account}/verify"), json!({})).await;

    for (field, expected) in [
        ("ok", json!(true)),
        ("token", json!(true)),
        ("api", json!(true)),
        ("mfa_compliant", json!(true)),
        ("role", Value::Null),
        ("problem", Value::Null),
        ("warnings", json!([])),
    ] {
        assert_eq!(verified[field], expected, "{field}: {verified}");
    }
    assert!(verified["datasets"].as_array().unwrap().contains(&json!("OfficeUsage")), "{verified}");
}

#[tokio::test]
async fn an_account_with_a_password_is_warned_of_and_found_without_mfa() {
    let it = TestApp::start().await;
    let user = it.sandbox.world.account(0).clone();
    let account = json!({
        "name": "Legacy", "program": "mpn", "tenant_id": user.tenant, "client_id": user.client_id,
        "client_secret": user.client_secret.expose(), "grant": "password", "username": user.username,
        "password": user.password.expose(), "login_url": it.sandbox.url().as_str(),
        "api_url": it.sandbox.url().join("/insights/v1/mpn").unwrap().as_str(),
    });

    let account = it.post("/accounts", account).await;

    assert!(account["warnings"][0].as_str().unwrap().contains("password is legacy"), "{account}");
    let path = format!("/accounts/{}/verify", account["id"].as_str().unwrap());
    let verified = it.post(&path, json!({})).await;
    assert_eq!((&verified["ok"], &verified["mfa_compliant"]), (&json!(true), &json!(false)), "{verified}");
    assert_eq!(verified["warnings"], account["warnings"]);
}

#[tokio::test]
async fn what_an_answer_shows_of_the_role_is_said() {
    let it = TestApp::start().await;
    let user = it.sandbox.world.account(0).clone();
    let application = json!({
        "name": "Application", "program": "mpn", "tenant_id": user.tenant, "client_id": user.client_id,
        "client_secret": user.client_secret.expose(), "grant": "client_credentials",
        "login_url": it.sandbox.url().as_str(),
        "api_url": it.sandbox.url().join("/insights/v1/mpn").unwrap().as_str(),
    });
    let application = it.post("/accounts", application).await;
    assert!(application["warnings"][0].as_str().unwrap().contains("together with a user"), "{application}");
    let path = format!("/accounts/{}/verify", application["id"].as_str().unwrap());
    let verified = it.post(&path, json!({})).await;
    assert_eq!((&verified["token"], &verified["api"]), (&json!(true), &json!(false)), "{verified}");
    assert!(verified["role"].as_str().unwrap().contains("Executive Report Viewer"), "{verified}");
    assert!(verified["problem"].as_str().unwrap().contains("403"), "{verified}");

    let redacting = Server::before(it.sandbox.url(), |taken, (status, body)| {
        let mut told: Value = serde_json::from_slice(&body).unwrap();
        if !taken.signs_in() {
            told["dataRedacted"] = json!("true");
        }
        (status, told.to_string().into())
    })
    .await;
    let account = it.account_through(&redacting).await;
    let verified = it.post(&format!("/accounts/{account}/verify"), json!({})).await;
    assert_eq!((&verified["ok"], &verified["mfa_compliant"]), (&json!(true), &Value::Null), "{verified}");
    assert!(verified["role"].as_str().unwrap().contains("Executive Report Viewer"), "{verified}");
}

#[tokio::test]
async fn comparing_names_what_differs_and_changes_nothing() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let path = format!("/accounts/{account}/compare");
    it.post(&format!("/accounts/{account}/verify"), json!({})).await;
    let user = it.sandbox.world.account(0).clone();
    let same = json!({
        "name": "Contoso", "program": "mpn", "tenant_id": user.tenant, "client_id": user.client_id,
        "client_secret": user.client_secret.expose(), "refresh_token": user.refresh_token.expose(),
        "login_url": it.sandbox.url().as_str(), "grant": "refresh_token", "token_version": 1,
    });
    let before = it.get(&format!("/accounts/{account}")).await;

    assert_eq!(it.post(&path, same).await["differs"], json!([]));
    assert_eq!(it.post(&path, json!({})).await["differs"], json!([]));
    let other = json!({
        "name": "Other", "program": "cmp", "client_secret": "another", "token_version": 2, "username": "ann",
        "client_secret_expires_at": "2026-07-01T00:00:00Z", "refresh_token": "another",
    });
    assert_eq!(
        it.post(&path, other).await["differs"],
        json!([
            "client_secret",
            "client_secret_expires_at",
            "name",
            "program",
            "refresh_token",
            "token_version",
            "username"
        ])
    );

    assert_eq!(it.get(&format!("/accounts/{account}")).await, before);
    assert_eq!(it.call("POST", &path, Some(json!({ "name": "" }))).await.0, 422);
}

#[tokio::test]
async fn a_token_that_was_revoked_is_no_token() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let path = format!("/accounts/{account}/verify");
    assert_eq!(it.post(&path, json!({})).await["token"], true);
    it.sandbox.world.revoke_tokens();

    let verified = it.post(&path, json!({})).await;

    assert_eq!((&verified["ok"], &verified["token"]), (&json!(false), &json!(false)), "{verified}");
    assert_eq!(it.get(&format!("/accounts/{account}")).await["state"], "sign_in_required");
}
