//! What happens by itself: runs, their states, and the callbacks at their end.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tidings::clock::Clock;
use tidings::sandbox::world::{Answer, ExecutionStatus, ReportStatus};
use tidings::sandbox::{Fault, Settings, start};

use super::{HOUR, MPN, Setup, message, receiver};

#[tokio::test]
async fn an_execution_walks_from_pending_to_completed_and_is_a_404_before() {
    let mut setup = Setup::new().await;
    let report = setup.report_id(json!({})).await;
    let open = "?executionStatus=Pending;Running";

    let (before, none) = setup.executions(&report, "").await;
    setup.pass(4 * HOUR).await;
    setup.renew_token().await;
    let (_, pending) = setup.executions(&report, open).await;
    let (hidden, _) = setup.executions(&report, "").await;
    setup.pass(Duration::from_secs(1)).await;
    let (_, running) = setup.executions(&report, open).await;
    setup.pass(Duration::from_secs(1)).await;
    let (_, completed) = setup.executions(&report, "").await;

    assert_eq!((before, hidden), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    assert!(message(&none).starts_with("There are no executions that have occurred for the given filter conditions."));
    assert_eq!(pending["value"][0]["executionStatus"], "Pending");
    assert_eq!(running["value"][0]["executionStatus"], "Running");
    let completed = &completed["value"][0];
    assert_eq!(completed["executionStatus"], "Completed");
    assert_eq!(completed["reportGeneratedTime"], "2026-11-20T12:00:02Z");
    assert_eq!(completed["executionId"], pending["value"][0]["executionId"]);
    assert_eq!(setup.sandbox.world.counts().execution_questions[&report], 5);
}

#[tokio::test]
async fn a_report_runs_on_schedule_sooner_with_speed_until_its_last_occurrence() {
    let setup = Setup::with(Settings { speed: 3600.0, ..Settings::default() }).await;
    let report = setup.report_id(json!({})).await;

    setup.pass(Duration::from_secs(4)).await;
    setup.pass(Duration::from_secs(24 * 3)).await;

    let (_, all) = setup.executions(&report, "?getLatestExecution=false").await;
    let times: Vec<&Value> = all["value"].as_array().unwrap().iter().map(|one| &one["reportGeneratedTime"]).collect();
    assert_eq!(times, ["2026-11-20T08:00:54Z", "2026-11-20T08:00:30Z", "2026-11-20T08:00:06Z"]);
    assert_eq!(setup.executions(&report, "").await.1["totalCount"], 1);
    let (_, listed) = setup.get(&format!("{MPN}/ScheduledReport?reportId={report}")).await;
    assert_eq!(listed["value"][0]["reportStatus"], "Inactive");
}

#[tokio::test]
async fn a_paused_report_does_not_run_and_an_updated_one_runs_by_its_new_terms() {
    let setup = Setup::with(Settings { speed: 3600.0, ..Settings::default() }).await;
    let report = setup.report_id(json!({"RecurrenceCount": null})).await;
    let path = format!("{MPN}/ScheduledReport");

    let (_, paused) = setup.put(&format!("{path}/pause/{report}"), &json!({})).await;
    setup.pass(Duration::from_mins(1)).await;
    let (while_paused, _) = setup.executions(&report, "").await;
    let (_, resumed) = setup.put(&format!("{path}/resume/{report}"), &json!({})).await;
    let terms = json!({"ReportName": "Renamed", "StartTime": "2026-11-20T13:00:00Z", "RecurrenceInterval": 48});
    let (_, updated) = setup.put(&format!("{path}/{report}"), &terms).await;
    setup.pass(Duration::from_secs(8)).await;

    assert_eq!(paused["value"][0]["reportStatus"], "Paused");
    assert_eq!(while_paused, 404);
    assert_eq!(resumed["value"][0]["reportStatus"], "Active");
    assert_eq!(
        (message(&updated), &updated["value"][0]["recurrenceInterval"]),
        ("Report updated successfully", &json!(48))
    );
    assert_eq!(setup.executions(&report, "?getLatestExecution=false").await.1["totalCount"], 1);
    assert_eq!(message(&setup.delete(&format!("{path}/{report}")).await.1), "Report deleted successfully");
    assert_eq!(setup.executions(&report, "").await.0, 404);
}

#[tokio::test]
async fn a_completed_execution_is_called_back_by_either_method_with_an_empty_body() {
    let setup = Setup::new().await;
    let (url, calls) = receiver().await;
    let posted = setup.report_id(json!({"CallbackUrl": url})).await;
    let got = setup.report_id(json!({"CallbackUrl": url, "CallbackMethod": "GET"})).await;

    setup.pass(4 * HOUR).await;
    assert!(calls.lock().unwrap().is_empty());
    setup.pass(Duration::from_secs(2)).await;

    let mut calls = calls.lock().unwrap().clone();
    calls.sort();
    assert_eq!(calls, [format!("GET /ready?reportId={got} 0"), format!("POST /ready/{posted} 0")]);
    let answers: Vec<Answer> = setup.sandbox.world.callbacks().into_iter().map(|sent| sent.answer).collect();
    assert_eq!(answers, [Answer::Status(200), Answer::Status(200)]);
}

#[tokio::test]
async fn a_report_that_runs_at_once_calls_nobody_and_is_over() {
    let setup = Setup::new().await;
    let (url, calls) = receiver().await;

    let report = setup.report_id(json!({"ExecuteNow": true, "CallbackUrl": url, "StartTime": null})).await;
    setup.pass(Duration::from_secs(2)).await;

    assert_eq!(setup.executions(&report, "").await.1["value"][0]["executionStatus"], "Completed");
    assert!(calls.lock().unwrap().is_empty());
    assert_eq!(setup.sandbox.world.reports()[0].status, ReportStatus::Inactive);
}

#[tokio::test]
async fn a_callback_can_be_lost_or_come_twice_or_too_early() {
    let setup = Setup::with(Settings { speed: 3600.0, ..Settings::default() }).await;
    let (url, calls) = receiver().await;
    let report = setup.report_id(json!({"CallbackUrl": url})).await;
    let calls = || calls.lock().unwrap().len();

    setup.sandbox.world.fault(Fault::CallbackLost);
    setup.pass(Duration::from_secs(6)).await;
    let after_lost = calls();
    setup.sandbox.world.fault(Fault::CallbackTwice);
    setup.pass(Duration::from_secs(24)).await;
    let after_twice = calls();
    setup.sandbox.world.fault(Fault::CallbackEarly);
    setup.pass(Duration::from_secs(22)).await;
    let (_, open) = setup.executions(&report, "?executionStatus=Pending").await;
    let after_early = calls();
    setup.pass(Duration::from_secs(10)).await;

    assert_eq!((after_lost, after_twice, after_early, calls()), (0, 2, 3, 3));
    assert_eq!(open["totalCount"], 1);
    assert_eq!(setup.executions(&report, "?getLatestExecution=false").await.1["totalCount"], 3);
}

#[tokio::test]
async fn a_failed_execution_is_shown_only_to_those_who_ask_for_it_and_calls_nobody() {
    let setup = Setup::new().await;
    let (url, calls) = receiver().await;
    let report = setup.report_id(json!({"CallbackUrl": url})).await;
    setup.sandbox.world.fault(Fault::ExecutionFailed);
    let id = setup.sandbox.world.run_report_now(&report).await.unwrap();

    setup.pass(Duration::from_secs(2)).await;

    assert_eq!(setup.executions(&report, "").await.0, 404);
    let (_, failed) = setup.executions(&report, "?executionStatus=failed").await;
    assert_eq!(
        (&failed["value"][0]["executionId"], &failed["value"][0]["reportAccessSecureLink"]),
        (&json!(id), &Value::Null)
    );
    assert!(calls.lock().unwrap().is_empty());
    assert_eq!(setup.sandbox.world.reports()[0].executions[0].status, ExecutionStatus::Failed);
}

#[tokio::test]
async fn time_passes_by_itself_and_ends_with_the_sandbox() {
    let settings = Settings { run_time: Duration::from_millis(100), ..Settings::default() };
    let sandbox = start(settings, Clock::system()).await.unwrap();
    let url = sandbox.url();
    let client = Client::builder().no_proxy().build().unwrap();
    let (callback_url, calls) = receiver().await;
    let mut setup = Setup { sandbox, clock: Clock::system(), client, token: String::new() };
    setup.renew_token().await;
    let start: DateTime<Utc> = setup.clock.now() + 5 * HOUR;
    let start = start.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let report = setup.report_id(json!({"CallbackUrl": callback_url, "StartTime": start})).await;

    setup.sandbox.world.run_report_now(&report).await.unwrap();
    for _ in 0..200 {
        if !calls.lock().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }

    assert_eq!(*calls.lock().unwrap(), [format!("POST /ready/{report} 0")]);
    setup.sandbox.stop().await;
    assert!(setup.client.get(url).send().await.is_err());
}
