//! `tidings apply`, run as a user runs it, against the service and the sandbox.

mod at_once;
mod kept;
mod schema;
mod told;

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::app::{ADMIN_KEY, TestApp};
use crate::support::command::{Ended, ended, tidings};
use crate::support::scene::DAY;
use crate::support::server::{Server, Taken, hand_on};

const EXAMPLE: &str = include_str!("../../../deploy/tidings.example.yaml");
const SECRETS: [(&str, &str); 2] =
    [("CONTOSO_SECRET", "sandbox-client-secret"), ("CONTOSO_REFRESH_TOKEN", "sandbox-refresh-token")];

/// A service, and a folder for files of intent.
struct Desk {
    app: TestApp,
    folder: TempDir,
}

impl Desk {
    async fn new() -> Self {
        Self { app: TestApp::start().await, folder: tempfile::tempdir().unwrap() }
    }

    /// The example of the README, for this sandbox.
    fn example(&self) -> String {
        EXAMPLE.replace("http://127.0.0.1:8090", self.app.sandbox.url().as_str().trim_end_matches('/'))
    }

    /// Applies a file; what has to be done at the API is done meanwhile.
    async fn apply(&self, text: &str, flags: &[&str]) -> Ended {
        self.apply_with(text, flags, &SECRETS).await
    }

    async fn apply_with(&self, text: &str, flags: &[&str], secrets: &[(&str, &str)]) -> Ended {
        self.apply_at(self.app.url.as_str(), text, flags, secrets).await
    }

    async fn apply_at(&self, url: &str, text: &str, flags: &[&str], secrets: &[(&str, &str)]) -> Ended {
        let done = Cell::new(false);
        let run = async {
            let ended = apply(self.folder.path(), url, text, flags, secrets).await;
            done.set(true);
            ended
        };
        let steps = async {
            while !done.get() {
                self.app.drain().await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            self.app.drain().await;
        };
        tokio::join!(run, steps).0
    }

    /// Everything that a file can speak of, as the service shows it.
    async fn everything(&self) -> Value {
        let mut all = json!({});
        for list in ["accounts", "reports", "subscriptions"] {
            all[list] = self.app.list(&format!("/{list}?limit=200")).await.into();
        }
        for account in self.app.list("/accounts").await {
            let id = account["id"].as_str().unwrap();
            all[id] = self.app.list(&format!("/accounts/{id}/queries")).await.into();
        }
        all
    }

    async fn names(&self, list: &str) -> Vec<String> {
        let items = self.app.list(&format!("/{list}?limit=200")).await;
        let mut names: Vec<String> = items
            .iter()
            .filter(|item| item["state"] != "retired")
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }
}

async fn apply(folder: &Path, url: &str, text: &str, flags: &[&str], secrets: &[(&str, &str)]) -> Ended {
    let path = folder.join("tidings.yaml");
    std::fs::write(&path, text).unwrap();
    let mut command = tidings(&[&["apply", "tidings.yaml"], flags].concat());
    command.current_dir(folder).env("TIDINGS_URL", url).env("TIDINGS_ADMIN_KEY", ADMIN_KEY);
    ended(command.envs(secrets.iter().copied())).await
}

#[tokio::test]
async fn the_example_takes_an_empty_service_to_all_that_it_asks_for_and_a_second_run_does_nothing() {
    let desk = Desk::new().await;
    let dry = desk.apply(&desk.example(), &["--dry-run"]).await;
    assert_eq!(dry.code, Some(0), "{}", dry.err);
    assert!(dry.out.contains("+  report       Contoso/Office usage, daily"), "{}", dry.out);
    assert!(desk.names("accounts").await.is_empty());

    let first = desk.apply(&desk.example(), &[]).await;

    assert_eq!(first.code, Some(0), "{}", first.err);
    assert!(first.out.contains("To make 11, to change 0, to remove 0"), "{}", first.out);
    assert_eq!(first.out.matches("whsec_").count(), 1, "{}", first.out);
    assert_eq!(first.out.matches(" is registered\n").count(), 3, "{}", first.out);
    assert_eq!(desk.names("accounts").await, ["Contoso", "Contoso Marketplace"]);
    let reports = desk.app.list("/reports").await;
    assert_eq!(reports.len(), 3);
    assert!(reports.iter().all(|report| report["state"] == "registered"), "{reports:?}");
    assert_eq!(desk.names("subscriptions").await, ["Ann", "Loader", "Ops", "Sales"]);

    let (before, audit) = (desk.everything().await, desk.app.number("select count(*) from audit").await);
    let second = desk.apply(&desk.example(), &[]).await;

    assert_eq!((second.code, second.err.as_str()), (Some(0), ""));
    assert_eq!(second.out, "Nothing to do: 11 as they shall be.\n");
    assert_eq!(desk.everything().await, before);
    assert_eq!(desk.app.number("select count(*) from audit").await, audit);
}

#[tokio::test]
async fn a_change_is_shown_with_old_and_new_and_nothing_else_is_touched() {
    let desk = Desk::new().await;
    desk.apply(&desk.example(), &[]).await;
    let before = desk.everything().await;
    let changed = desk
        .example()
        .replace("interval_hours: 168", "interval_hours: 336")
        .replace("events: [report.ready]", "events: [report.ready, report.empty]")
        .replace("/catch/teams/x", "/catch/teams/another-s3cret");

    let dry = desk.apply(&changed, &["--dry-run"]).await;
    assert_eq!(desk.everything().await, before);
    let done = desk.apply(&changed, &[]).await;

    for plan in [&dry.out, &done.out] {
        assert!(plan.contains("interval_hours: 168 → 336"), "{plan}");
        assert!(plan.contains("events: report.ready → report.ready, report.empty"), "{plan}");
        assert!(plan.contains("endpoint.url: http://127.0.0.1/… → (secret)"), "{plan}");
        assert!(!plan.contains("s3cret"), "{plan}");
        assert!(plan.contains("To make 0, to change 3, to remove 0; 8 as they shall be."), "{plan}");
    }
    assert_eq!(done.code, Some(0), "{}", done.err);
    let reports = desk.app.list("/reports").await;
    let weekly = reports.iter().find(|report| report["name"] == "Azure usage, weekly").unwrap();
    assert_eq!(weekly["interval_hours"], 336);
    assert_eq!(desk.everything().await["accounts"], before["accounts"]);
    assert!(desk.apply(&changed, &[]).await.out.starts_with("Nothing to do"));
}

#[tokio::test]
async fn the_text_of_a_query_changes_for_the_reports_that_name_it() {
    let desk = Desk::new().await;
    desk.apply(&desk.example(), &[]).await;
    let changed =
        desk.example().replace("SELECT CustomerName, Month, MonthlyActiveUsers", "SELECT Month, MonthlyActiveUsers");

    let done = desk.apply(&changed, &[]).await;

    assert_eq!(done.code, Some(0), "{}\n{}", done.out, done.err);
    let reports = desk.app.list("/reports").await;
    let daily = reports.iter().find(|report| report["name"] == "Office usage, daily").unwrap();
    assert_eq!(daily["query"], "SELECT Month, MonthlyActiveUsers FROM OfficeUsage TIMESPAN LAST_MONTH");
    assert!(desk.apply(&changed, &[]).await.out.starts_with("Nothing to do"));
}

#[tokio::test]
async fn a_text_that_a_report_has_no_more_leaves_nothing_behind() {
    let desk = Desk::new().await;
    desk.apply(&desk.example(), &[]).await;
    let changed = desk.example().replace("SELECT CustomerName, Month, ServiceName", "SELECT Month, ServiceName");

    let done = desk.apply(&changed, &[]).await;
    desk.app.drain().await;

    assert_eq!(done.code, Some(0), "{}\n{}", done.out, done.err);
    let texts = "select count(*) from queries where text like '%ServiceName%'";
    assert_eq!(desk.app.number(texts).await, 1);
    assert_eq!(desk.app.number("select count(*) from leftovers").await, 0);
    assert_eq!(desk.apply(&changed, &[]).await.out, "Nothing to do: 11 as they shall be.\n");
}

#[tokio::test]
async fn what_fails_in_the_middle_leaves_what_is_done_and_the_next_run_goes_on() {
    let desk = Desk::new().await;
    let service = desk.app.url.clone();
    let between = Server::start(move |taken| {
        let service = service.clone();
        async move {
            let is_it = taken.method == "POST" && taken.uri.path() == "/api/v1/reports";
            if is_it && String::from_utf8_lossy(&taken.body).contains("Azure usage") {
                let problem = r#"{"title": "Conflict", "detail": "not today"}"#;
                return Response::builder().status(409).body(Body::from(problem)).unwrap();
            }
            let (status, body) = hand_on(&service, &taken).await;
            Response::builder().status(status).body(body.into()).unwrap()
        }
    })
    .await;

    let failed = desk.apply_at(between.url.as_str(), &desk.example(), &[], &SECRETS).await;

    assert_eq!(failed.code, Some(1));
    assert!(failed.out.contains("made     report Contoso/Office usage, daily"), "{}", failed.out);
    for part in ["report Contoso/Azure usage, weekly was not made", "5 of 11 steps are done", "Conflict: not today"] {
        assert!(failed.err.contains(part), "{part} is missing in {}", failed.err);
    }
    assert_eq!(desk.names("reports").await, ["Office usage, daily"]);
    assert!(desk.names("subscriptions").await.is_empty());

    let mended = desk.apply(&desk.example(), &[]).await;

    assert_eq!(mended.code, Some(0), "{}", mended.err);
    assert!(mended.out.contains("To make 6, to change 0, to remove 0; 5 as they shall be."), "{}", mended.out);
    assert_eq!(desk.names("subscriptions").await.len(), 4);
}

#[tokio::test]
async fn a_report_that_microsoft_refuses_is_told_where_it_was_asked_for() {
    let desk = Desk::new().await;
    let refusing = Server::before(desk.app.sandbox.url().clone(), |taken, answer| {
        let refusal = r#"{"value": null, "totalCount": 0, "message": "no more today", "statusCode": 400}"#;
        if taken.creates_a_report() { (StatusCode::BAD_REQUEST, refusal.into()) } else { answer }
    });
    desk.app.account_through(&refusing.await).await;
    let file =
        "reports:\n  - {name: Hourly, account: Contoso, interval_hours: 24, select: 'SELECT Month FROM OfficeUsage'}\n";

    let ended = desk.apply(file, &[]).await;

    assert_eq!(ended.code, Some(1));
    assert_eq!(desk.app.list("/reports").await.len(), 1, "{}", ended.err);
    assert!(ended.err.contains("not all reports were taken") && ended.err.contains("\n  Hourly: "), "{}", ended.err);
}

#[tokio::test]
async fn only_prune_removes_what_the_file_does_not_name_and_only_of_lists_that_it_has() {
    let desk = Desk::new().await;
    desk.apply(&desk.example(), &[]).await;
    let without_loader = desk.example().split("  - name: Loader").next().unwrap().to_owned();
    let smaller = drop_report(&without_loader, "Azure usage, weekly");

    let kept = desk.apply(&smaller, &[]).await;
    assert!(kept.out.contains("?  subscription Loader  (not in the file: --prune removes it)"), "{}", kept.out);
    assert!(kept.out.contains("Nothing to do"), "{}", kept.out);
    assert_eq!(desk.names("subscriptions").await.len(), 4);
    let pruned = desk.apply(&smaller, &["--prune"]).await;

    assert_eq!(pruned.code, Some(0), "{}", pruned.err);
    assert!(pruned.out.contains("To make 0, to change 0, to remove 2; 9 as they shall be."), "{}", pruned.out);
    assert_eq!(desk.names("subscriptions").await, ["Ann", "Ops", "Sales"]);
    assert_eq!(desk.names("reports").await, ["Office usage, daily", "Orders"]);
    let again = desk.apply("subscriptions: []", &["--prune"]).await;
    assert_eq!(again.code, Some(0), "{}", again.err);
    assert!(desk.names("subscriptions").await.is_empty());
    assert_eq!(desk.names("reports").await.len(), 2);
    assert_eq!(desk.names("accounts").await.len(), 2);
}

/// The file without one report.
fn drop_report(text: &str, name: &str) -> String {
    let Some((before, rest)) = text.split_once(&format!("  - name: {name}\n")) else { return text.to_owned() };
    let end = rest.find("\n  - name: ").unwrap() + 1;
    format!("{before}{}", &rest[end..])
}

#[tokio::test]
async fn a_token_that_was_rotated_is_not_overwritten_by_the_first_one_and_a_new_secret_is_noticed() {
    let desk = Desk::new().await;
    let sandbox = desk.app.sandbox.url().clone();
    let between = Server::before(sandbox.clone(), |_, answer| answer).await;
    let example =
        desk.example().replace(sandbox.as_str().trim_end_matches('/'), between.url.as_str().trim_end_matches('/'));
    desk.apply(&example, &[]).await;
    let accounts = desk.app.list("/accounts").await;
    let contoso = accounts.iter().find(|account| account["name"] == "Contoso").unwrap()["id"].as_str().unwrap();
    let sign_in_later = || async {
        desk.app.after(DAY).await;
        desk.app.post(&format!("/accounts/{contoso}/verify"), json!({})).await;
        let signed_in = between.taken().into_iter().filter(Taken::signs_in);
        signed_in.filter_map(|taken| taken.field("refresh_token")).collect::<Vec<_>>()
    };

    let before = sign_in_later().await;
    let same = desk.apply(&example, &[]).await;
    let after = sign_in_later().await;
    let newer = [SECRETS[0], ("CONTOSO_REFRESH_TOKEN", "another-refresh-token")];
    let other = desk.apply_with(&example, &["--dry-run"], &newer).await;

    let is_given = |token: &String| token == SECRETS[1].1;
    assert!(is_given(&before[0]) && !is_given(before.last().unwrap()), "it was not rotated: {before:?}");
    assert!(after.len() > before.len() && !after[1..].iter().any(is_given), "it was overwritten: {after:?}");
    assert!(same.out.starts_with("Nothing to do"), "{}", same.out);
    assert!(other.out.contains("~  account      Contoso\n      refresh_token: (secret) → (secret)"), "{}", other.out);
    assert!(!other.out.contains("another-refresh-token"));
}

#[tokio::test]
async fn a_start_long_ago_is_a_rhythm() {
    let desk = Desk::new().await;
    let account = desk.app.account().await;
    let file = |start: &str| {
        format!(
            "reports:\n  - {{name: Daily, account: Contoso, interval_hours: 24, start_at: {start},\n      \
             select: 'SELECT Month FROM OfficeUsage'}}\n"
        )
    };

    let made = desk.apply(&file("2020-01-01T06:00:00Z"), &[]).await;
    let again = desk.apply(&file("2020-01-01T06:00:00Z"), &[]).await;
    let same_rhythm = desk.apply(&file("2021-02-03T06:00:00Z"), &[]).await;
    let other_rhythm = desk.apply(&file("2020-01-01T09:00:00Z"), &["--dry-run"]).await;

    assert_eq!(made.code, Some(0), "{}", made.err);
    let reports = desk.app.list(&format!("/reports?account_id={account}")).await;
    assert_eq!(reports[0]["start_at"], "2026-01-06T06:00:00Z");
    assert!(again.out.starts_with("Nothing to do"), "{}", again.out);
    assert!(same_rhythm.out.starts_with("Nothing to do"), "{}", same_rhythm.out);
    assert!(other_rhythm.out.contains("start_at: 2026-01-06T06:00:00Z → 2026-01-06T09:00:00Z"), "{}", other_rhythm.out);
}

#[tokio::test]
async fn a_machine_gets_one_document_with_what_was_done() {
    let desk = Desk::new().await;
    let file = "subscriptions:\n  - {name: Loader, endpoint: {channel: webhook, url: https://hooks.example.com/x}}\n";

    let ended = desk.apply(file, &["--json"]).await;

    let document: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(document["plan"][0]["action"], "create");
    assert_eq!((&document["done"][0]["name"], &document["done"][0]["done"]), (&json!("Loader"), &json!("made")));
    assert!(document["done"][0]["secret"].as_str().unwrap().starts_with("whsec_"));
    assert!(!ended.out.contains("hooks.example.com"), "{}", ended.out);
}

#[tokio::test]
async fn the_service_compares_an_endpoint_that_it_never_shows() {
    let app = TestApp::start().await;
    let subscription = app.subscribe("slack").await;
    let path = format!("/subscriptions/{}/compare", subscription["id"].as_str().unwrap());
    let url = app.sandbox.url().join("/catch/slack/T0/B0/s3cret-hook").unwrap();
    let same =
        json!({ "name": "slack", "endpoint": { "channel": "slack", "url": url.as_str() }, "first_rows": "masked" });
    let other = json!({ "name": "sales", "endpoint": { "url": format!("{url}x") }, "events": ["report.ready"] });

    assert_eq!(app.post(&path, same).await, json!({ "differs": [] }));
    assert_eq!(app.post(&path, other).await, json!({ "differs": ["name", "events", "endpoint.url"] }));
    assert_eq!(app.post(&path, json!({})).await, json!({ "differs": [] }));
    let (status, answer) = app.call("POST", &path, Some(json!({ "endpoint": { "channel": "email" } }))).await;
    assert_eq!((status, &answer["errors"][0]["field"]), (422, &json!("endpoint.channel")));
    assert_eq!(app.get(&path.replace("/compare", "")).await["updated_at"], subscription["updated_at"]);
}
