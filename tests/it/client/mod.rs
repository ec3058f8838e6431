//! The commands that ask a running service, run as a user runs them.

mod away;
mod told;

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::support::app::{ADMIN_KEY, TestApp};
use crate::support::command::{Ended, ended, tidings};
use crate::support::server::Server;

fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = tidings(arguments);
    command.env("TIDINGS_URL", url).env("TIDINGS_ADMIN_KEY", ADMIN_KEY);
    command
}

async fn ask(app: &TestApp, arguments: &[&str]) -> Ended {
    ended(&mut command(app.url.as_str(), arguments)).await
}

/// The same, which must succeed; its output.
async fn asked(app: &TestApp, arguments: &[&str]) -> String {
    let ended = ask(app, arguments).await;
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}{}", ended.out, ended.err);
    ended.out
}

#[tokio::test]
async fn things_are_found_by_name_or_id_and_shown_for_scripts_and_programs() {
    let app = TestApp::start().await;
    let report = app.registered().await;

    let lines = asked(&app, &["report", "list"]).await;
    let shown = asked(&app, &["report", "show", "Daily usage"]).await;
    let by_id: Value = serde_json::from_str(&asked(&app, &["report", "show", &report, "--json"]).await).unwrap();
    let paused = ask(&app, &["report", "show", "Weekly usage"]).await;

    let fields: Vec<&str> = lines.trim_end().split('\t').collect();
    assert_eq!((fields[0], fields[1], fields.last()), ("Daily usage", "registered", Some(&report.as_str())));
    assert!(shown.starts_with(&format!("name\tDaily usage\nid\t{report}\nstate\tregistered\n")), "{shown}");
    assert_eq!(by_id["id"], report.as_str());
    assert_eq!(paused.code, Some(1));
    assert!(paused.err.contains("there is no report \"Weekly usage\"; `tidings report list`"), "{}", paused.err);
}

#[tokio::test]
async fn a_name_that_several_have_is_told_with_their_ids() {
    let app = TestApp::start().await;
    let (first, second) = (app.subscribe("slack").await, app.subscribe("slack").await);

    let ended = ask(&app, &["subscription", "pause", "slack"]).await;

    assert_eq!(ended.code, Some(1));
    for one in [first, second] {
        assert!(ended.err.contains(one["id"].as_str().unwrap()), "{}", ended.err);
    }
}

#[tokio::test]
async fn an_account_is_made_without_a_secret_on_the_command_line() {
    let app = TestApp::start().await;
    let user = app.sandbox.world.account(0).clone();
    let (login, api) = (app.sandbox.url().to_string(), app.sandbox.url().join("/insights/v1/mpn").unwrap().to_string());
    let mut arguments = vec!["account", "add", "Contoso", "--program", "mpn", "--grant", "refresh_token"];
    arguments.extend(["--tenant-id", &user.tenant, "--client-id", &user.client_id]);
    arguments.extend(["--login-url", &login, "--api-url", &api, "--refresh-token", "env:TOKEN", "--client-secret"]);

    let mut plain = command(app.url.as_str(), &[arguments.as_slice(), &["plain-s3cret"]].concat());
    let refused = ended(plain.env("TOKEN", user.refresh_token.expose())).await;
    let mut named = command(app.url.as_str(), &[arguments.as_slice(), &["env:SECRET"]].concat());
    named.env("TOKEN", user.refresh_token.expose()).env("SECRET", user.client_secret.expose());
    let made = ended(&mut named).await;

    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("client_secret: must say where the secret is"), "{}", refused.err);
    assert!(!refused.err.contains("plain-s3cret"), "{}", refused.err);
    assert_eq!(made.code, Some(0), "{}", made.err);
    assert!(made.out.starts_with("name\tContoso\n") && !made.out.contains("sandbox-"), "{}", made.out);
    let verified = asked(&app, &["account", "verify", "Contoso"]).await;
    assert!(verified.contains("OfficeUsage"), "{verified}");
    let wrong = ask(&app, &["account", "change", "Contoso", "--tenant-id", "a b", "--login-url", "nowhere"]).await;
    assert_eq!(wrong.code, Some(1));
    for part in ["fields are wrong", "\n  tenant_id: must", "\n  login_url: must"] {
        assert!(wrong.err.contains(part), "{}", wrong.err);
    }
}

#[tokio::test]
async fn a_report_goes_through_its_life_by_command() {
    let app = TestApp::start().await;
    app.account().await;
    let query = "SELECT Month, CustomerName FROM OfficeUsage TIMESPAN LAST_MONTH";

    asked(&app, &["query", "add", "Usage", query]).await;
    let added = ["report", "add", "Daily", "--query", "Usage", "--interval-hours", "24"];
    let added = asked(&app, &added).await;
    app.drain().await;
    asked(&app, &["subscription", "add", "Ann", "--channel", "email", "--to", "a@example.com", "--report", "Daily"])
        .await;
    let neither = ask(&app, &["report", "add", "Weekly", "--interval-hours", "168"]).await;
    let retired = app.list("/reports").await[0]["id"].as_str().unwrap().to_owned();
    let (status, _) = app.call_and_drain("DELETE", &format!("/reports/{retired}"), None).await;

    assert!(added.contains("state\tdraft") && added.contains(query), "{added}");
    assert_eq!(neither.code, Some(2));
    let subscription = &app.list("/subscriptions").await[0];
    assert_eq!(subscription["report_ids"], json!([retired]));
    assert_eq!(status, 204);
    let gone = ask(&app, &["report", "check", "Daily"]).await;
    assert!(gone.err.contains("a report that is retired can't be checked"), "{}", gone.err);
    assert!(asked(&app, &["report", "show", "Contoso/Daily"]).await.contains("state\tretired"));
    asked(&app, &["subscription", "remove", "Ann"]).await;
    assert!(app.list("/subscriptions").await.is_empty());
}

#[tokio::test]
async fn a_file_comes_whole_to_the_output_or_to_a_file() {
    let app = TestApp::start().await;
    let report = app.told().await;
    let file = app.list("/files").await[0].clone();
    let (id, folder) = (file["id"].as_str().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("usage.csv");

    let printed = asked(&app, &["file", "get", id]).await;
    let said = asked(&app, &["file", "get", "--report", &report, "--output", path.to_str().unwrap()]).await;

    assert_eq!(printed.len() as u64, file["size_bytes"].as_u64().unwrap());
    assert!(printed.starts_with("CustomerName,Month,MonthlyActiveUsers"), "{}", &printed[..80]);
    assert_eq!((said.as_str(), std::fs::read_to_string(&path).unwrap()), ("", printed));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn events_are_followed_from_a_number_on_until_nobody_reads() {
    let app = TestApp::start().await;
    app.told().await;
    let mut following = command(app.url.as_str(), &["event", "follow", "--after", "0", "--json"]);
    let mut child = following.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();

    let first: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    drop(lines);
    let subscription = app.subscribe("slack").await;
    let test = format!("/subscriptions/{}/test", subscription["id"].as_str().unwrap());
    app.post(&test, json!({})).await;
    app.drain().await;
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), child.wait()).await.unwrap().unwrap();

    assert_eq!((&first["seq"], &first["kind"]), (&json!(1), &json!("report.ready")));
    assert_eq!(ended.code(), Some(0));

    let mut child = command(app.url.as_str(), &["event", "follow", "--after", "99"]).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let said = tokio::time::timeout(std::time::Duration::from_secs(20), said.next_line()).await.unwrap().unwrap();
    assert_eq!(said.as_deref(), Some("the newest event is 2; what comes behind 99 is waited for"));
}

/// What a service says to whoever shows no key.
fn unauthorized() -> Response<Body> {
    let problem = json!({ "type": "urn:tidings:problem:unauthorized", "title": "Unauthorized", "status": 401 });
    Response::builder().status(401).body(Body::from(problem.to_string())).unwrap()
}

/// A service whose account is signed in to: waiting at first, then in this state.
async fn signing_in(state: &'static str) -> Server {
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    Server::start(move |taken| {
        let asked = asked.clone();
        async move {
            if taken.header("authorization").is_empty() {
                return unauthorized();
            }
            let answer = if taken.uri.path().ends_with("/sign-in") {
                let begun = taken.method == Method::POST || asked.fetch_add(1, Ordering::SeqCst) == 0;
                json!({ "state": if begun { "waiting" } else { state }, "user_code": "ABCD-EFGH",
                        "verification_uri": "https://login.example.com/device", "message": "go there",
                        "expires_at": "2099-01-01T00:00:00Z", "interval_seconds": 5,
                        "failure": if begun { Value::Null } else { "the person said no".into() } })
            } else {
                json!({ "items": [{ "id": "a1", "name": "Contoso" }], "next_cursor": null })
            };
            Response::builder().header("content-type", "application/json").body(Body::from(answer.to_string())).unwrap()
        }
    })
    .await
}

#[tokio::test]
async fn a_sign_in_shows_the_code_and_waits_for_its_end() {
    for (state, code, said) in [
        ("done", 0, "Signed in: the work of \"Contoso\" goes on.\n"),
        ("failed", 1, "the sign-in failed: the person said no"),
        ("expired", 1, "run the same command for a new one"),
    ] {
        let service = signing_in(state).await;

        let ended = ended(&mut command(service.url.as_str(), &["account", "sign-in", "Contoso"])).await;

        assert_eq!(ended.code, Some(code), "{}", ended.err);
        assert!(
            ended.err.contains("https://login.example.com/device") && ended.err.contains("ABCD-EFGH"),
            "{}",
            ended.err
        );
        assert!(if code == 0 { ended.out == said } else { ended.err.contains(said) }, "{}{}", ended.out, ended.err);
        let begun = service.taken().iter().filter(|taken| taken.method == Method::POST).count();
        assert_eq!((begun, service.taken().len()), (1, 5));
    }
}

#[tokio::test]
async fn reports_that_exist_at_the_api_are_listed_and_taken_over() {
    let service = Server::start(|taken| async move {
        if taken.header("authorization").is_empty() {
            return unauthorized();
        }
        let answer = match (taken.method.as_str(), taken.uri.path()) {
            ("GET", "/api/v1/accounts") => json!({ "items": [{ "id": "a1", "name": "Contoso" }], "next_cursor": null }),
            ("GET", "/api/v1/accounts/a1/reports") => {
                json!({ "items": [{ "remote_id": "r-9", "name": "Old", "status": "Active", "callback": "other" }] })
            }
            _ => json!({ "changes": [{ "field": "callback_url", "new": "ours" }], "warnings": ["a run is lost"] }),
        };
        Response::builder().header("content-type", "application/json").body(Body::from(answer.to_string())).unwrap()
    })
    .await;

    let there = ended(&mut command(service.url.as_str(), &["report", "there"])).await;
    let planned = ended(&mut command(service.url.as_str(), &["report", "adopt", "r-9", "--dry-run"])).await;
    let wrong = ended(&mut command(service.url.as_str(), &["report", "adopt", "../keys"])).await;

    assert_eq!((there.code, there.out.as_str()), (Some(0), "Old\tActive\t\tother\t\tr-9\n"));
    assert_eq!(planned.code, Some(0), "{}", planned.err);
    assert!(planned.out.contains("changes.0.field\tcallback_url\n") && planned.out.contains("warnings\ta run is lost"));
    let adoption = service.taken().into_iter().find(|taken| taken.method == Method::POST).unwrap();
    assert_eq!(adoption.uri.path(), "/api/v1/accounts/a1/reports/r-9/adopt");
    assert_eq!(serde_json::from_slice::<Value>(&adoption.body).unwrap()["dry_run"], true);
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.err.contains("is no id of a report"), "{}", wrong.err);
}

#[tokio::test]
async fn what_has_the_id_that_is_given_is_asked_for_alone() {
    let app = TestApp::start().await;
    let report = app.registered().await;
    let like_an_id = "019b0000-0000-7000-8000-000000000000";
    let ann = json!({ "name": like_an_id, "endpoint": { "channel": "email", "to": "a@example.com" } });
    let subscription = app.post("/subscriptions", ann).await;
    let key = app.post("/keys", json!({ "name": "Loader", "scopes": ["read"] })).await;
    let between = Server::before(app.url.clone(), |_, answer| answer).await;

    let shown = ended(&mut command(between.url.as_str(), &["report", "show", &report, "--json"])).await;
    let asked_for: Vec<String> = between.taken().iter().map(|taken| taken.uri.path().to_owned()).collect();
    let by_name = asked(&app, &["subscription", "show", like_an_id, "--json"]).await;
    asked(&app, &["key", "remove", key["id"].as_str().unwrap()]).await;

    assert_eq!(serde_json::from_str::<Value>(&shown.out).unwrap()["id"], report.as_str(), "{}", shown.err);
    assert_eq!(asked_for, ["/api/v1/status".to_owned(), format!("/api/v1/reports/{report}")]);
    assert_eq!(serde_json::from_str::<Value>(&by_name).unwrap()["id"], subscription["id"]);
    assert!(app.list("/keys").await.iter().all(|one| one["id"] != key["id"]));
}

#[tokio::test]
async fn a_subscription_is_made_with_an_endpoint_that_is_named_and_goes_nowhere_else() {
    let app = TestApp::start().await;
    let hook = app.sandbox.url().join("/catch/slack/T0/B0/s3cret-hook").unwrap();
    let add = ["subscription", "add", "Sales", "--channel", "slack", "--endpoint", "env:HOOK"];

    let made = ended(command(app.url.as_str(), &add).env("HOOK", hook.as_str())).await;
    let unset = ask(&app, &add).await;

    assert_eq!(made.code, Some(0), "{}", made.err);
    assert_eq!(app.list("/subscriptions").await[0]["endpoint"]["channel"], "slack");
    assert_eq!(unset.code, Some(1));
    assert!(unset.err.contains("endpoint.url: HOOK is not set"), "{}", unset.err);
    assert!(!format!("{}{}{}", made.out, made.err, unset.err).contains("s3cret-hook"));
    let changed = ["subscription", "change", "Sales", "--endpoint", hook.as_str()];
    asked(&app, &changed).await;
}

#[tokio::test]
async fn a_name_that_two_accounts_have_is_told_with_them_and_may_be_given_with_one() {
    let app = TestApp::start().await;
    app.account().await;
    app.marketplace_account().await;
    for (account, query) in
        [("Contoso", "SELECT Month FROM OfficeUsage"), ("Marketplace", "SELECT OrderId FROM ISVOrder")]
    {
        asked(&app, &["query", "add", "Same", query, "--account", account]).await;
        let query = format!("{account}/Same");
        asked(&app, &["report", "add", "Same", "--query", &query, "--interval-hours", "24"]).await;
    }

    let unclear = ask(&app, &["report", "show", "Same"]).await;
    let clear: Value =
        serde_json::from_str(&asked(&app, &["report", "show", "Marketplace/Same", "--json"]).await).unwrap();
    let query = ask(&app, &["query", "remove", "Same"]).await;
    let unknown = ask(&app, &["query", "remove", "Nothing"]).await;

    let ids: Vec<String> =
        app.list("/reports").await.iter().map(|report| report["id"].as_str().unwrap().to_owned()).collect();
    let listed = format!("\"Marketplace/Same\" ({}), \"Contoso/Same\" ({})", ids[0], ids[1]);
    assert!(unclear.err.contains(&listed), "{}", unclear.err);
    assert_eq!((&clear["name"], &clear["id"]), (&json!("Same"), &json!(ids[0])));
    assert!(query.err.contains("\"Contoso/Same\" (") && query.err.contains("\"Marketplace/Same\" ("), "{}", query.err);
    assert!(unknown.err.contains("`tidings query list --account \"Contoso\"`"), "{}", unknown.err);
    asked(&app, &["query", "list", "--account", "Contoso"]).await;
}
