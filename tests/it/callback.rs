//! The callback door: every genuine call is recorded whole, and nothing else is.

use std::time::Duration;

use serde_json::{Value, json};
use tidings::callback::Call;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::support::app::TestApp;
use crate::support::scene::{UNTIL_FIRST_RUN, client, until};

/// A registered report, its address, and its recorded callbacks oldest first.
struct Scene {
    it: TestApp,
    report: String,
    address: String,
}

impl Scene {
    async fn start() -> Self {
        let it = TestApp::start().await;
        let report = it.registered().await;
        let address = it.callback_address().into();
        Self { it, report, address }
    }

    fn token(&self) -> &str {
        self.address.rsplit('/').next().unwrap()
    }

    async fn recorded(&self) -> Vec<Value> {
        let listed = self.it.list(&format!("/callbacks?report_id={}&limit=200", self.report)).await;
        let mut recorded = Vec::new();
        for callback in listed.iter().rev() {
            assert!(callback.get("body").is_none(), "a list with bodies: {callback}");
            recorded.push(self.it.get(&format!("/callbacks/{}", callback["id"].as_str().unwrap())).await);
        }
        recorded
    }

    async fn post(&self, body: impl Into<reqwest::Body>) -> u16 {
        client().post(&self.address).body(body).send().await.unwrap().status().as_u16()
    }
}

#[tokio::test]
async fn every_form_of_a_call_is_recorded_with_what_stood_behind_the_token() {
    let scene = Scene::start().await;
    let forms = [
        ("POST", "/4e1b-id", "/4e1b-id", Value::Null),
        ("GET", "?reportId=4e1b-id", "", json!("reportId=4e1b-id")),
        ("POST", "?/4e1b-id", "", json!("/4e1b-id")),
        ("POST", "/", "", Value::Null),
        ("POST", "", "", Value::Null),
        ("GET", "/a/b%00/%ff/../c?x=1&x=2", "/a/b%00/c", json!("x=1&x=2")),
    ];
    for (method, behind, ..) in &forms {
        let url: Url = format!("{}{behind}", scene.address).parse().unwrap();
        let answer = client().request(method.parse().unwrap(), url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{method} {behind}");
    }

    let recorded = scene.recorded().await;
    assert_eq!(recorded.len(), forms.len());
    for (row, (method, _, path, query)) in recorded.iter().zip(&forms) {
        assert_eq!((&row["method"], &row["path"], &row["query"]), (&json!(method), &json!(path), query));
        assert_eq!(row["verdict"], "accepted");
        assert_eq!(row["remote_address"], "127.0.0.1");
    }
}

#[tokio::test]
async fn a_forged_address_is_not_found_and_leaves_no_trace() {
    let scene = Scene::start().await;
    let token = scene.token().to_owned();
    let unsubscribe = scene.it.app.links.unsubscribe("019b9341-2a00-716e-9d4f-8cd9207147fc".parse().unwrap());
    let other_purpose = unsubscribe.path().rsplit('/').next().unwrap().to_owned();
    let mut forged = token.clone();
    forged.replace_range(20..21, if &token[20..21] == "A" { "B" } else { "A" });

    for junk in [forged.as_str(), &other_purpose, &token[1..], "junk", "%00", &"x".repeat(4000)] {
        let url = scene.it.url.join("/callbacks/").unwrap().join(junk).unwrap();
        assert_eq!(client().post(url).body("x").send().await.unwrap().status(), 404, "{junk}");
    }

    assert!(scene.recorded().await.is_empty());
    assert_eq!(scene.it.number("select count(*) from callbacks").await, 0);
}

#[tokio::test]
async fn a_look_at_the_address_is_answered_and_not_recorded() {
    let scene = Scene::start().await;

    for (method, status) in [("HEAD", 200), ("OPTIONS", 204), ("PUT", 405), ("DELETE", 405)] {
        let answer = client().request(method.parse().unwrap(), &scene.address).send().await.unwrap();
        assert_eq!(answer.status(), status, "{method}");
    }

    assert!(scene.recorded().await.is_empty());
}

#[tokio::test]
async fn a_large_body_is_cut_and_marked_and_odd_bytes_are_kept_escaped() {
    let scene = Scene::start().await;

    assert_eq!(scene.post("x".repeat(70 * 1024)).await, 200);
    assert_eq!(scene.post(b"a\0b\xff\\".to_vec()).await, 200);
    assert_eq!(scene.post(r#"{"text":"Ümläut \n"}"#).await, 200);

    let recorded = scene.recorded().await;
    assert_eq!(recorded[0]["body"].as_str().unwrap().len(), 64 * 1024);
    assert_eq!((&recorded[0]["body_cut"], &recorded[0]["body_escaped"]), (&json!(true), &json!(false)));
    assert_eq!(recorded[1]["body"], r"a\x00b\xff\x5c");
    assert_eq!((&recorded[1]["body_cut"], &recorded[1]["body_escaped"]), (&json!(false), &json!(true)));
    assert_eq!(recorded[2]["body"], r#"{"text":"Ümläut \n"}"#);
}

#[tokio::test]
async fn headers_that_are_no_text_or_hold_odd_bytes_fail_no_call() {
    let scene = Scene::start().await;
    let header = reqwest::header::HeaderValue::from_bytes(b"caf\xe9").unwrap();

    let answer = client().post(&scene.address).header("x-odd", header).send().await.unwrap();

    assert_eq!(answer.status(), 200);
    let headers = scene.recorded().await[0]["headers"].to_string();
    assert!(headers.contains(r#"["x-odd","caf\\xe9"]"#), "{headers}");
}

#[tokio::test]
async fn a_caller_who_hangs_up_at_once_has_still_called() {
    let scene = Scene::start().await;
    let path = scene.address.parse::<Url>().unwrap().path().to_owned();
    let host = scene.it.url.socket_addrs(|| None).unwrap()[0];
    let request = format!("POST {path}/gone HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}");

    for _ in 0..20 {
        let mut half_closed = TcpStream::connect(host).await.unwrap();
        half_closed.write_all(request.as_bytes()).await.unwrap();
        half_closed.shutdown().await.unwrap();
        let mut answer = String::new();
        half_closed.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

        let mut dropped = TcpStream::connect(host).await.unwrap();
        dropped.write_all(request.as_bytes()).await.unwrap();
        drop(dropped);
    }

    until("all forty calls are recorded", || async { scene.recorded().await.len() == 40 }).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_recorded_as_far_as_it_came() {
    let scene = Scene::start().await;
    let path = scene.address.parse::<Url>().unwrap().path().to_owned();
    let mut caller = TcpStream::connect(scene.it.url.socket_addrs(|| None).unwrap()[0]).await.unwrap();
    let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
    caller.write_all(request.as_bytes()).await.unwrap();
    drop(caller);

    until("the call is recorded", || async { !scene.recorded().await.is_empty() }).await;
    let row = &scene.recorded().await[0];
    assert_eq!((&row["body"], &row["body_cut"]), (&json!("half"), &json!(true)));
}

#[tokio::test]
async fn a_call_for_a_report_that_is_gone_is_recorded_with_that_verdict_and_fails_no_other() {
    let scene = Scene::start().await;
    let gone = tidings::id::Id::at(scene.it.clock.now());
    let gone = scene.it.app.addresses.for_report(gone, &scene.it.sandbox.url()).unwrap();
    let calls = [gone.as_str(), &scene.address].map(|url| client().post(url).send());

    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.unwrap().status(), 200);
    }

    let mut verdicts: Vec<Value> = scene.it.list("/callbacks").await.iter().map(|row| row["verdict"].clone()).collect();
    verdicts.sort_by_key(Value::to_string);
    assert_eq!(verdicts, [json!("accepted"), json!("unknown_report")]);
}

fn call_of(report_id: tidings::id::ReportId, nth: usize) -> Call<'static> {
    Call {
        report_id,
        method: "POST",
        path: "".into(),
        query: None,
        headers: vec![("x-nth", nth.to_string().into())],
        body: bytes::Bytes::new(),
        body_cut: false,
        remote_address: None,
    }
}

/// Calls that are all there before a writer can take the first, every second one of them for a report that is gone.
async fn crowd(scene: &Scene) {
    let known = scene.report.parse().unwrap();
    let gone = tidings::id::Id::at(scene.it.clock.now());
    let call = |nth: usize| call_of(if nth.is_multiple_of(2) { known } else { gone }, nth);
    let calls: Vec<_> = (0..20).map(|nth| scene.it.app.door.record(&call(nth))).collect();
    for recorded in futures_util::future::join_all(calls).await {
        recorded.unwrap();
    }
}

#[tokio::test]
async fn crowd_after_crowd_is_recorded_at_once_and_each_call_has_its_verdict() {
    let scene = Scene::start().await;

    for _ in 0..5 {
        crowd(&scene).await;
    }

    let every_second =
        "select count(*) from callbacks where (verdict = 'accepted') = ((headers::json->0->>1)::int % 2 = 0)";
    assert_eq!(scene.it.number(every_second).await, 100);
    let each_five_times =
        "select count(*) from (select from callbacks group by headers having count(*) = 5) as headers";
    assert_eq!(scene.it.number(each_five_times).await, 20);
    assert_eq!(scene.it.number("select count(distinct xmin::text) from callbacks").await, 5);
}

#[tokio::test]
async fn a_crowd_for_many_reports_is_recorded_at_once_and_makes_each_check_due() {
    let scene = Scene::start().await;
    let copies = "with copies as (
            insert into reports select (jsonb_populate_record(reports, jsonb_build_object(
                'id', gen_random_uuid(), 'name', 'copy ' || n, 'slug', 'copy-' || n))).*
            from reports, generate_series(1, 1000) as n returning id
        ) insert into checks (report_id) select id from copies";
    scene.it.sql(copies).await;
    let ids_of = "select id from reports where slug like 'copy-%'";
    let ids: Vec<uuid::Uuid> = sqlx::query_scalar(ids_of).fetch_all(&scene.it.app.pool).await.unwrap();
    // What the database plans for one call must do for a thousand.
    assert_eq!(scene.post("alone").await, 200);

    let calls: Vec<_> =
        ids.iter().map(|id| scene.it.app.door.record(&call_of(tidings::id::ReportId(*id), 0))).collect();
    for recorded in futures_util::future::join_all(calls).await {
        recorded.unwrap();
    }

    assert_eq!(ids.len(), 1000);
    assert_eq!(
        scene.it.number("select count(*) from callbacks where headers <> '[]' and verdict = 'accepted'").await,
        1001
    );
    let due = format!("select count(*) from checks where calls = 1 and due_at is not null and report_id in ({ids_of})");
    assert_eq!(scene.it.number(&due).await, 1000);
    let transactions = format!("select count(distinct xmin::text) from callbacks where report_id in ({ids_of})");
    assert_eq!(scene.it.number(&transactions).await, 1);
}

#[tokio::test]
async fn a_door_that_stands_ready_after_a_crowd_keeps_no_transaction_open_and_survives_the_loss_of_its_connections() {
    let scene = Scene::start().await;
    let ready = "from pg_stat_activity
                 where datname = current_database() and state <> 'idle' and query ilike 'copy callbacks%'";
    let (open, ended) =
        (format!("select count(*) {ready}"), format!("select count(pg_terminate_backend(pid)) {ready}"));
    let after_a_crowd = async |query: &str| {
        crowd(&scene).await;
        scene.it.number(query).await
    };

    until("a copy stands open", || async { after_a_crowd(&open).await > 0 }).await;
    until("no copy stands open", || async { scene.it.number(&open).await == 0 }).await;
    assert_eq!(scene.post("alone").await, 200);

    until("a copy that stood open lost its connection", || async { after_a_crowd(&ended).await > 0 }).await;
    crowd(&scene).await;
    crowd(&scene).await;
    assert_eq!(scene.it.number("select count(*) % 20 from callbacks").await, 1);
}

#[tokio::test]
async fn without_its_database_the_door_says_503_and_pretends_nothing() {
    let scene = Scene::start().await;
    scene.it.app.pool.close().await;

    let answer = client().post(&scene.address).send().await.unwrap();

    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let forged = scene.it.url.join("/callbacks/junk").unwrap();
    assert_eq!(client().post(forged).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn the_token_rests_nowhere_even_when_the_caller_repeats_it() {
    let scene = Scene::start().await;
    let token = scene.token().to_owned();
    let request = client()
        .post(format!("{}/{token}?url={}", scene.address, scene.address))
        .header("x-original-url", format!("/callbacks/{token}"))
        .body(format!(r#"{{"callbackUrl":"{}","again":"{token}"}}"#, scene.address));

    assert_eq!(request.send().await.unwrap().status(), 200);
    scene.it.after(UNTIL_FIRST_RUN).await;
    scene.it.drain().await;

    assert_eq!(scene.recorded().await.len(), 2);
    let rows = scene.it.all_rows().await;
    assert!(rows.contains("x-original-url") && rows.contains(r#"\"again\""#));
    assert!(!rows.contains(&token));
}

#[tokio::test]
async fn a_call_answers_without_waiting_for_the_api() {
    let scene = Scene::start().await;
    let asked = scene.it.sandbox.world.counts().api_requests;

    let answered = tokio::time::timeout(Duration::from_secs(5), scene.post("{}")).await;

    assert_eq!(answered, Ok(200));
    assert_eq!(scene.it.sandbox.world.counts().api_requests, asked);
}
