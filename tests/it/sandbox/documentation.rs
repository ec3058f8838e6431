//! `SANDBOX.md` names all that there is, and the worked examples of the real documentation can be answered.

use std::time::Duration;

use serde_json::{Value, json};
use tidings::sandbox::Fault;

use super::{MPN, Setup};
use crate::support::command::{ended, tidings};

const PAGE: &str = include_str!("../../../SANDBOX.md");

#[tokio::test]
async fn every_flag_and_every_fault_is_in_its_document_and_none_that_is_not_there() {
    let help = ended(&mut tidings(&["sandbox", "--help"])).await.out;
    let flags = |text: &str| -> std::collections::BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        words.filter(|word| word.starts_with("--") && !word.ends_with('-')).map(str::to_owned).collect()
    };
    let (there, told) = (flags(&help), flags(PAGE));
    let others = ["--help", "--log", "--log-format"];

    let missing: Vec<_> = there.difference(&told).filter(|flag| !others.contains(&flag.as_str())).collect();
    let invented: Vec<_> = told.difference(&there).collect();
    let faults: Vec<_> =
        Fault::ALL.iter().filter(|fault| !PAGE.contains(&format!("| `{fault}` | {} |", fault.about()))).collect();

    assert!(missing.is_empty() && invented.is_empty(), "{missing:?} {invented:?}");
    assert!(faults.is_empty(), "{faults:?}");
}

#[tokio::test]
async fn the_worked_examples_are_answered_field_for_field() {
    let setup = Setup::new().await;
    let envelope = ["dataRedacted", "message", "nextLink", "statusCode", "totalCount", "value"];
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let sorted = |names: &str| {
        let mut names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
        names.sort();
        names
    };
    let report = setup.report_id(json!({"CallbackUrl": "https://hooks.example/x", "CallbackMethod": "GET"})).await;
    setup.sandbox.world.run_report_now(&report).await.unwrap();
    setup.pass(Duration::from_secs(2)).await;

    for (path, message, names) in [
        (
            "ScheduledDataset?datasetName=DynamicsUsage".to_owned(),
            json!("Dataset fetched successfully"),
            "datasetName selectableColumns availableMetrics availableDateRanges minimumRecurrenceInterval",
        ),
        (
            "ScheduledQueries?includeSystemQueries=false".to_owned(),
            json!("Queries fetched successfully"),
            "queryId name description query type user createdTime",
        ),
        (
            "ScheduledQueries/testQueryResult?exportQuery=SELECT%20SubscriptionId%20from%20DynamicsUsage".to_owned(),
            Value::Null,
            "SubscriptionId",
        ),
        (
            format!("ScheduledReport?reportId={report}"),
            json!("Reports fetched successfully"),
            "reportId reportName description queryId query user createdTime modifiedTime executeNow startTime reportStatus \
             recurrenceInterval recurrenceCount callbackUrl CallbackMethod format",
        ),
        (
            format!("ScheduledReport/execution/{report}"),
            Value::Null,
            "executionId reportId recurrenceInterval recurrenceCount callbackUrl CallbackMethod format executionStatus \
             reportLocation reportAccessSecureLink reportExpiryTime reportGeneratedTime",
        ),
    ] {
        let (status, answer) = setup.get(&format!("{MPN}/{path}")).await;

        assert_eq!((status.as_u16(), &answer["message"]), (200, &message), "{path}");
        assert_eq!(fields(&answer), envelope, "{path}");
        assert_eq!(fields(&answer["value"][0]), sorted(names), "{path}");
    }
}
