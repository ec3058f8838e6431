//! Changes of an account: none is lost, and none leaves it without what its grant needs.

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::scene::until;

#[tokio::test]
async fn of_two_changes_at_once_of_different_fields_none_is_lost() {
    let it = TestApp::start().await;
    let path = format!("/accounts/{}", it.account().await);
    let mut held = it.database.pool.begin().await.unwrap();
    sqlx::query("select id from accounts for update").execute(&mut *held).await.unwrap();
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let let_go = async {
        until("both wait", || async { it.number(waiting).await == 2 }).await;
        held.commit().await.unwrap();
    };

    let (one, other, ()) = tokio::join!(
        it.call("PATCH", &path, Some(json!({ "name": "Renamed" }))),
        it.call("PATCH", &path, Some(json!({ "username": "ann@contoso.example" }))),
        let_go
    );

    assert_eq!((one.0, other.0), (200, 200), "{} {}", one.1, other.1);
    let account = it.get(&path).await;
    assert_eq!((&account["name"], &account["username"]), (&json!("Renamed"), &json!("ann@contoso.example")));
}

#[tokio::test]
async fn another_grant_needs_its_credential_given_or_kept() {
    let it = TestApp::start().await;
    let path = format!("/accounts/{}", it.account().await);
    let change = async |body: Value| {
        let (status, answer) = it.call("PATCH", &path, Some(body)).await;
        let errors = answer["errors"].as_array().into_iter().flatten();
        let text = |error: &Value| format!("{} {}", error["field"], error["message"]).replace('"', "");
        (status, errors.map(text).collect::<Vec<_>>())
    };
    it.sql("update accounts set client_secret = null, client_secret_print = null").await;

    let proof = "client_secret is needed for this grant, or a client_certificate in its place".to_owned();
    assert_eq!(change(json!({ "grant": "client_credentials" })).await, (422, vec![proof]));
    let password = json!({ "grant": "password", "username": "ann@contoso.example" });
    let missing = "password is needed for this grant".to_owned();
    assert_eq!(change(password.clone()).await, (422, vec![missing]));
    assert_eq!(it.get(&path).await["grant"], "refresh_token");

    assert_eq!(change(json!({ "client_secret": "a secret", "password": "a password" })).await.0, 200);
    for grant in [json!({ "grant": "client_credentials" }), password, json!({ "grant": "refresh_token" })] {
        assert_eq!(change(grant.clone()).await, (200, vec![]), "{grant}");
        assert_eq!(it.get(&path).await["grant"], grant["grant"]);
    }
}
