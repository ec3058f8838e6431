//! Programs that were written without us: a polling client of Python, and the receivers of Microsoft's sample applications.

use std::time::Duration;

use serde_json::json;
use tokio::process::Command;

use super::{HOUR, MPN, Setup, message, receiver};
use crate::support::command::{Running, tidings};
use crate::support::peers;

#[tokio::test]
async fn a_polling_client_of_python_gets_its_file_from_the_program_as_it_is_started() {
    let requests = peers::pip("requests", "2.32.5");
    let Some(requests) = peers::or_skip("a polling client of Python", requests) else { return };
    let mut sandbox = Running::start(&mut tidings(&["sandbox", "--listen", "127.0.0.1:0"]));
    let api = sandbox.line("api mpn").await;
    let mut said = Vec::new();
    for name in ["tenant", "client", "secret", "user", "password"] {
        // The refresh token is printed in between and not used.
        said.push(sandbox.line(&format!("{name} ")).await);
    }
    let login = api.split("/insights").next().unwrap().to_owned();

    let client = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/polling_client.py");
    let mut run = Command::new("python3");
    run.arg(client).args([&login, &api]).args(&said).arg("1").env("PYTHONPATH", requests).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), run.output()).await.unwrap().unwrap();

    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        [
            "query: Query created successfully",
            "report: Report created successfully",
            "statuses: Pending, Completed",
            "columns: PGAMpnId,TrainingTitle,Month,Email",
            "rows: 1000",
        ]
    );
    assert_eq!(sandbox.stop().await, Some(0));
}

#[tokio::test]
async fn the_samples_of_microsoft_are_called_by_post_with_the_id_in_the_path_and_no_body() {
    let setup = Setup::new().await;
    let (url, calls) = receiver().await;
    let report = setup.report_id(json!({"CallbackUrl": url.replace("/ready", "/api/reportready")})).await;

    setup.pass(4 * HOUR + Duration::from_secs(2)).await;

    assert_eq!(*calls.lock().unwrap(), [format!("POST /api/reportready/{report} 0")]);
}

#[tokio::test]
async fn form_data_under_a_json_header_is_refused_in_clear_words() {
    let setup = Setup::new().await;
    let body = [("ReportName", "AzureUsage"), ("QueryId", "d1a4d75e-5ca8-4847-845f-ee0a9be6f07b")];
    for path in ["ScheduledReport", "ScheduledQueries"] {
        let request = setup.client.post(setup.url(&format!("{MPN}/{path}"))).form(&body);
        let request = request.header("X-AadUserTicket", &setup.token).header("Content-Type", "Application/JSON");

        let (status, answer) = super::taken_apart(request.send().await.unwrap()).await;

        assert_eq!(status, 400);
        assert!(message(&answer).contains("form data"), "{answer}");
    }
}
