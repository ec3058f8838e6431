//! What the commands tell where they can't do what they are asked for.

use axum::body::Body;
use axum::http::Response;
use serde_json::{Value, json};

use super::{ask, asked, command, unauthorized};
use crate::support::app::{ADMIN_KEY, TestApp};
use crate::support::command::{ended, tidings};
use crate::support::server::{Server, Taken};

#[tokio::test]
async fn whoever_reaches_no_service_is_told_what_to_do() {
    let (app, home) = (TestApp::start().await, tempfile::tempdir().unwrap());
    let nobody = ended(&mut command("http://127.0.0.1:1", &["status"])).await;
    let stranger =
        ended(command(app.url.as_str(), &["status"]).env("TIDINGS_ADMIN_KEY", "not-a-key-of-this-service")).await;
    let mut keyless = tidings(&["status", "--url", app.url.as_str(), "--data-dir", home.path().to_str().unwrap()]);
    let without_key = ended(&mut keyless).await;
    std::fs::write(home.path().join("admin.key"), format!("{ADMIN_KEY}\n")).unwrap();
    let with_file = ended(&mut keyless).await;
    let wrong_use = ended(&mut tidings(&["report", "show"])).await;

    assert_eq!((nobody.code, stranger.code, without_key.code), (Some(1), Some(1), Some(1)));
    assert!(nobody.err.contains("no service answers at http://127.0.0.1:1/") && nobody.err.contains("`tidings serve`"));
    assert!(stranger.err.contains("does not know this API key; set TIDINGS_ADMIN_KEY"), "{}", stranger.err);
    assert!(!stranger.err.contains("not-a-key-of-this-service"));
    assert!(without_key.err.contains("no API key: ") && without_key.err.contains("admin.key"), "{}", without_key.err);
    assert_eq!(with_file.code, Some(0), "{}", with_file.err);
    assert!(with_file.out.contains("mail_is_set\ttrue"), "{}", with_file.out);
    assert_eq!(wrong_use.code, Some(2));
}

#[tokio::test]
async fn a_stranger_gets_no_key_and_its_answer_is_no_success() {
    for status in [200, 204, 401, 404, 500] {
        let stranger = Server::answering(status).await;

        let add = ["subscription", "add", "Ann", "--channel", "email", "--to", "a@example.com"];
        let ended = ended(&mut command(stranger.url.as_str(), &add)).await;

        assert_eq!(ended.code, Some(1), "{status}: {}", ended.out);
        assert!(ended.err.contains("this is no tidings service") && ended.err.contains("TIDINGS_URL"), "{}", ended.err);
        assert!(stranger.taken().iter().all(|taken| taken.header("authorization").is_empty()));
    }
    let open = ended(&mut command("http://93.184.215.14/", &["status"])).await;
    assert!(open.err.contains("must be an https address"), "{}", open.err);
}

#[tokio::test]
async fn an_answer_without_the_shape_of_ours_is_no_success() {
    for body in ["", "\"fine\"", "[]", "<html>"] {
        let service = Server::start(move |taken| async move {
            if taken.header("authorization").is_empty() { unauthorized() } else { Response::new(Body::from(body)) }
        })
        .await;

        for arguments in [&["status"][..], &["account", "list"], &["report", "there"]] {
            let ended = ended(&mut command(service.url.as_str(), arguments)).await;

            assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{body}");
            assert!(ended.err.contains("answered something unexpected"), "{}", ended.err);
        }
    }
}

#[tokio::test]
async fn a_wrong_argument_is_told_with_what_was_expected() {
    let time = "a time such as 2026-01-31T06:00:00Z";
    for (arguments, told) in [
        (&["report", "change", "Daily", "--start-at", "tomorrow"][..], &[time][..]),
        (&["account", "change", "Contoso", "--client-secret-expires-at", "soon"], &[time]),
        (&["sandbox", "--now", "noon"], &[time]),
        (&["execution", "show", "abc"], &["expected an id such as 019b"]),
        (&["report", "add", "Daily", "--interval-hours", "24"], &["--query", "--select"]),
        (&["file", "get"], &["--report", "ID"]),
    ] {
        let ended = ended(&mut tidings(arguments)).await;

        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert!(told.iter().all(|part| ended.err.contains(part)), "{}", ended.err);
    }
    for what in ["account", "report", "subscription", "query"] {
        let ended = ended(&mut command("http://127.0.0.1:1", &[what, "change", "Daily"])).await;

        assert_eq!(ended.code, Some(2), "{}", ended.err);
        assert!(ended.err.starts_with("error: nothing is to be changed: give an option"), "{}", ended.err);
    }
}

#[tokio::test]
async fn a_command_that_finds_nothing_to_show_says_so_in_a_sentence() {
    let app = TestApp::start().await;
    app.registered().await;
    let query =
        app.list(&format!("/accounts/{}/queries", app.list("/accounts").await[0]["id"].as_str().unwrap())).await;
    let query = query[0]["name"].as_str().unwrap();

    let never = asked(&app, &["report", "drift", "Daily usage"]).await;
    let fresh = asked(&app, &["report", "drift", "Daily usage", "--fresh"]).await;
    let same = asked(&app, &["account", "compare", "Contoso", "--program", "mpn"]).await;
    let checked = asked(&app, &["report", "check", "Daily usage"]).await;
    let used = ask(&app, &["query", "remove", query]).await;

    assert_eq!(never, "The report \"Daily usage\" was never compared; --fresh compares it now.\n");
    assert!(fresh.starts_with("The report \"Daily usage\" is as it shall be, compared 2026-01-05T"), "{fresh}");
    assert_eq!(same, "The account \"Contoso\" has all that was given.\n");
    assert!(checked.contains("`tidings execution list --report \"Daily usage\"`"), "{checked}");
    assert!(used.err.contains("the query is used by \"Daily usage\" (registered)"), "{}", used.err);
}

/// A service with this many accounts, all of other names.
async fn crowded(accounts: usize) -> Server {
    let answer = move |taken: &Taken| {
        let field = |name| {
            let mut fields = url::form_urlencoded::parse(taken.uri.query().unwrap_or_default().as_bytes());
            fields.find(|(known, _)| known == name).map_or(0, |(_, value)| value.parse::<usize>().unwrap())
        };
        let (from, to) = (field("cursor"), accounts.min(field("cursor") + field("limit")));
        let items: Vec<Value> = (from..to).map(|n| json!({ "id": n.to_string(), "name": format!("A{n}") })).collect();
        json!({ "items": items, "next_cursor": (to < accounts).then(|| to.to_string()) })
    };
    Server::start(move |taken| async move {
        match taken.header("authorization") {
            "" => unauthorized(),
            _ => Response::new(Body::from(answer(&taken).to_string())),
        }
    })
    .await
}

#[tokio::test]
async fn a_list_too_long_to_be_looked_through_is_told_and_not_cut_off() {
    let (whole, longer) = (crowded(20_000).await, crowded(20_001).await);
    let show = |url: &url::Url| command(url.as_str(), &["account", "show", "A19999"]);

    let found = ended(&mut show(&whole.url)).await;
    let cut = ended(&mut show(&longer.url)).await;
    let newest = ended(&mut command(longer.url.as_str(), &["account", "list", "--limit", "201"])).await;

    assert_eq!((found.code, found.out.as_str()), (Some(0), "name\tA19999\nid\t19999\n"), "{}", found.err);
    assert_eq!((cut.code, cut.out.as_str()), (Some(1), ""));
    let told = "there are 20000 or more in /api/v1/accounts, too many to look through: give an id in place of a name";
    assert!(cut.err.contains(told), "{}", cut.err);
    assert_eq!((newest.code, newest.out.lines().count()), (Some(0), 201), "{}", newest.err);
}
