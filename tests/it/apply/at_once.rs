//! Two runs at once: what both would make is made once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::Response;
use serde_json::json;
use tidings::channel::Channel;
use tidings::notification::{FirstRows, subscribe};
use tidings::outbound::Guard;
use tokio::sync::Barrier;

use super::{Desk, apply};
use crate::support::app::TestApp;
use crate::support::scene::until;
use crate::support::server::{Server, hand_on};

/// Somebody before the service who lets two runs look at everything before either makes anything.
async fn level(app: &TestApp) -> Server {
    let (service, both, looks) = (app.url.clone(), Arc::new(Barrier::new(2)), Arc::new(AtomicUsize::new(0)));
    Server::start(move |taken| {
        let (service, both, looks) = (service.clone(), both.clone(), looks.clone());
        async move {
            let answer = hand_on(&service, &taken).await;
            let is_last_look = taken.method == "GET" && taken.uri.path() == "/api/v1/subscriptions";
            if is_last_look && looks.fetch_add(1, Ordering::SeqCst) < 2 {
                both.wait().await;
            }
            Response::builder().status(answer.0).body(Body::from(answer.1)).unwrap()
        }
    })
    .await
}

#[tokio::test]
async fn two_runs_at_once_make_everything_once_and_the_later_one_says_what_to_do() {
    let subscriptions = "\
subscriptions:
  - {name: Ann, endpoint: {channel: email, to: ann@example.com}}
  - {name: Bob, endpoint: {channel: email, to: bob@example.com}}
";
    let queries = "queries:\n  - {name: Usage, account: Contoso, query: SELECT Month FROM OfficeUsage}\n";
    for (file, first, names) in
        [(subscriptions, "subscription Ann", &["Ann", "Bob"][..]), (queries, "query Contoso/Usage", &[])]
    {
        let desk = Desk::new().await;
        desk.app.account().await;
        let (between, other) = (level(&desk.app).await, tempfile::tempdir().unwrap());
        let url = between.url.as_str();

        let runs =
            tokio::join!(apply(desk.folder.path(), url, file, &[], &[]), apply(other.path(), url, file, &[], &[]));
        let (done, late) = if runs.0.code == Some(0) { runs } else { (runs.1, runs.0) };
        let again = desk.apply(file, &[]).await;

        assert_eq!((done.code, late.code), (Some(0), Some(1)), "{}{}", done.err, late.err);
        assert!(late.err.contains(&format!("{first} was not made; 0 of ")), "{}", late.err);
        let told = "somebody else made it since this run began; the same command run again compares it with the file";
        assert!(!late.err.contains("mend what is wrong"), "{}", late.err);
        assert!(late.err.contains(told) && late.err.contains("\n  name: is taken by another "), "{}", late.err);
        assert!(again.out.starts_with("Nothing to do: "), "{}{}", again.out, again.err);
        assert_eq!(desk.names("subscriptions").await, names);
    }
}

#[tokio::test]
async fn a_subscription_that_asks_for_a_name_of_its_own_waits_for_one_that_is_being_made() {
    let app = TestApp::start().await;
    let body = |unique| json!({ "name": "Ann", "endpoint": { "channel": "email", "to": "a@example.com" }, "unique_name": unique });
    let make = |unique| app.call("POST", "/subscriptions", Some(body(unique)));
    let draft = subscribe::Draft {
        name: "Ann".into(),
        channel: Channel::Email,
        to: Some("ann@example.com".into()),
        url: None,
        events: None,
        report_ids: None,
        owner: None,
        first_rows: FirstRows::Off,
        unique_name: true,
    };
    let checked = draft.check(&Guard::default()).unwrap();
    let mut tx = app.database.pool.begin().await.unwrap();
    assert!(subscribe::misfits(&mut tx, &checked).await.unwrap().0.is_empty());
    subscribe::create(&mut tx, &app.clock, &app.app.keyring, &checked).await.unwrap();
    let commit = async {
        let waiting = "select count(*) from pg_locks join pg_database on pg_database.oid = database
            where locktype = 'advisory' and not granted and datname = current_database()";
        until("the other waits", || async { app.number(waiting).await > 0 }).await;
        tx.commit().await.unwrap();
    };

    let ((status, answer), ()) = tokio::join!(make(true), commit);

    assert_eq!((status, &answer["errors"][0]["field"]), (422, &json!("name")), "{answer}");
    for (unique, status) in [(true, 422), (false, 200)] {
        assert_eq!(app.call("POST", "/subscriptions/validate", Some(body(unique))).await.0, status);
    }
    assert_eq!(app.list("/subscriptions").await.len(), 1);
    assert_eq!(make(false).await.0, 201);
    for one in app.list("/subscriptions").await {
        let path = format!("/subscriptions/{}", one["id"].as_str().unwrap());
        let (status, answer) = app.call("PATCH", &path, Some(json!({ "unique_name": true }))).await;
        assert_eq!((status, &answer["errors"][0]["field"]), (422, &json!("unique_name")));
        assert_eq!(app.call("DELETE", &path, None).await.0, 204);
    }
    assert_eq!(make(true).await.0, 201);
}
