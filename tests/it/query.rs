//! Queries: what Microsoft documents is taken, what cannot work is refused before anything is sent, and what is kept here
//! and what is there stay in line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tidings::db::StoreError;
use tidings::insights::language;
use tidings::sandbox::Fault;
use url::Url;

use crate::support::app::{ADMIN_KEY, QUERY, TestApp};
use crate::support::scene::{HOUR, client};
use crate::support::server::{Server, Taken, hand_on};

const SYSTEM_QUERY: &str = "d8349f7b-a7d1-467e-b26d-434d4a50f26a";
const OTHER_QUERY: &str = "SELECT CustomerName FROM OfficeUsage TIMESPAN LAST_MONTH";

/// The queries of Microsoft's pages.
fn documented() -> Vec<&'static str> {
    let paragraphs = include_str!("../fixtures/queries.txt").split("\n\n");
    paragraphs.map(str::trim).filter(|query| !query.starts_with('#')).collect()
}

/// What is wrong, field by field.
fn wrong(answer: &Value) -> Vec<(&str, &str)> {
    let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{answer}"));
    errors.iter().map(|one| (one["field"].as_str().unwrap(), one["message"].as_str().unwrap())).collect()
}

fn report(account: &str, query: &str) -> Value {
    json!({ "account_id": account, "name": "Seats", "query": query, "interval_hours": 24 })
}

fn is_for(taken: &Taken, method: &Method, part: &str) -> bool {
    taken.method == method && taken.uri.path().contains(part)
}

/// The queries there that are nobody's but the user's: id and text.
async fn made_there(it: &TestApp, account: &str) -> Vec<(String, String)> {
    let there = it.list(&format!("/accounts/{account}/queries?there=true")).await;
    let own = there.iter().filter(|query| query["type"] == "userDefined");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    own.map(|query| (text(&query["remote_id"]), text(&query["text"]))).collect()
}

#[test]
fn every_system_query_and_sample_query_of_the_documentation_is_taken() {
    let queries = documented();
    assert_eq!(queries.len(), 86);
    for query in queries {
        for text in [query.to_owned(), query.to_lowercase(), query.to_uppercase().replace('\n', "\r\n")] {
            let read = language::parse(&text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
            assert_eq!(language::check(&read, &[]), [], "{text}");
        }
    }
}

#[tokio::test]
async fn a_query_that_cannot_work_is_refused_wherever_it_is_given() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let kept = it.post(&format!("/accounts/{account}/queries"), json!({ "name": "Kept", "query": QUERY })).await;
    let kept = format!("/accounts/{account}/queries/{}", kept["id"].as_str().unwrap());
    let report_path = format!("/reports/{}", it.report(&account).await);
    let typo = "SELECT CustomerNam, Month\nFROM OfficeUsage WHERE Moon = 1 TIMESPAN LAST_7_DAYS";
    let broken = "SELECT Month,\nFROM OfficeUsage";

    for (method, path, body) in [
        ("POST", format!("/accounts/{account}/queries"), json!({ "name": "Q" })),
        ("POST", format!("/accounts/{account}/queries/test"), json!({})),
        ("PATCH", kept, json!({})),
        ("POST", "/reports".into(), report(&account, "")),
        ("PATCH", report_path, json!({})),
    ] {
        let with = |query: &str| {
            let mut body = body.clone();
            body["query"] = query.into();
            Some(body)
        };
        let (status, answer) = it.call(method, &path, with(broken)).await;
        assert_eq!(status, 422, "{path}");
        assert_eq!(
            wrong(&answer),
            [("query", "line 1, column 13: nothing follows this comma: leave it out, or name a column or a metric")]
        );
        let (status, answer) = it.call(method, &path, with(typo)).await;
        assert_eq!(status, 422, "{path}");
        let wrong = wrong(&answer);
        let expected = [
            "line 1, column 8: OfficeUsage has no column or metric CustomerNam; did you mean CustomerName?",
            "line 2, column 24: OfficeUsage has no column or metric Moon; it has ",
            "line 2, column 42: OfficeUsage has no TIMESPAN LAST_7_DAYS; it has LAST_MONTH, LAST_3_MONTHS, ",
        ];
        assert_eq!(wrong.len(), expected.len(), "{answer}");
        for ((field, message), expected) in wrong.into_iter().zip(expected) {
            assert!(field == "query" && message.starts_with(expected), "{message}");
        }
    }
    assert_eq!(it.sandbox.world.counts().api_requests, 1);
}

#[tokio::test]
async fn a_report_does_not_run_more_often_than_its_dataset_is_made() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let mut often = report(&account, QUERY);
    often["interval_hours"] = 4.into();

    let (status, answer) = it.call("POST", "/reports", Some(often.clone())).await;

    assert_eq!(status, 422);
    let least = ("interval_hours", "must be at least 24: OfficeUsage is not made anew more often");
    assert_eq!(wrong(&answer), [least]);
    let mut worse = often.clone();
    worse["format"] = "xls".into();
    let (_, answer) = it.call("POST", "/reports", Some(worse)).await;
    assert_eq!(wrong(&answer), [("format", "must be csv or tsv"), least]);
    let kept = it.post(&format!("/accounts/{account}/queries"), json!({ "name": "Kept", "query": QUERY })).await;
    often.as_object_mut().unwrap().remove("query");
    often["query_id"] = kept["id"].clone();
    let (_, answer) = it.call("POST", "/reports", Some(often)).await;
    assert_eq!(wrong(&answer), [least]);

    let mut marketplace = report(&it.marketplace_account().await, "SELECT Sku FROM ISVOrder");
    marketplace["interval_hours"] = 4.into();
    it.post("/reports", marketplace).await;
}

#[tokio::test]
async fn a_new_column_is_heard_of_before_a_query_is_refused_for_it() {
    let it = TestApp::start().await;
    let new = Arc::new(AtomicBool::new(false));
    let is_new = new.clone();
    let between = Server::before(it.sandbox.url(), move |taken, (status, body)| {
        if is_for(taken, &Method::GET, "/ScheduledDataset") && is_new.load(Ordering::SeqCst) {
            let text = String::from_utf8(body.to_vec()).unwrap();
            return (status, text.replace("CustomerTpid", "Novelty").into());
        }
        (status, body)
    })
    .await;
    let account = it.account_through(&between).await;
    let novel = report(&account, "SELECT Novelty FROM OfficeUsage");
    let questions = || between.taken().iter().filter(|taken| is_for(taken, &Method::GET, "/ScheduledDataset")).count();
    assert_eq!(it.call("POST", "/reports", Some(novel.clone())).await.0, 422);
    new.store(true, Ordering::SeqCst);
    it.after(HOUR).await;
    assert_eq!(it.call("POST", "/reports", Some(novel.clone())).await.0, 422);
    assert_eq!(questions(), 1);

    it.after(1).await;
    let (status, answer) = it.call("POST", "/reports", Some(novel)).await;

    assert_eq!((status, questions()), (201, 2), "{answer}");
}

#[tokio::test]
async fn where_datasets_cannot_be_had_what_keeps_the_grammar_is_taken() {
    let it = TestApp::start().await;
    let account = it.account().await;
    it.sandbox.world.fault_times(Fault::ServerError, 100);

    let (status, answer) = it.call("POST", "/reports", Some(report(&account, "SELECT *, SUM(a) FROM b"))).await;
    assert_eq!((status, wrong(&answer).len()), (422, 2), "{answer}");
    it.post("/reports", report(&account, "SELECT Anything FROM Anywhere")).await;
}

#[tokio::test]
async fn a_changed_query_makes_its_reports_anew_and_leaves_nothing_behind() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let queries = format!("/accounts/{account}/queries");
    let query = it.post(&queries, json!({ "name": "Seats", "text": QUERY })).await["id"].clone();
    let mut body = report(&account, QUERY);
    body.as_object_mut().unwrap().remove("query");
    body["query_id"] = query.clone();
    let report = format!("/reports/{}", it.post("/reports", body).await["id"].as_str().unwrap());
    it.drain().await;
    let (before, old) = (it.get(&report).await, made_there(&it, &account).await);
    assert_eq!(old.len(), 1);

    let path = format!("{queries}/{}", query.as_str().unwrap());
    let (_, renamed) = it.call("PATCH", &path, Some(json!({ "name": "Seats again", "query": QUERY }))).await;
    assert_eq!((&renamed["name"], &renamed["remote_id"]), (&json!("Seats again"), &json!(old[0].0)));
    let change = json!({ "name": "Names", "query": OTHER_QUERY });
    let (status, changed) = it.call("PATCH", &path, Some(change)).await;
    it.drain().await;

    assert_eq!((status, &changed["name"], &changed["remote_id"]), (200, &json!("Names"), &Value::Null));
    let after = it.get(&report).await;
    assert_eq!((&after["state"], &after["query"]), (&json!("registered"), &json!(OTHER_QUERY)));
    assert_ne!(after["remote_id"], before["remote_id"]);
    assert_eq!(it.sandbox.world.reports().len(), 1);
    let new = made_there(&it, &account).await;
    assert_eq!((new.len(), new[0].1.as_str()), (1, OTHER_QUERY), "{new:?}");
    assert_ne!(new[0].0, old[0].0);
}

#[tokio::test]
async fn a_query_of_no_use_is_deleted_there_as_soon_as_that_works() {
    let it = TestApp::start().await;
    let down = Arc::new(AtomicBool::new(true));
    let is_down = down.clone();
    let between = Server::before(it.sandbox.url(), move |taken, answer| {
        let fails = is_for(taken, &Method::DELETE, "/ScheduledQueries") && is_down.load(Ordering::SeqCst);
        if fails { (StatusCode::SERVICE_UNAVAILABLE, "".into()) } else { answer }
    })
    .await;
    let account = it.account_through(&between).await;
    let report = format!("/reports/{}", it.report(&account).await);
    it.drain().await;
    let (status, _) = it.call_and_drain("PATCH", &report, Some(json!({ "query": OTHER_QUERY }))).await;
    assert_eq!(status, 200);
    // It was made for the report alone, but it is not gone there before that works.
    assert_eq!(it.number("select count(*) from leftovers").await, 1);

    down.store(false, Ordering::SeqCst);
    it.call_and_drain("POST", &format!("{report}/pause"), None).await;
    let left = made_there(&it, &account).await;
    assert_eq!((left.len(), left[0].1.as_str()), (1, OTHER_QUERY));
    it.call_and_drain("DELETE", &report, None).await;
    it.drain().await;
    assert_eq!(made_there(&it, &account).await, []);
    assert_eq!(it.number("select count(*) from leftovers").await, 0);
}

#[tokio::test]
async fn a_query_that_is_removed_here_is_deleted_there_unless_it_was_found_there() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let queries = format!("/accounts/{account}/queries");
    let kept = it.post(&queries, json!({ "name": "Kept", "query": QUERY })).await["id"].clone();
    it.sql("update queries set remote_id = 'made-by-us'").await;
    it.sql(&format!(
        "insert into queries (id, account_id, name, text, remote_id, adopted, created_at)
         select '00000000-0000-0000-0000-000000000001', account_id, 'Found', text, '{SYSTEM_QUERY}', true, created_at
         from queries"
    ))
    .await;
    let between = Server::before(it.sandbox.url(), |_, answer| answer).await;
    let url = between.url.join("/insights/v1/mpn").unwrap();
    it.call("PATCH", &format!("/accounts/{account}"), Some(json!({ "api_url": url.as_str() }))).await;

    for id in [kept.as_str().unwrap(), "00000000-0000-0000-0000-000000000001"] {
        assert_eq!(it.call("DELETE", &format!("{queries}/{id}"), None).await.0, 204);
    }
    it.drain().await;

    let deleted = between.taken().into_iter().filter(|taken| taken.method == Method::DELETE);
    let deleted: Vec<String> = deleted.map(|taken| taken.uri.path().to_owned()).collect();
    assert_eq!(deleted, ["/insights/v1/mpn/ScheduledQueries/made-by-us"]);
}

#[tokio::test]
async fn a_query_that_is_changed_while_it_is_made_there_is_made_anew() {
    let it = TestApp::start().await;
    let (sandbox, ours, changed) = (it.sandbox.url(), it.url.clone(), Arc::new(AtomicBool::new(false)));
    let between = Server::start(move |taken| {
        let (sandbox, ours, changed) = (sandbox.clone(), ours.clone(), changed.clone());
        async move {
            let (status, body) = hand_on(&sandbox, &taken).await;
            if is_for(&taken, &Method::POST, "/ScheduledQueries") && !changed.swap(true, Ordering::SeqCst) {
                change_only_query(&ours).await;
            }
            Response::builder().status(status).header("content-type", "application/json").body(body.into()).unwrap()
        }
    })
    .await;
    let account = it.account_through(&between).await;

    let report = it.report(&account).await;
    let work = it.app.register.claim(1).await.unwrap().remove(0);
    assert!(matches!(it.app.register.perform(work).await, Err(StoreError::Lost)));
    // The claim was taken away: the report is taken up again when the lease has run out.
    it.after(60).await;
    it.drain().await;

    let shown = it.get(&format!("/reports/{report}")).await;
    assert_eq!((&shown["state"], &shown["query"]), (&json!("registered"), &json!(OTHER_QUERY)));
    let there = made_there(&it, &account).await;
    assert_eq!((there.len(), there[0].1.as_str()), (1, OTHER_QUERY));
    assert_eq!(it.sandbox.world.reports()[0].query_id, there[0].0);
}

#[tokio::test]
async fn a_query_that_another_report_brings_there_meanwhile_is_not_kept_twice() {
    let it = TestApp::start().await;
    let (sandbox, pool) = (it.sandbox.url(), it.database.pool.clone());
    let between = Server::start(move |taken| {
        let (sandbox, pool) = (sandbox.clone(), pool.clone());
        async move {
            let (status, body) = hand_on(&sandbox, &taken).await;
            if is_for(&taken, &Method::POST, "/ScheduledQueries") {
                let other = sqlx::query("update queries set remote_id = $1").bind(SYSTEM_QUERY);
                other.execute(&pool).await.unwrap();
            }
            Response::builder().status(status).header("content-type", "application/json").body(body.into()).unwrap()
        }
    })
    .await;
    let account = it.account_through(&between).await;

    let report = it.report(&account).await;
    it.drain().await;

    assert_eq!(it.get(&format!("/reports/{report}")).await["state"], "registered");
    assert_eq!(it.sandbox.world.reports()[0].query_id, SYSTEM_QUERY);
    assert_eq!(made_there(&it, &account).await, []);
}

/// Changes the text of the only query of the only account.
async fn change_only_query(service: &Url) {
    let call = |method: Method, path: String, body: Value| {
        let request = client().request(method, service.join(&path).unwrap()).bearer_auth(ADMIN_KEY).json(&body);
        async move { request.send().await.unwrap().json::<Value>().await.unwrap() }
    };
    let first = |list: Value| list["items"][0]["id"].as_str().unwrap().to_owned();
    let account = first(call(Method::GET, "/api/v1/accounts".into(), json!({})).await);
    let queries = format!("/api/v1/accounts/{account}/queries");
    let query = first(call(Method::GET, queries.clone(), json!({})).await);
    call(Method::PATCH, format!("{queries}/{query}"), json!({ "query": OTHER_QUERY })).await;
}

#[tokio::test]
async fn a_query_that_a_report_uses_stays() {
    let it = TestApp::start().await;
    it.registered().await;
    let account = it.list("/accounts").await[0]["id"].as_str().unwrap().to_owned();
    let query = it.list(&format!("/accounts/{account}/queries")).await[0]["id"].as_str().unwrap().to_owned();

    let (status, answer) = it.call("DELETE", &format!("/accounts/{account}/queries/{query}"), None).await;

    assert_eq!(status, 409, "{answer}");
    assert_eq!(made_there(&it, &account).await.len(), 1);
    assert_eq!(it.number("select count(*) from leftovers").await, 0);
}

#[tokio::test]
async fn no_query_is_made_there_above_the_number_that_a_user_may_have() {
    let it = TestApp::start().await;
    let between = Server::before(it.sandbox.url(), |taken, answer| {
        if !is_for(taken, &Method::GET, "/ScheduledQueries") {
            return answer;
        }
        let queries: Vec<Value> = (0..100).map(|n| json!({ "queryId": n, "name": format!("Q{n}") })).collect();
        (StatusCode::OK, json!({ "value": queries }).to_string().into())
    })
    .await;
    let account = it.account_through(&between).await;

    let report = it.report(&account).await;
    it.drain().await;

    let shown = it.get(&format!("/reports/{report}")).await;
    assert_eq!(shown["state"], "rejected");
    assert!(shown["last_failure"].as_str().unwrap().contains("100 queries there already"), "{shown}");
    assert!(!between.taken().iter().any(|taken| is_for(taken, &Method::POST, "/ScheduledQueries")));
}

#[tokio::test]
async fn a_report_can_run_a_query_that_exists_there() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let mut body = report(&account, "");
    body.as_object_mut().unwrap().remove("query");
    body["remote_query_id"] = "11111111-2222-4333-8444-555555555555".into();
    let (status, answer) = it.call("POST", "/reports", Some(body.clone())).await;
    assert_eq!((status, wrong(&answer)), (422, vec![("remote_query_id", "names no query there")]));

    body["remote_query_id"] = SYSTEM_QUERY.into();
    let report = it.post("/reports", body.clone()).await;
    it.drain().await;

    let shown = it.get(&format!("/reports/{}", report["id"].as_str().unwrap())).await;
    assert_eq!(shown["state"], "registered");
    assert!(shown["query"].as_str().unwrap().contains("FROM OfficeUsage"), "{shown}");
    assert_eq!(it.sandbox.world.reports()[0].query_id, SYSTEM_QUERY);
    assert_eq!(made_there(&it, &account).await, []);
    let there = it.list(&format!("/accounts/{account}/queries?there=true")).await;
    let kept = there.iter().find(|query| query["remote_id"] == SYSTEM_QUERY).unwrap();
    assert_eq!((&kept["type"], &kept["id"]), (&json!("system"), &shown["query_id"]));

    body["name"] = "Again".into();
    assert_eq!(it.post("/reports", body).await["query_id"], shown["query_id"]);
    let path = format!("/accounts/{account}/queries/{}", shown["query_id"].as_str().unwrap());
    it.call("PATCH", &path, Some(json!({ "query": OTHER_QUERY }))).await;
    it.drain().await;
    assert_eq!(it.number("select count(*) from leftovers").await, 0);
    let there = it.list(&format!("/accounts/{account}/queries?there=true")).await;
    assert!(there.iter().any(|query| query["remote_id"] == SYSTEM_QUERY));
}

#[tokio::test]
async fn a_query_is_tried_by_text_or_as_it_is_kept_over_its_own_window() {
    let it = TestApp::start().await;
    let between = Server::before(it.sandbox.url(), |_, answer| answer).await;
    let account = it.account_through(&between).await;
    let queries = format!("/accounts/{account}/queries");
    let kept = it.post(&queries, json!({ "name": "Kept", "query": QUERY })).await["id"].clone();
    let test = format!("{queries}/test");

    let window = json!({ "query_id": kept, "start_at": "2025-11-01T00:00:00Z", "end_at": "2025-12-01T00:00:00Z" });
    let tried = it.post(&test, window).await;

    assert_eq!((&tried["validated"], &tried["problem"]), (&json!(true), &Value::Null));
    assert!((1..=100).contains(&tried["rows"].as_array().unwrap().len()));
    let uri = between.taken().last().unwrap().uri.to_string();
    assert!(uri.contains("exportQuery=SELECT%20CustomerName"), "{uri}");
    assert!(uri.contains("startTime=2025-11-01T00%3A00%3A00Z&endTime=2025-12-01T00%3A00%3A00Z"), "{uri}");
    assert!(!it.post(&test, json!({ "text": QUERY })).await["rows"].as_array().unwrap().is_empty());
    for (body, field) in [
        (json!({}), "query"),
        (json!({ "query": QUERY, "query_id": kept }), "query"),
        (json!({ "query": QUERY, "start_at": "2026-01-01T00:00:00Z", "end_at": "2025-01-01T00:00:00Z" }), "end_at"),
    ] {
        let (status, answer) = it.call("POST", &test, Some(body)).await;
        assert_eq!((status, wrong(&answer)[0].0), (422, field), "{answer}");
    }
    let test = format!("/accounts/{}/queries/test", it.marketplace_account().await);
    let body = json!({ "query": "SELECT Sku FROM ISVOrder", "start_at": "2025-01-01T00:00:00Z" });
    assert_eq!(wrong(&it.call("POST", &test, Some(body)).await.1)[0].0, "start_at");
}

#[tokio::test]
async fn a_query_reaches_the_api_as_it_is_written_whatever_it_holds() {
    let it = TestApp::start().await;
    let between = Server::before(it.sandbox.url(), |_, answer| answer).await;
    let account = it.account_through(&between).await;
    let query = "SELECT CustomerName FROM OfficeUsage WHERE CustomerName LIKE '%A+B & C=D#E%'";

    it.post(&format!("/accounts/{account}/queries/test"), json!({ "query": query })).await;

    let asked = between.taken().last().unwrap().uri.query().unwrap().to_owned();
    let expected = "exportQuery=SELECT%20CustomerName%20FROM%20OfficeUsage%20WHERE%20CustomerName%20LIKE%20\
                    %27%25A%2BB%20%26%20C%3DD%23E%25%27";
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn an_account_without_any_query_there_is_no_failure() {
    let it = TestApp::start().await;
    let none = json!({ "value": [], "message": "No item found with given filters.", "statusCode": 404 }).to_string();
    let between = Server::before(it.sandbox.url(), move |taken, answer| {
        let is_list = is_for(taken, &Method::GET, "/ScheduledQueries");
        if is_list { (StatusCode::NOT_FOUND, none.clone().into()) } else { answer }
    })
    .await;
    let account = it.account_through(&between).await;
    let report = it.report(&account).await;

    it.drain().await;

    assert_eq!(it.get(&format!("/reports/{report}")).await["state"], "registered");
}

#[tokio::test]
async fn a_test_that_takes_too_long_says_nothing_against_the_query() {
    let it = TestApp::start().await;
    let between = Server::before(it.sandbox.url(), |taken, answer| {
        let slow = is_for(taken, &Method::GET, "/testQueryResult");
        if slow { (StatusCode::GATEWAY_TIMEOUT, "".into()) } else { answer }
    })
    .await;
    let account = it.account_through(&between).await;

    let tried = it.post(&format!("/accounts/{account}/queries/test"), json!({ "query": QUERY })).await;

    assert_eq!((&tried["validated"], &tried["rows"]), (&json!(false), &json!([])));
    assert!(tried["problem"].as_str().unwrap().contains("may work all the same"), "{tried}");
}
