//! The control page and its calls: by a program as JSON, by a browser as forms.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{MPN, Setup};

impl Setup {
    /// Makes a control call.
    async fn control(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.post(&format!("sandbox/api/{path}"), &body).await
    }
}

#[tokio::test]
async fn the_clock_moves_the_sandbox_alone_and_what_is_due_happens() {
    let setup = Setup::new().await;
    let report = setup.report_id(json!({})).await;
    let outside = setup.clock.now();

    let (_, advanced) = setup.control("clock", json!({"advance": "5h"})).await;
    let status = setup.sandbox.world.reports()[0].executions[0].status;
    let (_, set) = setup.control("clock", json!({"now": "2027-01-01T00:00:00Z"})).await;
    let (wrong, _) = setup.control("clock", json!({"advance": "soon"})).await;

    assert_eq!((&advanced["now"], &set["now"]), (&json!("2026-11-20T13:00:00Z"), &json!("2027-01-01T00:00:00Z")));
    assert_eq!(json!(status), "Completed", "{report}");
    assert_eq!((wrong, setup.clock.now()), (StatusCode::UNPROCESSABLE_ENTITY, outside));
}

#[tokio::test]
async fn faults_are_counted_rated_and_cleared() {
    let setup = Setup::new().await;

    let (_, counted) = setup.control("faults", json!({"fault": "throttled", "times": 2})).await;
    let (_, rated) = setup.control("faults", json!({"fault": "server-error", "rate": 1.0})).await;
    let curl = setup.client.post(setup.url("sandbox/api/faults")).body(r#" {"fault": "throttled", "times": 0}"#);
    let curl = curl.header("Content-Type", "application/x-www-form-urlencoded").send().await.unwrap();
    assert_eq!(super::taken_apart(curl).await.1["faults"]["throttled"], 2);
    let (refused, _) = setup.control("faults", json!({"fault": "server-error", "rate": 2})).await;
    let (unknown, _) = setup.control("faults", json!({"fault": "flood"})).await;
    let path = format!("{MPN}/ScheduledDataset");
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(setup.get(&path).await.0.as_u16());
    }
    let (_, cleared) = setup.control("faults/clear", json!({})).await;

    assert_eq!((&counted["faults"]["throttled"], &rated["rates"]["server-error"]), (&json!(2), &json!(1.0)));
    assert_eq!((refused, unknown), (StatusCode::UNPROCESSABLE_ENTITY, StatusCode::UNPROCESSABLE_ENTITY));
    assert_eq!(seen, [429, 429, 500, 500]);
    assert_eq!(cleared, json!({"faults": {}, "rates": {}}));
    assert_eq!(setup.get(&path).await.0, 200);
}

#[tokio::test]
async fn files_links_tokens_and_the_second_factor_have_their_switches() {
    let setup = Setup::new().await;
    setup.control("files", json!({"rows": 0, "columns": ["Month", "Renamed"]})).await;
    let link = setup.link().await;
    let file = setup.client.get(&link).send().await.unwrap().bytes().await.unwrap();

    setup.control("links/expire", json!({})).await;
    let expired = setup.client.get(&link).send().await.unwrap().status();
    let fresh = setup.client.get(setup.link().await).send().await.unwrap().status();
    setup.control("mfa", json!({"demanded": true})).await;
    let demanded = setup.sign_in("oauth2/token", &[("grant_type", "refresh_token")]).await.status();
    setup.control("mfa", json!({"demanded": false})).await;
    setup.control("tokens/revoke", json!({})).await;

    assert_eq!(super::lines(&file), ["Month,Renamed"]);
    assert_eq!((expired, fresh, demanded), (StatusCode::FORBIDDEN, StatusCode::OK, StatusCode::BAD_REQUEST));
    assert_eq!(setup.get(&format!("{MPN}/ScheduledDataset")).await.0, 401);
}

#[tokio::test]
async fn reports_change_behind_the_back_of_whoever_made_them() {
    let setup = Setup::new().await;
    let report = setup.report_id(json!({"CallbackUrl": "https://hooks.example/x"})).await;
    let call = async |verb: &str, body: Value| setup.control(&format!("reports/{report}/{verb}"), body).await.0;
    let listed = async || setup.get(&format!("{MPN}/ScheduledReport?reportId={report}")).await.1["value"][0].clone();

    let paused = call("pause", json!({})).await;
    let changed = call("change", json!({"name": "Other", "callback_url": "https://elsewhere.example/"})).await;
    let seen = listed().await;
    let again = call("pause", json!({})).await;
    let resumed = call("resume", json!({})).await;
    let ran = call("run", json!({})).await;
    setup.pass(Duration::from_secs(2)).await;
    let executions = setup.executions(&report, "").await.0;
    let deleted = call("delete", json!({})).await;

    assert_eq!((&seen["reportStatus"], &seen["reportName"]), (&json!("Paused"), &json!("Other")));
    assert_eq!(seen["callbackUrl"], "https://elsewhere.example/");
    assert_eq!([paused, changed, resumed, ran, executions, deleted], [StatusCode::OK; 6]);
    assert_eq!((again, call("run", json!({})).await), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn the_page_has_a_form_for_each_and_is_shown_again_afterwards() {
    let setup = Setup::new().await;
    let report = setup.report_id(json!({"ReportName": "<Daily>"})).await;
    let page = setup.client.get(setup.url("sandbox/control")).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let page = page.text().await.unwrap();

    let submit = async |path: &str, form: &[(&str, &str)]| {
        let request = setup.client.post(setup.url(&format!("sandbox/api/{path}"))).form(form);
        let response = request.header("Referer", setup.url("sandbox/control")).send().await.unwrap();
        assert_eq!((response.status(), response.url().path()), (StatusCode::OK, "/sandbox/control"), "{path}");
    };
    submit("clock", &[("advance", "5h")]).await;
    submit("files", &[("rows", "7"), ("columns", "Month, Other")]).await;
    submit("faults", &[("fault", "throttled"), ("times", "3"), ("rate", "")]).await;
    submit("mfa", &[("demanded", "true")]).await;
    submit(&format!("reports/{report}/change"), &[("name", "By form"), ("callback_url", "")]).await;
    submit(&format!("reports/{report}/pause"), &[]).await;

    assert!(policy.contains("form-action 'self'") && policy.contains("default-src 'none'"), "{policy}");
    assert!(page.contains("&lt;Daily&gt;") && !page.contains("<script"));
    for action in ["clock", "files", "faults", "faults/clear", "mfa", "tokens/revoke", "links/expire"] {
        assert!(page.contains(&format!("action=\"/sandbox/api/{action}\"")), "{action}");
    }
    let (_, state) = setup.get("sandbox/api/state").await;
    assert_eq!((&state["now"], &state["rows"]), (&json!("2026-11-20T13:00:00Z"), &json!(7)));
    assert_eq!((&state["columns"], &state["faults"]["throttled"]), (&json!(["Month", "Other"]), &json!(3)));
    assert_eq!((&state["mfa_demanded"], &state["reports"][0]["terms"]["name"]), (&json!(true), &json!("By form")));
    assert_eq!(state["reports"][0]["status"], "Paused");
}
