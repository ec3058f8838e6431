//! What `tidings apply` must not do: remove what the file names, forget a refusal, plan the same change for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::{Response, StatusCode};

use super::Desk;
use crate::support::server::{Server, hand_on};

const REFUSAL: &str = r#"{"value": null, "totalCount": 0, "message": "no more today", "statusCode": 400}"#;

#[tokio::test]
async fn prune_removes_nothing_that_the_same_file_names() {
    let desk = Desk::new().await;
    desk.apply(&desk.example(), &[]).await;
    let before = desk.everything().await;
    let file = "\
accounts: []
queries: []
reports:
  - {name: Also, account: Contoso, interval_hours: 24, query: Office usage}
subscriptions:
  - {name: Ann, endpoint: {channel: email, to: ann@example.com}, reports: [\"Office usage, daily\"]}
";

    let ended = desk.apply(file, &["--prune"]).await;
    let kept = desk.apply(file, &["--dry-run"]).await;

    assert_eq!(ended.code, Some(1));
    for told in [
        "error: 3 things are wrong with tidings.yaml; nothing was changed",
        ":4: reports[0] \"Also\": account Contoso is named here and not in `accounts`; --prune would remove it",
        ":4: reports[0] \"Also\": query Contoso/Office usage is named here and not in `queries`; --prune would remove it",
        ":6: subscriptions[0] \"Ann\": report Contoso/Office usage, daily is named here and not in `reports`;",
    ] {
        assert!(ended.err.contains(told), "{told} is missing in {}", ended.err);
    }
    assert_eq!(desk.everything().await, before);
    assert!(!kept.out.contains("?  report       Contoso/Office usage, daily"), "{}", kept.out);
    assert!(
        kept.out.contains("?  report       Contoso/Azure usage, weekly  (not in the file: --prune"),
        "{}",
        kept.out
    );
}

#[tokio::test]
async fn prune_leaves_alone_what_belongs_to_accounts_that_the_file_does_not_name() {
    let desk = Desk::new().await;
    desk.apply(&desk.example(), &[]).await;
    let other = desk.app.marketplace_account().await;
    let query = serde_json::json!({ "name": "Theirs", "query": "SELECT OrderId FROM ISVOrder" });
    desk.app.post(&format!("/accounts/{other}/queries"), query).await;
    let file = "\
queries: []
reports:
  - {name: Only, account: Contoso, interval_hours: 24, select: SELECT Month FROM OfficeUsage}
";

    let ended = desk.apply(file, &["--prune"]).await;

    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(desk.names("reports").await, ["Only", "Orders"]);
    assert_eq!(desk.app.list(&format!("/accounts/{other}/queries")).await.len(), 1);
}

#[tokio::test]
async fn a_report_that_is_refused_is_tried_again_by_every_run_and_told_as_long_as_it_is() {
    let desk = Desk::new().await;
    let refuses = Arc::new(AtomicBool::new(true));
    desk.app.account_through(&refusing(&desk, &refuses).await).await;
    let file =
        "reports:\n  - {name: Often, account: Contoso, interval_hours: 24, select: SELECT Month FROM OfficeUsage}\n";

    let (first, second) = (desk.apply(file, &[]).await, desk.apply(file, &[]).await);
    refuses.store(false, Ordering::Relaxed);
    let third = desk.apply(file, &[]).await;

    assert_eq!((first.code, second.code, third.code), (Some(1), Some(1), Some(0)), "{}{}", second.out, third.err);
    assert!(second.out.contains("is tried again; it was refused: "), "{}", second.out);
    assert!(second.out.contains("To make 0, to change 0, to try again 1, to remove 0; 0 as they"), "{}", second.out);
    assert!(second.err.contains("not all reports were taken") && second.err.contains("\n  Often: "), "{}", second.err);
    assert!(third.out.contains("tried again report Contoso/Often\nreport   Often is registered\n"), "{}", third.out);
    assert_eq!(desk.apply(file, &[]).await.out, "Nothing to do: 1 as they shall be.\n");
}

#[tokio::test]
async fn a_report_that_is_refused_when_its_query_changes_is_told() {
    let desk = Desk::new().await;
    let refuses = Arc::new(AtomicBool::new(false));
    desk.app.account_through(&refusing(&desk, &refuses).await).await;
    let file = "\
queries:
  - {name: Usage, account: Contoso, query: SELECT Month FROM OfficeUsage}
reports:
  - {name: Often, account: Contoso, interval_hours: 24, query: Usage}
";
    let made = desk.apply(file, &[]).await;
    refuses.store(true, Ordering::Relaxed);
    let changed = file.replace("SELECT Month", "SELECT CustomerName");

    let refused = desk.apply(&changed, &[]).await;
    refuses.store(false, Ordering::Relaxed);
    let mended = desk.apply(&changed, &[]).await;

    assert_eq!((made.code, refused.code, mended.code), (Some(0), Some(1), Some(0)), "{}{}", made.err, mended.err);
    assert!(refused.out.contains("To make 0, to change 1, to remove 0; 1 as they shall be."), "{}", refused.out);
    assert!(refused.out.contains("changed  query Contoso/Usage"), "{}", refused.out);
    assert!(
        refused.err.contains("not all reports were taken") && refused.err.contains("\n  Often: "),
        "{}",
        refused.err
    );
    assert!(mended.out.contains("report   Often is registered\n"), "{}", mended.out);
}

/// Somebody between us and the sandbox who takes no report while `refuses`; the sandbox hears nothing of it.
async fn refusing(desk: &Desk, refuses: &Arc<AtomicBool>) -> Server {
    let (refuses, other) = (refuses.clone(), desk.app.sandbox.url().clone());
    Server::start(move |taken| {
        let (refuses, other) = (refuses.clone(), other.clone());
        async move {
            let is_refused = refuses.load(Ordering::Relaxed) && taken.creates_a_report();
            let (status, body) =
                if is_refused { (StatusCode::BAD_REQUEST, REFUSAL.into()) } else { hand_on(&other, &taken).await };
            let answer = Response::builder().status(status).header("content-type", "application/json");
            answer.body(Body::from(body)).unwrap()
        }
    })
    .await
}

#[tokio::test]
async fn space_around_names_and_at_the_end_of_a_block_of_text_is_no_change() {
    let desk = Desk::new().await;
    desk.app.account().await;
    let file = "\
queries:
  - {name: \"Usage \", account: \" Contoso \", query: SELECT Month FROM OfficeUsage}
reports:
  - name: \" Blocky \"
    account: \"Contoso \"
    interval_hours: 24
    query: \" Usage\"
    description: |
      What it is for.
subscriptions:
  - {name: \"Ann \", endpoint: {channel: email, to: ann@example.com}, reports: [\" Blocky \"]}
";

    let first = desk.apply(file, &[]).await;
    let second = desk.apply(file, &[]).await;

    assert_eq!(first.code, Some(0), "{}", first.err);
    assert_eq!(second.out, "Nothing to do: 3 as they shall be.\n", "{}", second.err);
    assert_eq!(desk.app.list("/reports").await[0]["description"], "What it is for.");
}

#[tokio::test]
async fn a_description_is_kept_without_the_space_around_it() {
    let desk = Desk::new().await;
    let account = desk.app.account().await;
    let report = serde_json::json!({ "account_id": account, "name": "Daily", "interval_hours": 24,
        "query": "SELECT Month FROM OfficeUsage", "description": " What it is for.\n" });

    let made = desk.app.post("/reports", report).await;

    assert_eq!(made["description"], "What it is for.");
}

#[tokio::test]
async fn what_is_taken_out_of_the_file_is_as_if_it_had_never_been_in_it() {
    let desk = Desk::new().await;
    desk.app.account().await;
    let report = |more: &str| {
        format!(
            "reports:\n  - {{name: Daily, account: Contoso, interval_hours: 24, select: SELECT Month FROM OfficeUsage{more}}}\n"
        )
    };
    let subscription = |more: &str| {
        format!("subscriptions:\n  - {{name: Ann, endpoint: {{channel: email, to: ann@example.com}}{more}}}\n")
    };
    let much =
        report(", description: x, occurrences: 9, recreate: true, grace_hours: 9, format: tsv, callback_method: GET")
            + &subscription(", events: [report.ready], reports: [Daily], owner: bob@example.com, first_rows: masked");
    let nulls = report(
        ", description: null, occurrences: null, recreate: null, grace_hours: null, format: null, callback_method: null",
    ) + &subscription(", events: null, reports: null, owner: null, first_rows: null");
    let nothing = report("") + &subscription("");
    assert_eq!(desk.apply(&much, &[]).await.code, Some(0));
    assert!(desk.apply(&much, &[]).await.out.starts_with("Nothing to do"));

    let plan = desk.apply(&nulls, &["--dry-run"]).await;
    let done = desk.apply(&nothing, &[]).await;

    assert_eq!(done.code, Some(0), "{}", done.err);
    for change in
        ["occurrences: 9 → for ever", "format: tsv → csv", "events: report.ready → all", "report_ids: Daily → all"]
    {
        assert!(plan.out.contains(change) && done.out.contains(change), "{change} is missing in {}", plan.out);
    }
    let (report, subscription) = (&desk.app.list("/reports").await[0], &desk.app.list("/subscriptions").await[0]);
    for field in ["description", "occurrences"] {
        assert!(report[field].is_null(), "{field}: {report}");
    }
    assert_eq!((&report["format"], &report["callback_method"]), (&"csv".into(), &"POST".into()));
    assert_eq!((&report["recreate"], &report["grace_hours"]), (&false.into(), &2.into()));
    for field in ["events", "report_ids", "owner"] {
        assert!(subscription[field].is_null(), "{field}: {subscription}");
    }
    assert_eq!(subscription["first_rows"], "off");
    for file in [&nothing, &nulls] {
        assert_eq!(desk.apply(file, &[]).await.out, "Nothing to do: 2 as they shall be.\n");
    }
}
