//! The command's switches, from the command line to the wire.

use reqwest::Client;
use serde_json::{Value, json};

use crate::support::command::{Running, ended, tidings};

const TWO_ACCOUNTS: &str = r#"[{"tenant": "fabrikam", "client_id": "app-2", "client_secret": "s2", "username": "b@fabrikam.example",
    "password": "p2", "refresh_token": "r2", "secret_expires_at": "2031-01-01T00:00:00Z"}]"#;

#[tokio::test]
async fn the_switches_of_the_command_reach_the_wire() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = directory.path().join("accounts.json");
    std::fs::write(&accounts, TWO_ACCOUNTS).unwrap();
    let arguments = [
        "sandbox",
        "--listen",
        "127.0.0.1:0",
        "--accounts",
        accounts.to_str().unwrap(),
        "--now",
        "2030-06-01T00:00:00Z",
        "--casing",
        "camel",
        "--page-size",
        "4",
        "--relative-next-links",
        "--strict-refresh",
        "--fault",
        "throttled=2",
        "--pending-seconds",
        "1000",
        "--default-executions",
        "documented",
        "--rows",
        "3",
        "--seed",
        "9",
    ];
    let mut sandbox = Running::start(&mut tidings(&arguments));
    let api = sandbox.line("api mpn").await;
    let origin = api.split("/insights").next().unwrap().to_owned();
    let client = Client::builder().no_proxy().build().unwrap();
    let form = |refresh: String| {
        [
            ("grant_type", "refresh_token".to_owned()),
            ("resource", "https://api.partnercenter.microsoft.com".to_owned()),
            ("client_id", "app-2".to_owned()),
            ("client_secret", "s2".to_owned()),
            ("refresh_token", refresh),
        ]
    };
    let sign_in = async |refresh: &str| -> Value {
        let request = client.post(format!("{origin}/fabrikam/oauth2/token")).form(&form(refresh.to_owned()));
        request.send().await.unwrap().json().await.unwrap()
    };

    let tokens = sign_in("r2").await;
    sign_in(tokens["refresh_token"].as_str().unwrap()).await;
    let outdated = sign_in("r2").await;
    let get = async |path: &str| {
        let request = client.get(format!("{api}/{path}")).bearer_auth(tokens["access_token"].as_str().unwrap());
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let throttled = [get("ScheduledDataset").await.0, get("ScheduledDataset").await.0];
    let (_, datasets) = get("ScheduledDataset").await;
    let body = json!({"ReportName": "r", "QueryId": "d8349f7b-a7d1-467e-b26d-434d4a50f26a", "ExecuteNow": true});
    let request = client.post(format!("{api}/ScheduledReport")).bearer_auth(tokens["access_token"].as_str().unwrap());
    let report: Value = request.json(&body).send().await.unwrap().json().await.unwrap();
    let report = &report["value"][0];
    let executions = get(&format!("ScheduledReport/execution/{}", report["reportId"].as_str().unwrap())).await.0;

    assert_eq!(outdated["error"], "invalid_grant");
    assert_eq!(throttled, [429, 429]);
    assert_eq!(datasets["totalCount"], 4);
    assert_eq!(datasets["nextLink"], "/insights/v1/mpn/ScheduledDataset?pageToken=4");
    assert_eq!((&report["user"], &report["callbackMethod"]), (&json!("b@fabrikam.example"), &json!("POST")));
    assert!(report["createdTime"].as_str().unwrap().starts_with("2030-06-01T00:0"), "{report}");
    assert_eq!(executions, 404);
    assert_eq!(sandbox.stop().await, Some(0));
}

#[tokio::test]
async fn accounts_that_cannot_be_read_are_told_with_their_file() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = directory.path().join("accounts.json");
    std::fs::write(&accounts, r#"[{"tenant": "fabrikam"}]"#).unwrap();

    let run =
        ended(&mut tidings(&["sandbox", "--listen", "127.0.0.1:0", "--accounts", accounts.to_str().unwrap()])).await;

    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("accounts.json") && run.err.contains("client_id"), "{}", run.err);
}
