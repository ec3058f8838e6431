//! Tokens: how they are given, for how long, and to whom not.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tidings::sandbox::{Fault, Settings};

use super::{HOUR, MPN, Setup};

#[tokio::test]
async fn version_one_of_the_sign_in_writes_numbers_as_texts_and_version_two_as_numbers() {
    let setup = Setup::new().await;

    let one: Value = setup.sign_in("oauth2/token", &[]).await.json().await.unwrap();
    let two: Value = setup.sign_in("oauth2/v2.0/token", &[]).await.json().await.unwrap();

    let expires_on: i64 = one["expires_on"].as_str().unwrap().parse().unwrap();
    assert_eq!(expires_on, setup.clock.now().timestamp() + 3600);
    assert_eq!(one["expires_in"], "3599");
    assert_eq!(two["expires_in"], 3599);
    assert_eq!(two["expires_on"], Value::Null);
}

#[tokio::test]
async fn each_sign_in_renews_the_refresh_token_and_the_old_one_stays_good() {
    let setup = Setup::new().await;
    let first: Value = setup.sign_in("oauth2/token", &[]).await.json().await.unwrap();
    let renewed = first["refresh_token"].as_str().unwrap();

    let with_new = setup.sign_in("oauth2/token", &[("refresh_token", renewed)]).await;
    let with_old = setup.sign_in("oauth2/token", &[]).await;
    let with_other = setup.sign_in("oauth2/token", &[("refresh_token", "other")]).await;

    assert_eq!((with_new.status(), with_old.status()), (StatusCode::OK, StatusCode::OK));
    assert_ne!(with_new.json::<Value>().await.unwrap()["refresh_token"], renewed);
    let refused: Value = with_other.json().await.unwrap();
    assert_eq!(refused["error"], "invalid_grant");
}

#[tokio::test]
async fn an_application_and_a_user_with_a_password_can_sign_in_too() {
    let setup = Setup::new().await;
    let settings = setup.sandbox.world.settings();
    let user =
        [("grant_type", "password"), ("username", &*settings.username), ("password", settings.password.expose())];

    let application: Value =
        setup.sign_in("oauth2/token", &[("grant_type", "client_credentials")]).await.json().await.unwrap();
    let user: Value = setup.sign_in("oauth2/token", &user).await.json().await.unwrap();

    assert!(application["access_token"].is_string() && application["refresh_token"].is_null());
    assert!(user["refresh_token"].is_string());
}

#[tokio::test]
async fn a_wrong_secret_is_refused_in_the_shape_of_the_sign_in() {
    let setup = Setup::new().await;

    let response = setup.sign_in("oauth2/token", &[("client_secret", "wrong")]).await;

    assert_eq!(response.status(), 401);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"], "invalid_client");
    assert_eq!(body["error_codes"], json!([7_000_215]));
    let description = body["error_description"].as_str().unwrap();
    assert!(description.starts_with("AADSTS7000215: ") && description.contains("\r\nTrace ID: "), "{description}");
    assert_eq!(body["timestamp"], "2026-11-20 08:00:00Z");
}

#[tokio::test]
async fn a_token_is_good_for_an_hour_and_in_either_header() {
    let setup = Setup::new().await;
    let url = setup.url(&format!("{MPN}/ScheduledDataset"));
    let ask = |name: &'static str, value: String| setup.client.get(&url).header(name, value).send();

    let ticket = ask("X-AadUserTicket", setup.token.clone()).await.unwrap().status();
    let nothing = setup.client.get(&url).send().await.unwrap();
    let forged = ask("Authorization", "Bearer forged".to_owned()).await.unwrap().status();
    setup.clock.advance(HOUR);
    let (expired, body) = setup.get(&format!("{MPN}/ScheduledDataset")).await;

    assert_eq!(ticket, 200);
    assert_eq!(nothing.headers()["www-authenticate"], "Bearer error=\"invalid_token\"");
    assert_eq!(
        (nothing.status(), forged, expired),
        (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED)
    );
    assert_eq!(body, json!({"value": [], "totalCount": 0, "message": "Unauthorized", "statusCode": 401}));
}

#[tokio::test]
async fn a_sign_in_can_demand_a_second_factor() {
    let setup = Setup::with(Settings::default()).await;
    setup.sandbox.world.fault_times(Fault::SignInRequired, 2);

    let refused = setup.sign_in("oauth2/token", &[]).await;
    setup.sandbox.world.clear_faults();
    let taken = setup.sign_in("oauth2/token", &[]).await;

    assert_eq!((refused.status(), taken.status()), (StatusCode::BAD_REQUEST, StatusCode::OK));
    let body: Value = refused.json().await.unwrap();
    assert_eq!((&body["error"], &body["error_codes"]), (&json!("interaction_required"), &json!([50076])));
}
