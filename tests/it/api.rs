//! The admin API's edges: who may ask, what is answered when something is wrong, pages, repeats, and its description.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use tidings::access::store::prune;
use tidings::secret::Secret;

use crate::support::app::{ADMIN_KEY, QUERY, TestApp};
use crate::support::scene::client;

const NOBODY: &str = "019b9341-2a00-716e-9d4f-8cd9207147fc";

/// A call with this key, and perhaps an idempotency key.
async fn ask(
    it: &TestApp,
    method: Method,
    path: &str,
    key: &str,
    body: Option<&Value>,
    once: Option<&str>,
) -> Response {
    let url = it.url.join(&format!("/api/v1{path}")).unwrap();
    let mut request = client().request(method, url).bearer_auth(key);
    if let Some(body) = body {
        request = request.json(body);
    }
    if let Some(once) = once {
        request = request.header("idempotency-key", once);
    }
    request.send().await.unwrap()
}

/// A body as it is, sent to make a report.
async fn send(it: &TestApp, body: impl Into<reqwest::Body>) -> Response {
    let url = it.url.join("/api/v1/reports").unwrap();
    client().post(url).bearer_auth(ADMIN_KEY).body(body).send().await.unwrap()
}

/// The status and the fields that are named, after a look at the shape.
async fn problem(answer: Response) -> (u16, Vec<String>) {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["status"], status);
    for field in ["type", "title", "detail"] {
        assert!(body[field].is_string(), "{body}");
    }
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    assert!(errors.iter().all(|error| error["message"].is_string()));
    (status, errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect())
}

fn webhook(name: &str) -> Value {
    json!({ "name": name, "endpoint": { "channel": "webhook", "url": "https://hooks.example/x" } })
}

#[tokio::test]
async fn nobody_is_answered_without_a_key_that_is_good() {
    let it = TestApp::start().await;
    let reports = it.url.join("/api/v1/reports").unwrap();
    let unknown = it.url.join("/api/v1/nothing").unwrap();

    for url in [reports, unknown] {
        for header in [None, Some("Bearer wrong"), Some("Bearer tdk_wrong"), Some("Basic YTpi"), Some("Bearer")] {
            let request = client().get(url.clone());
            let request =
                header.map_or_else(|| client().get(url.clone()), |value| request.header("authorization", value));
            let answer = request.send().await.unwrap();
            assert_eq!(answer.headers()["www-authenticate"], "Bearer", "{header:?}");
            assert_eq!(problem(answer).await, (401, vec![]));
        }
    }
}

#[tokio::test]
async fn a_key_may_do_what_its_scope_says_until_it_is_removed() {
    let it = TestApp::start().await;
    let mut keys = Vec::new();
    for scope in ["read", "write", "admin"] {
        let made = it.post("/keys", json!({ "name": scope, "scopes": [scope] })).await;
        keys.push((made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned()));
    }
    let calls = [
        (Method::GET, "/reports", None, [200, 200, 200]),
        (Method::GET, "/keys", None, [403, 403, 200]),
        (Method::POST, "/subscriptions", Some(webhook("w")), [403, 201, 201]),
        (Method::POST, "/keys", Some(json!({ "name": "k", "scopes": ["read"] })), [403, 403, 201]),
        (Method::POST, "/accounts", Some(json!({})), [403, 403, 422]),
    ];
    for (method, path, body, statuses) in calls {
        for ((_, key), status) in keys.iter().zip(statuses) {
            let answer = ask(&it, method.clone(), path, key, body.as_ref(), None).await;
            assert_eq!(answer.status(), status, "{method} {path}");
        }
    }
    let refused: Value = ask(&it, Method::GET, "/keys", &keys[0].1, None, None).await.json().await.unwrap();
    assert_eq!(refused["detail"], "this needs an API key with the scope admin; this one has read");

    let shown = json!(it.list("/keys").await).to_string();
    assert!(keys.iter().all(|(_, key)| !shown.contains(key.as_str())));
    assert_eq!(it.call("DELETE", &format!("/keys/{}", keys[0].0), None).await.0, 204);
    assert_eq!(ask(&it, Method::GET, "/reports", &keys[0].1, None, None).await.status(), 401);
}

#[tokio::test]
async fn a_dashboard_session_ends_with_the_key_that_opened_it() {
    let it = TestApp::start().await;
    let key = it.post("/keys", json!({ "name": "w", "scopes": ["write"] })).await;
    let session = it.app.access.sign_in(&Secret::new(key["key"].as_str().unwrap())).await.unwrap().unwrap();
    let by_admin = it.app.access.sign_in(&Secret::new(ADMIN_KEY)).await.unwrap().unwrap();
    assert!(it.app.access.by_session(&session).await.unwrap().is_some());

    assert_eq!(it.call("DELETE", &format!("/keys/{}", key["id"].as_str().unwrap()), None).await.0, 204);

    assert!(it.app.access.by_session(&session).await.unwrap().is_none());
    assert!(it.app.access.by_session(&by_admin).await.unwrap().is_some());
}

#[tokio::test]
async fn what_has_run_out_is_removed_however_much_it_is() {
    let it = TestApp::start().await;
    let many = "from generate_series(1, 2500) n";
    let (old, digest) = ("'2025-12-01T00:00:00Z'::timestamptz", "n::text::bytea");
    it.sql(&format!("insert into sessions select {digest}, 'someone', null, {old}, {old} {many}")).await;
    it.sql(&format!("insert into sign_in_links select {digest}, {old} {many}")).await;
    it.sql(&format!("insert into idempotency select 'someone', n::text, '', null, null, {old} {many}")).await;
    let session = it.app.access.sign_in(&Secret::new(ADMIN_KEY)).await.unwrap().unwrap();

    prune(&mut it.database.pool.acquire().await.unwrap(), it.clock.now()).await.unwrap();

    for table in ["sign_in_links", "idempotency"] {
        assert_eq!(it.number(&format!("select count(*) from {table}")).await, 0, "{table}");
    }
    assert_eq!(it.number("select count(*) from sessions").await, 1);
    assert!(it.app.access.by_session(&session).await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_asked_for_by_hand_is_noted_and_needs_the_write_scope() {
    let it = TestApp::start().await;
    let report = it.told().await;
    let reader = it.post("/keys", json!({ "name": "r", "scopes": ["read"] })).await;
    let reader = reader["key"].as_str().unwrap();
    let subscription = it.subscribe("webhook").await["id"].as_str().unwrap().to_owned();
    let file = it.list("/files").await[0]["id"].as_str().unwrap().to_owned();
    let execution = it.list("/executions").await[0]["id"].as_str().unwrap().to_owned();
    it.sql("update executions set state = 'failed', failure = 'by hand'").await;

    for (path, action) in [
        (format!("/reports/{report}/check"), "report.check"),
        (format!("/executions/{execution}/retry"), "execution.retry"),
        (format!("/subscriptions/{subscription}/test"), "subscription.test"),
        (format!("/files/{file}/share"), "file.share"),
    ] {
        assert_eq!(ask(&it, Method::POST, &path, reader, None, None).await.status(), 403, "{path}");
        it.post(&path, json!({})).await;
        let noted = format!("select count(*) from audit where actor = 'admin key' and action = '{action}'");
        assert_eq!(it.number(&noted).await, 1, "{action}");
    }
}

#[tokio::test]
async fn every_wrong_or_missing_field_is_named_in_one_answer() {
    let it = TestApp::start().await;
    let cases = [
        ("/accounts", json!({}), &["program", "grant", "name", "tenant_id", "client_id"][..]),
        (
            "/accounts",
            json!({ "program": "mpn", "grant": "refresh_token", "tenant_id": "a/b", "login_url": "ftp://x" }),
            &["name", "tenant_id", "client_id", "login_url"],
        ),
        ("/reports", json!({}), &["account_id", "name", "query", "interval_hours"]),
        (
            "/reports",
            json!({ "account_id": NOBODY, "name": "a;b", "query": "", "interval_hours": 3, "occurrences": 0,
                "format": "xls", "callback_method": "PUT", "start_at": "2026-01-05T09:00:00Z" }),
            &["name", "query", "interval_hours", "occurrences", "format", "callback_method", "start_at"],
        ),
        ("/subscriptions", json!({}), &["name", "endpoint.channel"]),
        (
            "/subscriptions",
            json!({ "name": "", "endpoint": { "channel": "webhook", "url": "http://10.0.0.1/" }, "events": ["no"],
                "report_ids": [], "owner": "nobody" }),
            &["name", "endpoint.url", "events", "report_ids", "owner"],
        ),
        ("/keys", json!({}), &["name", "scopes"]),
        (
            "/reports",
            json!({ "account_id": NOBODY, "name": "n", "query": QUERY, "interval_hours": 24 }),
            &["account_id"],
        ),
    ];
    for (path, body, expected) in cases {
        let (status, fields) = problem(ask(&it, Method::POST, path, ADMIN_KEY, Some(&body), None).await).await;

        let (fields, expected): (BTreeSet<&str>, BTreeSet<&str>) =
            (fields.iter().map(String::as_str).collect(), expected.iter().copied().collect());
        assert_eq!((status, fields), (422, expected), "{path} {body}");
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_taken_is_told_apart_by_what_is_wrong_with_it() {
    let it = TestApp::start().await;
    let unknown = problem(send(&it, r#"{"name":"n","intervall":24}"#).await).await;
    let wrong_type = problem(send(&it, r#"{"interval_hours":"often"}"#).await).await;
    let nested = json!({ "endpoint": { "channel": "pigeon" } });
    let nested = problem(ask(&it, Method::POST, "/subscriptions", ADMIN_KEY, Some(&nested), None).await).await;
    let malformed = problem(send(&it, r#"{"name":"#).await).await;
    let more = problem(send(&it, "{} {}").await).await;
    let large = problem(send(&it, format!(r#"{{"name":"{}"}}"#, "x".repeat(1024 * 1024))).await).await;

    assert_eq!(unknown, (422, vec!["intervall".to_owned()]));
    assert_eq!(wrong_type, (422, vec!["interval_hours".to_owned()]));
    assert_eq!(nested, (422, vec!["endpoint.channel".to_owned()]));
    assert_eq!((malformed, more), ((400, vec![]), (400, vec![])));
    assert_eq!(large, (413, vec![]));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let it = TestApp::start().await;
    let resources = ["accounts", "reports", "callbacks", "executions", "files", "subscriptions", "deliveries"];
    for resource in resources {
        for id in [NOBODY, "junk", "%00"] {
            let answer = ask(&it, Method::GET, &format!("/{resource}/{id}"), ADMIN_KEY, None, None).await;
            assert_eq!(problem(answer).await, (404, vec![]), "{resource}/{id}");
        }
    }
    for (method, path) in [
        (Method::POST, format!("/reports/{NOBODY}/check")),
        (Method::POST, format!("/subscriptions/{NOBODY}/test")),
        (Method::POST, format!("/deliveries/{NOBODY}/resend")),
        (Method::POST, format!("/executions/{NOBODY}/retry")),
        (Method::PATCH, format!("/accounts/{NOBODY}")),
        (Method::DELETE, format!("/keys/{NOBODY}")),
        (Method::GET, "/nothing".to_owned()),
    ] {
        assert_eq!(problem(ask(&it, method, &path, ADMIN_KEY, None, None).await).await.0, 404, "{path}");
    }
    let method = ask(&it, Method::PUT, "/reports", ADMIN_KEY, None, None).await;
    assert_eq!(problem(method).await.0, 405);
}

#[tokio::test]
async fn pages_lead_through_all_items_once_newest_first() {
    let it = TestApp::start().await;
    let mut made = Vec::new();
    for number in 0..7 {
        made.push(it.post("/subscriptions", webhook(&format!("s{number}"))).await["id"].clone());
    }
    made.reverse();

    let (mut walked, mut path) = (Vec::new(), "/subscriptions?limit=3".to_owned());
    for _ in 0..10 {
        let page = it.get(&path).await;
        walked.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/subscriptions?limit=3&cursor={cursor}");
    }

    assert_eq!(walked, made);
    for wrong in ["limit=0", "limit=201", "cursor=junk"] {
        let answer = ask(&it, Method::GET, &format!("/subscriptions?{wrong}"), ADMIN_KEY, None, None).await;
        let field = wrong.split('=').next().unwrap();
        assert_eq!(problem(answer).await, (422, vec![field.to_owned()]));
    }
}

#[tokio::test]
async fn an_idempotency_key_gives_the_same_answer_again_and_refuses_another_request() {
    let it = TestApp::start().await;
    let body = webhook("once");
    let post = |path: &'static str, body: Value| {
        let it = &it;
        async move { ask(it, Method::POST, path, ADMIN_KEY, Some(&body), Some("k-1")).await }
    };

    let first: Value = post("/subscriptions", body.clone()).await.json().await.unwrap();
    let again = post("/subscriptions", body.clone()).await;
    assert_eq!((again.status().as_u16(), &again.headers()["idempotent-replayed"]), (201, &"true".parse().unwrap()));
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    assert_eq!(problem(post("/subscriptions", webhook("other")).await).await.0, 422);
    assert_eq!(problem(post("/reports", body.clone()).await).await.0, 422);
    assert_eq!(it.list("/subscriptions").await.len(), 1);

    let secret = first["secret"].as_str().unwrap();
    assert!(!it.all_rows().await.contains(secret));
    let other = it.post("/keys", json!({ "name": "other", "scopes": ["write"] })).await;
    let other = other["key"].as_str().unwrap();
    let theirs = ask(&it, Method::POST, "/subscriptions", other, Some(&body), Some("k-1")).await;
    assert_ne!(theirs.json::<Value>().await.unwrap()["id"], first["id"]);
}

#[tokio::test]
async fn an_idempotency_key_whose_request_was_cut_off_says_so_after_five_minutes() {
    let it = TestApp::start().await;
    let body = webhook("once");
    let send = || ask(&it, Method::POST, "/subscriptions", ADMIN_KEY, Some(&body), Some("k"));
    assert_eq!(send().await.status(), 201);
    it.sql("update idempotency set status = null, answer = null").await;

    for (seconds, said) in [(290, "is under way"), (20, "outcome is not known")] {
        it.clock.advance(Duration::from_secs(seconds));
        let answer = send().await;
        assert_eq!(answer.status(), 409);
        let problem: Value = answer.json().await.unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(said), "{problem}");
    }
    assert_eq!(it.list("/subscriptions").await.len(), 1);
}

#[tokio::test]
async fn what_was_done_is_told_also_when_the_answer_cannot_be_kept_for_a_repeat() {
    let it = TestApp::start().await;
    it.sql("alter table idempotency add check (status is null)").await;

    let answer = ask(&it, Method::POST, "/subscriptions", ADMIN_KEY, Some(&webhook("once")), Some("k")).await;

    assert_eq!(answer.status(), 201);
    assert_eq!(answer.json::<Value>().await.unwrap()["name"], "once");
}

#[tokio::test]
async fn an_idempotency_key_tells_requests_apart_by_their_query_too() {
    let it = TestApp::start().await;
    let body = webhook("once");
    let send = |path| ask(&it, Method::POST, path, ADMIN_KEY, Some(&body), Some("k"));

    assert_eq!(send("/subscriptions?a=1").await.status(), 201);
    assert_eq!(send("/subscriptions?a=2").await.status(), 422);
}

#[tokio::test]
async fn two_requests_with_one_idempotency_key_at_a_time_do_the_work_once() {
    let it = TestApp::start().await;
    let body = webhook("once");
    let posts = (0..8).map(|_| ask(&it, Method::POST, "/subscriptions", ADMIN_KEY, Some(&body), Some("k-2")));

    let answers = futures_util::future::join_all(posts).await;

    assert!(answers.iter().all(|answer| matches!(answer.status().as_u16(), 201 | 409)));
    assert!(answers.iter().any(|answer| answer.status() == 201));
    assert_eq!(it.list("/subscriptions").await.len(), 1);
}

#[tokio::test]
async fn the_feed_gives_every_event_in_order_and_the_stream_goes_on_where_one_left() {
    let it = TestApp::start().await;
    let made = it.post("/subscriptions", webhook("w")).await;
    for _ in 0..5 {
        it.post(&format!("/subscriptions/{}/test", made["id"].as_str().unwrap()), json!({})).await;
    }
    while it.app.fan_out.run_once().await.unwrap() > 0 {}

    let seqs = |events: Vec<Value>| events.iter().map(|event| event["seq"].as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!(seqs(it.list("/events?after=0").await), [1, 2, 3, 4, 5]);
    assert_eq!(seqs(it.list("/events?after=2&limit=2").await), [3, 4]);
    assert_eq!(seqs(it.list("/events?limit=2").await), [5, 4]);

    let url = it.url.join("/api/v1/events/stream?after=1").unwrap();
    let mut stream = client().get(url).bearer_auth(ADMIN_KEY).header("last-event-id", "3").send().await.unwrap();
    let mut text = String::new();
    while !text.contains("id: 5") {
        text.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
    }
    assert!(text.contains("id: 4") && !text.contains("id: 3"), "{text}");
    assert!(text.contains("event: subscription.test"));
}

/// Method and path of every handler, as written beside it.
fn documented() -> BTreeSet<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/api");
    let mut calls = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for note in text.split("#[utoipa::path(").skip(1) {
            let method = note.split(',').next().unwrap().trim().to_owned();
            let path = note.split("path = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
            calls.insert((method, path));
        }
    }
    calls
}

#[tokio::test]
async fn the_description_lists_every_call_and_every_call_it_lists_is_answered() {
    let it = TestApp::start().await;
    let served = client().get(it.url.join("/openapi.json").unwrap()).send().await.unwrap().text().await.unwrap();
    assert_eq!(served, tidings::http::openapi());
    let document: Value = serde_json::from_str(&served).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let listed: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())))
        .collect();

    assert!(listed.len() > 40);
    assert_eq!(listed, documented());
    for (method, path) in listed.iter().filter(|(_, path)| !path.ends_with("/stream")) {
        let path = path.replace("{id}", NOBODY).replace("{query_id}", NOBODY);
        let method: Method = method.to_uppercase().parse().unwrap();
        let answer = ask(&it, method, &path, ADMIN_KEY, Some(&json!({})), None).await;
        assert_ne!(answer.status(), 405, "{path}");
        let detail = answer.json::<Value>().await.unwrap_or_default()["detail"].clone();
        assert!(!detail.to_string().contains("no such resource"), "{path}");
    }
}

#[tokio::test]
async fn health_is_told_without_a_key_and_tells_when_the_database_is_gone() {
    let it = TestApp::start().await;
    let status = |path: &'static str| {
        let url = it.url.join(path).unwrap();
        async move { client().get(url).send().await.unwrap().status().as_u16() }
    };
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(status(path).await, 200, "{path}");
    }

    it.app.pool.close().await;

    assert_eq!((status("/healthz").await, status("/readyz").await), (200, 503));
    let answer = ask(&it, Method::GET, "/reports", ADMIN_KEY, None, None).await;
    assert_eq!(problem(answer).await, (503, vec![]));
}

#[tokio::test]
async fn a_subscription_to_a_report_that_does_not_exist_is_refused() {
    let it = TestApp::start().await;
    let nobody = "01900000-0000-7000-8000-000000000000";
    let endpoint = json!({ "channel": "email", "to": "someone@example.com" });
    let wanted = json!({ "name": "Nobody's", "endpoint": endpoint, "report_ids": [nobody] });

    let (status, answer) = it.call("POST", "/subscriptions", Some(wanted)).await;

    assert_eq!((status, &answer["errors"][0]["field"]), (422, &json!("report_ids")), "{answer}");
}

#[tokio::test]
async fn a_parameter_that_cannot_be_read_is_named_with_what_is_expected() {
    let it = TestApp::start().await;

    for (query, field, message) in [
        ("limit=abc", "limit", "must be a whole number"),
        ("account_id=abc", "account_id", "must be an id such as 019b76da-a800-7000-8000-000000000001"),
    ] {
        let (status, answer) = it.call("GET", &format!("/reports?{query}"), None).await;

        assert_eq!((status, &answer["errors"]), (422, &json!([{ "field": field, "message": message }])), "{answer}");
    }
}

#[tokio::test]
async fn validating_tells_what_is_wrong_and_stores_nothing() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let report =
        json!({ "account_id": account, "name": "R", "query": crate::support::app::QUERY, "interval_hours": 24 });
    let query = json!({ "name": "Q", "query": crate::support::app::QUERY });

    assert_eq!(it.post("/reports/validate", report.clone()).await, json!({ "warnings": [] }));
    assert_eq!(it.post(&format!("/accounts/{account}/queries/validate"), query).await, json!({ "warnings": [] }));
    assert_eq!(it.post("/subscriptions/validate", webhook("w")).await, json!({ "warnings": [] }));
    for path in ["/reports", "/subscriptions", "/accounts", &format!("/accounts/{account}/queries")] {
        let (status, answer) = it.call("POST", &format!("{path}/validate"), Some(json!({ "name": "" }))).await;
        assert_eq!(status, 422, "{path}: {answer}");
    }
    let id = it.post("/reports", report).await["id"].as_str().unwrap().to_owned();
    let (status, answer) =
        it.call("POST", &format!("/reports/{id}/validate"), Some(json!({ "interval_hours": 2 }))).await;
    assert_eq!((status, &answer["errors"][0]["field"]), (422, &json!("interval_hours")), "{answer}");
    assert_eq!(it.get(&format!("/reports/{id}")).await["interval_hours"], 24);
    assert_eq!((it.list("/subscriptions").await.len(), it.number("select count(*) from audit").await), (0, 2));
}
