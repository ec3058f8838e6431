//! What a client may narrow, write otherwise or overdo: filters, addresses, quotas and times.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tidings::sandbox::{Fault, Settings};

use super::{CMP, HOUR, MPN, QUERY, Setup, message, receiver};

const SYSTEM_QUERY: &str = "d8349f7b-a7d1-467e-b26d-434d4a50f26a";

#[tokio::test]
async fn queries_are_narrowed_by_id_by_name_and_to_those_of_the_system() {
    let setup = Setup::new().await;
    let id = setup.query().await;
    let ask = async |query: &str| setup.get(&format!("{MPN}/ScheduledQueries?{query}")).await.1["totalCount"].clone();

    let all = ask("").await;
    let system = ask("includeOnlySystemQueries=true").await;

    assert_eq!(all.as_u64(), system.as_u64().map(|count| count + 1));
    assert_eq!([ask(&format!("queryId={id}")).await, ask("queryName=office usage").await], [json!(1), json!(1)]);
    assert_eq!(ask(&format!("queryId={id}&includeOnlySystemQueries=true")).await, 0);
    assert_eq!(ask("queryName=Office").await, 0);
}

#[tokio::test]
async fn executions_of_several_reports_are_asked_for_at_once_and_one_by_its_own_id() {
    let setup = Setup::new().await;
    let reports = [setup.report_id(json!({})).await, setup.report_id(json!({})).await];
    let mut ids = Vec::new();
    for report in &reports {
        ids.push(setup.sandbox.world.run_report_now(report).await.unwrap());
    }
    setup.pass(Duration::from_secs(2)).await;

    let (_, both) = setup.executions(&reports.join(";"), "").await;
    let (_, one) = setup.executions(&reports.join(";"), &format!("?executionId={}", ids[1])).await;

    let told = |answer: &Value| -> Vec<String> {
        let values = answer["value"].as_array().unwrap().iter();
        values.map(|value| value["executionId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((told(&both), told(&one)), (ids.clone(), vec![ids[1].clone()]));
}

#[tokio::test]
async fn an_execution_is_listed_for_90_days() {
    let mut setup = Setup::new().await;
    let report = setup.report_id(json!({"ExecuteNow": true})).await;
    setup.pass(24 * HOUR * 90).await;
    setup.renew_token().await;

    let (listed, _) = setup.executions(&report, "?getLatestExecution=false").await;
    setup.pass(Duration::from_secs(1)).await;
    let (gone, _) = setup.executions(&report, "?getLatestExecution=false").await;

    assert_eq!((listed, gone), (StatusCode::OK, StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn a_deleted_report_is_gone_with_its_executions() {
    let setup = Setup::new().await;
    let report = setup.report_id(json!({"ExecuteNow": true})).await;
    setup.pass(Duration::from_secs(2)).await;
    let path = format!("{MPN}/ScheduledReport/{report}");

    let (status, deleted) = setup.delete(&path).await;

    assert_eq!((status, &deleted["value"][0]["reportStatus"]), (StatusCode::OK, &json!("Inactive")));
    assert_eq!(setup.executions(&report, "").await.0, 404);
    assert_eq!(setup.delete(&path).await.0, 404);
}

#[tokio::test]
async fn an_address_may_have_slashes_too_many_and_names_in_any_case_and_an_unknown_one_is_told_in_an_envelope() {
    let setup = Setup::new().await;
    let tenant = setup.sandbox.world.account(0).tenant.clone();

    for path in
        ["insights/v1/mpn/ScheduledDataset/", "insights/v1/mpn//ScheduledDataset", "Insights/V1/mpn/scheduleddataset"]
    {
        assert_eq!(setup.get(path).await.0, 200, "{path}");
    }
    assert_eq!(setup.get("analytics/cmp/ScheduledDataset").await.0, 200);
    let body = json!({"Name": "n", "Query": QUERY});
    assert_eq!(setup.post(&format!("{MPN}/ScheduledQueries/"), &body).await.0, 200);
    assert_eq!(setup.token_at(&format!("{tenant}/OAuth2/token/"), &[]).await.0, 200);
    let (unknown, answer) = setup.get(&format!("{MPN}/ScheduledReports")).await;
    assert_eq!(
        (unknown, &answer["statusCode"], message(&answer)),
        (StatusCode::NOT_FOUND, &json!(404), "Resource not found")
    );
    let (wrong, answer) = setup.delete(&format!("{MPN}/ScheduledDataset")).await;
    assert_eq!((wrong, message(&answer)), (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"));
    let anonymous = setup.client.get(setup.url(&format!("{MPN}/ScheduledReports"))).send().await.unwrap();
    assert_eq!(anonymous.status(), 401);
}

#[tokio::test]
async fn no_time_is_too_late_for_the_sandbox_and_a_long_sleep_is_caught_up_in_steps() {
    let setup = Setup::with(Settings { speed: 0.001, ..Settings::default() }).await;
    setup.report_id(json!({"StartTime": "9999-01-01T00:00:00Z"})).await;
    setup.sandbox.world.tick().await;
    let far = json!({"now": "+262142-12-31T23:00:00Z"});
    assert_eq!(setup.post("sandbox/api/clock", &far).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    setup.sandbox.world.advance_clock(Duration::MAX);
    setup.sandbox.world.tick().await;
    assert_eq!(setup.get("sandbox/api/state").await.1["now"], "9000-01-01T00:00:00Z");

    let setup = Setup::new().await;
    setup.report_id(json!({"RecurrenceCount": null})).await;
    setup.sandbox.world.advance_clock(24 * HOUR * 3650);
    setup.sandbox.world.tick().await;
    assert_eq!(setup.sandbox.world.reports()[0].executions.len(), 100);
}

#[tokio::test]
async fn a_callback_that_comes_too_early_comes_for_a_report_that_runs_at_once_as_well() {
    let setup = Setup::with(Settings { callback_execute_now: true, ..Settings::default() }).await;
    let (url, calls) = receiver().await;
    setup.sandbox.world.fault(Fault::CallbackEarly);

    let report = setup.report_id(json!({"ExecuteNow": true, "CallbackUrl": url})).await;

    assert_eq!(*calls.lock().unwrap(), [format!("POST /ready/{report} 0")]);
}

#[tokio::test]
async fn no_way_leads_round_the_quotas() {
    let setup = Setup::new().await;
    let path = format!("{MPN}/ScheduledReport");
    let at_once = json!({"ReportName": "r", "QueryId": SYSTEM_QUERY, "ExecuteNow": true});
    let mut over = String::new();
    for _ in 0..5 {
        let (_, made) = setup.post(&path, &at_once).await;
        made["value"][0]["reportId"].as_str().unwrap().clone_into(&mut over);
    }
    setup.pass(Duration::from_secs(2)).await;
    setup.delete(&format!("{path}/{}", setup.sandbox.world.reports()[0].id)).await;
    let (_, sixth) = setup.post(&path, &at_once).await;
    assert_eq!(message(&sixth), "User has exceeded its ExecuteNow report creation quota of 5 reports/60 mins");

    let terms = json!({"ReportName": "r", "QueryId": SYSTEM_QUERY, "StartTime": "2026-11-21T08:00:00Z", "RecurrenceInterval": 24});
    let (_, made) = setup.post(&path, &terms).await;
    let paused = made["value"][0]["reportId"].as_str().unwrap();
    setup.put(&format!("{path}/pause/{paused}"), &json!({})).await;
    for _ in 0..50 {
        assert_eq!(setup.post(&path, &terms).await.0, 200);
    }

    let (_, resumed) = setup.put(&format!("{path}/resume/{paused}"), &json!({})).await;
    let (_, revived) = setup.put(&format!("{path}/{over}"), &terms).await;

    let quota = "User has exceeded its report creation quota of 50 active reports";
    assert_eq!((message(&resumed), message(&revived)), (quota, quota));
}

#[tokio::test]
async fn an_end_of_the_schedule_is_known_to_the_newest_version_for_the_marketplace_alone() {
    let setup = Setup::new().await;
    let end = async |base: &str, query: &str| {
        let body = json!({"ReportName": "r", "QueryId": query, "StartTime": "2026-11-21T08:00:00Z", "RecurrenceInterval": 24,
            "EndTime": "2026-12-01T00:00:00Z"});
        let (status, answer) = setup.post(&format!("{base}/ScheduledReport"), &body).await;
        assert_eq!(status, 200, "{answer}");
        answer["value"][0]["endTime"].clone()
    };

    assert_eq!(end(CMP, "b9df4929-073f-4795-b0cb-a2c81b11e28d").await, "2026-12-01T00:00:00Z");
    assert_eq!(end("insights/v1/cmp", "b9df4929-073f-4795-b0cb-a2c81b11e28d").await, Value::Null);
    assert_eq!(end(MPN, SYSTEM_QUERY).await, Value::Null);
}

#[tokio::test]
async fn what_a_call_cannot_show_or_says_besides_does_not_lead_it_astray() {
    let setup = Setup::new().await;
    setup.sandbox.world.fault(Fault::DataRedacted);
    setup.get(&format!("{CMP}/ScheduledDataset")).await;
    assert_eq!(setup.get(&format!("{MPN}/ScheduledDataset")).await.1["dataRedacted"], true);

    let request = setup.client.get(setup.url(&format!("{MPN}/ScheduledDataset"))).header("Authorization", &setup.token);
    assert_eq!(request.header("X-AadUserTicket", &setup.token).send().await.unwrap().status(), 200);

    let path = format!("{MPN}/ScheduledQueries/testQueryResult?queryId={SYSTEM_QUERY}&startTime=soon");
    let (_, answer) = setup.get(&path).await;
    assert!(
        message(&answer).starts_with("Internal error encountered while testing query. Correlation ID "),
        "{answer}"
    );

    setup.sandbox.world.fault(Fault::ExecutionFailed);
    let report = setup.report_id(json!({"ExecuteNow": true})).await;
    setup.pass(Duration::from_secs(2)).await;
    assert_eq!(setup.executions(&report, "").await.0, 404);

    let tenant = &setup.sandbox.world.account(0).tenant;
    let (status, tokens) = setup.token_at(&format!("{tenant}/oauth2/v2.0/token"), &[("scope", "")]).await;
    assert_eq!((status, tokens["refresh_token"].is_string()), (StatusCode::OK, true));
}

#[tokio::test]
async fn a_control_call_of_another_site_or_with_an_unknown_key_is_refused() {
    let setup = Setup::new().await;
    let call = async |header: &'static str, value: String, body: &'static str| {
        let request = setup.client.post(setup.url("sandbox/api/faults")).header(header, value).body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let fault = r#"{"fault": "throttled"}"#;
    let own = setup.sandbox.url().as_str().trim_end_matches('/').to_owned();

    assert_eq!(call("Origin", "https://evil.example".to_owned(), fault).await.0, 403);
    assert_eq!(call("Sec-Fetch-Site", "cross-site".to_owned(), fault).await.0, 403);
    assert_eq!(call("Sec-Fetch-Site", "same-origin".to_owned(), fault).await.0, 200);
    assert_eq!(call("Origin", own, fault).await.0, 200);
    let (status, text) = call("X-Other", String::new(), r#"{"fault": "throttled", "tims": 2}"#).await;
    assert!(status == 422 && text.contains("tims"), "{text}");
    let (status, page) = call("Content-Type", "application/x-www-form-urlencoded".to_owned(), "fault=flood").await;
    assert!(status == 422 && page.starts_with("<!doctype html>") && page.contains("flood"), "{page}");
    let code = setup.client.post(setup.url("sandbox/api/device/BCDFGHJK")).body(r#"{"approve": true}"#).send();
    assert_eq!(code.await.unwrap().status(), 404);
}

#[tokio::test]
async fn the_samples_of_microsoft_find_what_they_demand_where_the_switches_say_so() {
    let asks = async |settings: Settings| {
        let setup = Setup::with(settings).await;
        let report = setup.report_id(json!({"ExecuteNow": true})).await;
        setup.pass(Duration::from_secs(2)).await;
        let (_, executions) = setup.executions(&report, "").await;
        let path = format!("{MPN}/ScheduledQueries/testQueryResult?queryId={SYSTEM_QUERY}");
        let rows = setup.get(&path).await.1["totalCount"].clone();
        let graph = setup.sign_in("oauth2/token", &[("resource", "https://graph.windows.net")]).await.status();
        let scope = "https://graph.ppe.windows.net/.default";
        let newer = setup.sign_in("oauth2/v2.0/token", &[("scope", scope)]).await.status();
        (executions["value"][0]["reportLocation"].is_string(), rows, graph.as_u16(), newer.as_u16())
    };
    let like_samples = Settings {
        report_location: true,
        test_rows: 10,
        audience: tidings::sandbox::Audience::Any,
        ..Settings::default()
    };

    assert_eq!(asks(like_samples).await, (true, json!(10), 200, 200));
    assert_eq!(asks(Settings::default()).await, (false, json!(100), 400, 400));
}
