//! Tokens: how they are given, for how long, and to whom not.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tidings::clock::Clock;
use tidings::sandbox::{Account, Fault, Sandbox, Settings, start};
use tidings::secret::Secret;

use super::{CMP, HOUR, MPN, Setup, taken_apart};

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
    let there = setup.sandbox.world.account(0);
    let user = [("grant_type", "password"), ("username", &*there.username), ("password", there.password.expose())];

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

#[tokio::test]
async fn every_refusal_of_the_reference_can_be_asked_for_by_name() {
    let setup = Setup::new().await;
    for (fault, status, error, code) in [
        (Fault::SignInRequired, 400, "interaction_required", 50076),
        (Fault::MfaRegistration, 400, "interaction_required", 50079),
        (Fault::SignInBlocked, 400, "interaction_required", 53003),
        (Fault::ConsentMissing, 400, "invalid_grant", 65001),
        (Fault::ResourceMissing, 400, "invalid_resource", 650_057),
        (Fault::GrantExpired, 400, "invalid_grant", 70008),
        (Fault::RefreshTokenIdle, 400, "invalid_grant", 700_082),
        (Fault::SecretExpired, 401, "invalid_client", 7_000_222),
        (Fault::ClientRefused, 401, "invalid_client", 70002),
        (Fault::SignInBusy, 503, "temporarily_unavailable", 90033),
    ] {
        setup.sandbox.world.fault(fault);

        let (refused, body) = taken_apart(setup.sign_in("oauth2/token", &[]).await).await;

        assert_eq!((refused.as_u16(), &body["error"]), (status, &json!(error)), "{fault}");
        assert_eq!(body["error_codes"], json!([code]), "{fault}");
        assert_eq!(setup.sign_in("oauth2/token", &[]).await.status(), 200, "{fault}");
    }
}

#[tokio::test]
async fn what_the_caller_gets_wrong_is_refused_by_its_documented_code() {
    let setup = Setup::new().await;
    let secret_expires_at = "2026-11-20T07:59:59Z".parse().ok();
    let accounts = vec![Account { secret_expires_at, ..Account::default() }];
    let late = Setup { sandbox: start_at(Settings { accounts, ..still() }).await, ..Setup::new().await };
    let scope = "https://api.partnercenter.microsoft.com/user_impersonation";
    for (path, changes, code) in [
        ("oauth2/token", &[("client_id", "other")][..], 700_016),
        ("oauth2/token", &[("client_secret", "")], 7_000_218),
        ("oauth2/token", &[("client_secret", "other")], 7_000_215),
        ("oauth2/token", &[("resource", "https://graph.windows.net")], 500_011),
        ("oauth2/token", &[("refresh_token", "other")], 70000),
        ("oauth2/token", &[("grant_type", "password"), ("password", "other")], 50126),
        ("oauth2/token", &[("grant_type", "authorization_code")], 70003),
        ("oauth2/v2.0/token", &[("scope", "openid")], 70011),
        ("oauth2/v2.0/token", &[("grant_type", "client_credentials"), ("scope", scope)], 1_002_012),
    ] {
        let body: Value = setup.sign_in(path, changes).await.json().await.unwrap();
        assert_eq!(body["error_codes"], json!([code]), "{changes:?}");
    }
    let expired: Value = late.sign_in("oauth2/token", &[]).await.json().await.unwrap();
    let tenant: Value = setup.token_at("unknown/oauth2/token", &[]).await.1;
    assert_eq!((&expired["error_codes"], &tenant["error_codes"]), (&json!([7_000_222]), &json!([90002])));
}

#[tokio::test]
async fn a_strict_sign_in_revokes_older_refresh_tokens_when_a_newer_one_is_first_used() {
    let setup = Setup::with(Settings { strict_refresh: true, ..Settings::default() }).await;
    let renewed = async |token: &str| {
        let (status, body) = taken_apart(setup.sign_in("oauth2/token", &[("refresh_token", token)]).await).await;
        (status.as_u16(), body["refresh_token"].as_str().unwrap_or_default().to_owned())
    };
    let first = setup.sandbox.world.account(0).refresh_token.expose();

    let (_, lost) = renewed(first).await;
    let (again, second) = renewed(first).await;
    let (_, third) = renewed(&second).await;
    let after_use = renewed(first).await.0;
    let sibling = renewed(&lost).await.0;
    renewed(&third).await;

    assert_eq!((again, after_use, sibling), (200, 400, 200));
    assert_eq!(renewed(&second).await.0, 400);
    assert_eq!(renewed(&third).await.0, 200);
}

#[tokio::test]
async fn a_refresh_token_that_was_idle_for_90_days_is_refused() {
    let setup = Setup::new().await;
    setup.clock.advance(24 * 90 * HOUR);
    let on_the_day: Value = setup.sign_in("oauth2/token", &[]).await.json().await.unwrap();
    let newer = on_the_day["refresh_token"].as_str().unwrap();
    setup.clock.advance(HOUR);

    let idle: Value = setup.sign_in("oauth2/token", &[]).await.json().await.unwrap();

    assert_eq!(idle["error_codes"], json!([700_082]));
    assert_eq!(setup.sign_in("oauth2/token", &[("refresh_token", newer)]).await.status(), 200);
}

#[tokio::test]
async fn revoked_tokens_are_refused_by_the_sign_in_and_by_the_api_until_a_person_signs_in() {
    let mut setup = Setup::new().await;
    setup.sandbox.world.revoke_tokens();

    let refused: Value = setup.sign_in("oauth2/token", &[]).await.json().await.unwrap();
    let (api, _) = setup.get(&format!("{MPN}/ScheduledDataset")).await;
    setup.token = device_token(&setup).await["access_token"].as_str().unwrap().to_owned();

    assert_eq!((&refused["error"], &refused["error_codes"]), (&json!("invalid_grant"), &json!([50173])));
    assert_eq!(api, 401);
    assert_eq!(setup.get(&format!("{MPN}/ScheduledDataset")).await.0, 200);
}

#[tokio::test]
async fn a_demand_for_a_second_factor_is_met_by_a_new_sign_in_only() {
    let mut setup = Setup::new().await;
    let user = setup.sandbox.world.account(0).clone();
    let password = [("grant_type", "password"), ("username", &*user.username), ("password", user.password.expose())];
    let without: Value = setup.sign_in("oauth2/token", &password).await.json().await.unwrap();
    setup.sandbox.world.demand_mfa(true);

    let refused = [setup.sign_in("oauth2/token", &password).await, setup.sign_in("oauth2/token", &[]).await];
    let compliant = setup.compliance().await;
    setup.token = without["access_token"].as_str().unwrap().to_owned();
    let (api, answer) = setup.get(&format!("{MPN}/ScheduledDataset")).await;
    let signed_in = device_token(&setup).await;
    let newer = [("refresh_token", signed_in["refresh_token"].as_str().unwrap())];
    let renewed = setup.sign_in("oauth2/token", &newer).await.status();

    for response in refused {
        assert_eq!(taken_apart(response).await.1["error_codes"], json!([50076]));
    }
    assert_eq!(compliant.as_deref(), Some("true"));
    assert_eq!((api, &answer["code"]), (StatusCode::UNAUTHORIZED, &json!(900_421)));
    assert_eq!(renewed, 200);
    setup.sandbox.world.demand_mfa(false);
    assert_eq!(setup.compliance().await.as_deref(), Some("false"));
}

#[tokio::test]
async fn mpn_takes_users_only_and_cmp_takes_applications_too() {
    let mut setup = Setup::new().await;
    let answer: Value =
        setup.sign_in("oauth2/token", &[("grant_type", "client_credentials")]).await.json().await.unwrap();
    answer["access_token"].as_str().unwrap().clone_into(&mut setup.token);

    let (mpn, refused) = setup.get(&format!("{MPN}/ScheduledDataset")).await;
    let (cmp, _) = setup.get(&format!("{CMP}/ScheduledDataset")).await;

    assert_eq!((mpn, cmp), (StatusCode::FORBIDDEN, StatusCode::OK));
    assert_eq!(refused["statusCode"], 403);
    assert_eq!(setup.compliance().await, None);
}

#[tokio::test]
async fn several_accounts_have_their_own_credentials_queries_and_reports() {
    let second = Account {
        tenant: "fabrikam".to_owned(),
        client_id: "other-client".to_owned(),
        client_secret: Secret::new("other-secret"),
        username: "reports@fabrikam.example".to_owned(),
        password: Secret::new("other-password"),
        refresh_token: Secret::new("other-refresh-token"),
        ..Account::default()
    };
    let mut setup = Setup::with(Settings { accounts: vec![Account::default(), second], ..Settings::default() }).await;
    let report = setup.report_id(json!({})).await;
    let theirs =
        [("client_id", "other-client"), ("client_secret", "other-secret"), ("refresh_token", "other-refresh-token")];

    let (_, answer) = setup.token_at("fabrikam/oauth2/token", &theirs).await;
    let crossed = setup.sign_in("oauth2/token", &[("refresh_token", "other-refresh-token")]).await.status();
    answer["access_token"].as_str().unwrap().clone_into(&mut setup.token);

    assert_eq!(crossed, 400);
    assert_eq!(setup.get(&format!("{MPN}/ScheduledReport?reportId={report}")).await.0, 404);
    assert_eq!(setup.get(&format!("{MPN}/ScheduledQueries?includeSystemQueries=false")).await.0, 404);
    let (_, own) = setup.report(json!({})).await;
    assert_eq!(own["value"][0]["user"], "reports@fabrikam.example");
    assert_eq!(setup.get(&format!("{MPN}/ScheduledReport")).await.1["totalCount"], 1);
}

#[tokio::test]
async fn a_device_code_waits_for_a_person_and_is_good_for_one_token() {
    let setup = Setup::new().await;
    let code = device_code(&setup).await;
    assert_eq!((&code["expires_in"], &code["interval"]), (&json!(900), &json!(5)));
    let ask = async || poll(&setup, &code).await.1["error"].as_str().unwrap_or_default().to_owned();

    let waiting = ask().await;
    let hasty = ask().await;
    setup.clock.advance(Duration::from_secs(5));
    let still_waiting = ask().await;
    assert!(!setup.sandbox.world.approve_device("ZZZZZZZZ"));
    assert!(setup.sandbox.world.approve_device(&code["user_code"].as_str().unwrap().to_lowercase()));
    let (taken, tokens) = poll(&setup, &code).await;
    let again = ask().await;

    assert_eq!([waiting, hasty, still_waiting], ["authorization_pending", "slow_down", "authorization_pending"]);
    assert_eq!((taken.as_u16(), again.as_str()), (200, "invalid_grant"));
    assert!(tokens["refresh_token"].is_string() && tokens["expires_in"].is_number());
}

#[tokio::test]
async fn a_device_code_is_declined_on_the_page_and_runs_out_by_itself() {
    let setup = Setup::new().await;
    let (declined, expired) = (device_code(&setup).await, device_code(&setup).await);
    let form = [("user_code", declined["user_code"].as_str().unwrap()), ("answer", "decline")];

    let page = setup.client.post(declined["verification_uri"].as_str().unwrap()).form(&form).send().await.unwrap();
    setup.clock.advance(Duration::from_secs(60));
    let after_decline = poll(&setup, &declined).await.1;
    setup.clock.advance(Duration::from_secs(840));
    let path = setup.url(&format!("sandbox/api/device/{}", expired["user_code"].as_str().unwrap()));
    let too_late = setup.client.post(path).json(&json!({"approve": true})).send().await.unwrap();

    assert!(page.text().await.unwrap().contains("Declined."));
    assert_eq!(after_decline["error"], "authorization_declined");
    assert_eq!(too_late.status(), 404);
    assert_eq!(poll(&setup, &expired).await.1["error"], "expired_token");
}

fn still() -> Settings {
    Settings { ticking: false, ..Settings::default() }
}

async fn start_at(settings: Settings) -> Sandbox {
    start(settings, Clock::set_at("2026-11-20T08:00:00Z".parse().unwrap())).await.unwrap()
}

async fn device_code(setup: &Setup) -> Value {
    let user = setup.sandbox.world.account(0);
    let scope = "https://api.partnercenter.microsoft.com/user_impersonation offline_access";
    let form = [("client_id", user.client_id.as_str()), ("scope", scope)];
    let path = setup.url(&format!("{}/oauth2/v2.0/devicecode", user.tenant));
    setup.client.post(path).form(&form).send().await.unwrap().json().await.unwrap()
}

async fn poll(setup: &Setup, code: &Value) -> (StatusCode, Value) {
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", code["device_code"].as_str().unwrap()),
        ("scope", ""),
    ];
    taken_apart(setup.sign_in("oauth2/v2.0/token", &form).await).await
}

/// The answer to a person's new sign-in.
async fn device_token(setup: &Setup) -> Value {
    let code = device_code(setup).await;
    assert!(setup.sandbox.world.approve_device(code["user_code"].as_str().unwrap()));
    poll(setup, &code).await.1
}
