//! Both token endpoints, and a certificate in the place of a secret.

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use crate::support::app::TestApp;

/// A certificate and its key, each as PEM.
fn certificate() -> (String, String) {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let made = CertificateParams::new(vec!["tidings".into()]).unwrap().self_signed(&key).unwrap();
    (made.pem(), key.serialize_pem())
}

fn marketplace(it: &TestApp, login: &str) -> Value {
    let user = it.sandbox.world.account(0);
    json!({
        "name": "Marketplace", "program": "cmp", "tenant_id": user.tenant, "client_id": user.client_id,
        "grant": "client_credentials", "login_url": login,
        "api_url": it.sandbox.url().join("/insights/v1.1/cmp").unwrap().as_str(),
    })
}

#[tokio::test]
async fn an_account_signs_in_at_the_version_that_it_names_with_a_certificate_or_a_secret() {
    let (certificate, key) = certificate();
    let kept = certificate.clone();
    let it = TestApp::with(|settings| settings.accounts[0].certificate = Some(kept)).await;
    let secret = it.sandbox.world.account(0).client_secret.expose().to_owned();
    let mut input = marketplace(&it, it.sandbox.url().as_str());
    input["client_certificate"] = json!(format!("{key}{certificate}"));
    let account = it.post("/accounts", input).await;
    let path = format!("/accounts/{}", account["id"].as_str().unwrap());
    assert_eq!((&account["token_version"], account.get("client_certificate")), (&json!(1), None));

    for (version, proof) in [(1, "certificate"), (2, "certificate"), (2, "secret"), (1, "secret")] {
        let mut change = json!({ "token_version": version });
        if proof == "secret" {
            change["client_secret"] = json!(secret);
        }
        assert_eq!(it.call("PATCH", &path, Some(change)).await.0, 200);

        let verified = it.post(&format!("{path}/verify"), json!({})).await;

        assert_eq!(verified["ok"], true, "{version} {proof}: {verified}");
        let kept = "select count(*) from accounts where (client_secret is null) <> (client_certificate is null)";
        assert_eq!(it.number(kept).await, 1);
        assert_eq!(it.number("select count(client_secret) from accounts").await, i64::from(proof == "secret"));
    }
    let everything = it.all_rows().await;
    assert!(!everything.contains("PRIVATE KEY") && !everything.contains(key.lines().nth(1).unwrap()));
}

#[tokio::test]
async fn a_refresh_token_is_rotated_at_version_2_too() {
    let it = TestApp::with(|settings| settings.strict_refresh = true).await;
    let account = it.account().await;
    let path = format!("/accounts/{account}");
    it.call("PATCH", &path, Some(json!({ "token_version": 2 }))).await;

    for _ in 0..3 {
        assert_eq!(it.post(&format!("{path}/verify"), json!({})).await["ok"], true);
        it.after(3600).await;
    }

    assert_eq!(it.sandbox.world.counts().token_requests, 3);
}

#[tokio::test]
async fn a_certificate_is_checked_when_it_is_given_and_one_of_the_two_proofs_is_needed() {
    let it = TestApp::start().await;
    let ((certificate, key), (_, other)) = (certificate(), certificate());
    let login = it.sandbox.url();
    let with = |extra: Value| {
        let mut input = marketplace(&it, login.as_str());
        input.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        input
    };
    for (extra, field, message) in [
        (json!({}), "client_secret", "client_certificate in its place"),
        (json!({ "client_certificate": "hello" }), "client_certificate", "must hold a certificate"),
        (json!({ "client_certificate": certificate }), "client_certificate", "RSA private key"),
        (json!({ "client_certificate": format!("{certificate}{other}") }), "client_certificate", "does not belong"),
        (
            json!({ "client_certificate": format!("{certificate}{key}"), "client_secret": "s" }),
            "client_certificate",
            "give one of them",
        ),
        (json!({ "client_secret": "s", "token_version": 3 }), "token_version", "must be 1 or 2"),
    ] {
        let (status, problem) = it.call("POST", "/accounts", Some(with(extra))).await;

        assert_eq!(status, 422, "{problem}");
        let error = &problem["errors"][0];
        assert_eq!(error["field"], field, "{problem}");
        assert!(error["message"].as_str().unwrap().contains(message), "{problem}");
        assert!(!problem.to_string().contains("BEGIN"), "{problem}");
    }
}
