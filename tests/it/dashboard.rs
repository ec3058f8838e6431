//! The dashboard, through its routes: who gets in, what a story shows and never shows, and what its buttons do.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, Request, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use serde_json::json;
use tidings::account::{self, Credentials, Grant, ProgramName};
use tidings::app::{App, Settings};
use tidings::callback::Call;
use tidings::channel::Channel;
use tidings::clock::Clock;
use tidings::download::fetch::DownloadHosts;
use tidings::event::{self, About, Fact, Kind};
use tidings::id::{AttemptId, DeliveryId, ExecutionId, FileId, ReportId};
use tidings::notification::{FirstRows, store::deliveries, subscribe};
use tidings::outbound::Guard;
use tidings::report;
use tidings::report::limits::Quotas;
use tidings::secret::{Keyring, Secret};
use tidings::wake::Topic;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::support::database::{TestDatabase, fresh};
use crate::support::scene::until;

const KEY: &str = "an-admin-key-of-the-settings";
const HOOK: &str = "https://hooks.slack.com/services/T0/B0/hook-token";
const CONTENT: &[u8] = b"Customer,Seats\nContoso,12\n";

struct Place {
    app: App,
    router: Router,
    clock: Clock,
    cookie: String,
    _database: TestDatabase,
    _archive: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn location(&self) -> &str {
        self.headers.get(LOCATION).map_or("", |value| value.to_str().unwrap())
    }

    /// The cookie that it sets, as a browser would send it back.
    fn cookie(&self) -> String {
        let cookie = self.headers[SET_COOKIE].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }
}

/// A service with an empty database, and somebody who has signed in.
async fn place() -> Place {
    let (database, archive) = (fresh().await, tempfile::tempdir().unwrap());
    let clock = Clock::set_at("2026-11-20T06:02:11Z".parse().unwrap());
    let settings = Settings {
        public_url: "http://127.0.0.1:8080".parse().unwrap(),
        dashboard_is_public: true,
        guard: Guard::new(&["127.0.0.0/8".parse().unwrap()]),
        proxy: None,
        download_hosts: DownloadHosts::default(),
        calls_per_second: 1000,
        quotas: Quotas::default(),
        keep: tidings::retention::Keep::default(),
        door: tidings::callback::Settings::default(),
        keyring: Keyring::parse(&Keyring::generate()).unwrap(),
        admin_key: Some(Secret::new(KEY)),
        local_key: None,
        mail: None,
        archive: archive.path().into(),
        sandbox_page: Some("http://127.0.0.1:8080/sandbox".parse().unwrap()),
        metrics: None,
    };
    let app = App::build(database.pool.clone(), clock.clone(), settings).await.unwrap();
    let router = tidings::http::router(app.clone());
    let session = app.access.sign_in(&Secret::new(KEY)).await.unwrap().unwrap();
    let cookie = format!("tidings_session={}", session.expose());
    Place { app, router, clock, cookie, _database: database, _archive: archive }
}

impl Place {
    async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = to_bytes(body, 1 << 20).await.unwrap();
        // A slash may be written as an escape; nobody sees the difference.
        let text = String::from_utf8(bytes.into()).unwrap().replace("&#x2f;", "/");
        Answer { status: parts.status, headers: parts.headers, text }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).header(COOKIE, &self.cookie).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str) -> Answer {
        let request = Request::post(path).header(COOKIE, &self.cookie).header("sec-fetch-site", "same-origin");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn post_form(&self, path: &str, form: &str) -> Answer {
        let request = Request::post(path).header(HOST, "localhost").header(ORIGIN, "http://localhost");
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    async fn report(&self, name: &str) -> ReportId {
        let draft = account::Draft {
            name: format!("Account of {name}"),
            program: ProgramName::Mpn,
            tenant_id: "contoso".into(),
            client_id: "client".into(),
            grant: Grant::RefreshToken,
            token_version: account::TokenVersion::One,
            client_secret_expires_at: None,
            login_url: None,
            api_url: Some("http://127.0.0.1:9000/insights".into()),
            username: None,
            credentials: Credentials { refresh_token: Some(Secret::new("refresh-token")), ..Credentials::default() },
        };
        let account = draft.check(&self.app.guard, None).unwrap();
        let mut conn = self.app.pool.acquire().await.unwrap();
        let account_id = account::store::insert(&mut conn, &self.clock, &self.app.keyring, &account).await.unwrap();
        let draft = report::Draft {
            account_id,
            name: name.into(),
            description: None,
            query_id: None,
            query: Some("SELECT Customer, Seats FROM Subscriptions TIMESPAN LAST_MONTH".into()),
            start_at: None,
            interval_hours: Some(24),
            occurrences: None,
            end_at: None,
            recreate: false,
            grace_hours: None,
            format: None,
            callback_method: None,
            execute_now: false,
            query_start_at: None,
            query_end_at: None,
        };
        let checked = draft.check(self.clock.now()).unwrap();
        report::store::insert(&mut conn, &self.clock, &checked).await.unwrap()
    }

    async fn subscribe(&self, name: &str) {
        let draft = subscribe::Draft {
            name: name.into(),
            channel: Channel::Slack,
            to: None,
            url: Some(Secret::new(HOOK)),
            events: None,
            report_ids: None,
            owner: None,
            first_rows: FirstRows::Off,
            unique_name: false,
        };
        let mut conn = self.app.pool.acquire().await.unwrap();
        let checked = draft.check(&Guard::default()).unwrap();
        subscribe::create(&mut conn, &self.clock, &self.app.keyring, &checked).await.unwrap();
    }

    async fn call(&self, report_id: ReportId, path: &str) {
        let call = Call {
            report_id,
            method: "POST",
            path: path.into(),
            query: None,
            headers: Vec::new(),
            body: bytes::Bytes::new(),
            body_cut: false,
            remote_address: Some("203.0.113.9".parse().unwrap()),
        };
        self.app.door.record(&call).await.unwrap();
    }

    /// An execution whose file was stored and told, as the stages leave it.
    async fn stored(&self, report_id: ReportId) -> FileId {
        let (execution, file): (ExecutionId, FileId) = (self.clock.new_id(), self.clock.new_id());
        let (now, pool) = (self.clock.now(), &self.app.pool);
        sqlx::query(
            "insert into executions (id, report_id, remote_id, remote_report_id, status, state, found_by, generated_at,
                 archive_date, found_at, updated_at)
             values ($1, $2, $3, 'there', 'Completed', 'stored', 'callback', $4, '2026-11-20', $4, $5)",
        )
        .bind(execution)
        .bind(report_id)
        .bind(format!("remote-{execution}"))
        .bind(now)
        .bind(now + TimeDelta::milliseconds(700))
        .execute(pool)
        .await
        .unwrap();
        let location = format!("report=r/date=2026-11-20/{execution}.csv");
        let mut incoming = self.app.archive.begin(file, 1).unwrap();
        incoming.write(CONTENT).unwrap();
        let size = i64::try_from(incoming.publish(&location).unwrap()).unwrap();
        sqlx::query(
            "insert into downloads (id, execution_id, report_id, state, due_at, tries, since, location, format, encoding,
                 size_bytes, stored_bytes, sha256, rows, columns, stored_at)
             values ($1, $2, $3, 'stored', $4, 1, $4, $5, 'csv', 'identity', $6, $6, $7, 12431, $8, $9)",
        )
        .bind(file)
        .bind(execution)
        .bind(report_id)
        .bind(now + TimeDelta::milliseconds(20))
        .bind(location)
        .bind(size)
        .bind("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
        .bind(json!(["Customer", "Seats"]))
        .bind(now + TimeDelta::milliseconds(700))
        .execute(pool)
        .await
        .unwrap();
        self.clock.advance(Duration::from_millis(700));
        let about = About { report_id: Some(report_id), execution_id: Some(execution), ..About::default() };
        let fact = Fact { kind: Kind::ReportReady, key: format!("ready:{execution}"), about, data: json!({}) };
        event::store::append(&mut pool.acquire().await.unwrap(), &self.clock, fact).await.unwrap();
        self.app.fan_out.run_once().await.unwrap();
        file
    }

    /// Records an attempt of a delivery, as the step that delivers does.
    async fn attempt(&self, delivery: DeliveryId, (outcome, status, detail): (&str, i32, &str), state: &str) {
        let now = self.clock.now();
        let started: DateTime<Utc> = now - TimeDelta::milliseconds(84);
        sqlx::query(
            "with noted as (
                 insert into attempts (id, delivery_id, number, trigger, started_at, finished_at, outcome, status, detail)
                 select $1, $2, 1 + count(*), 'schedule', $3, $4, $5, $6, $7 from attempts where delivery_id = $2
             )
             update deliveries
             set state = $8, tries = tries + 1, due_at = $4, finished_at = case when $8 = 'pending' then null else $4 end
             where id = $2",
        )
        .bind(self.clock.new_id::<AttemptId>())
        .bind(delivery)
        .bind(started)
        .bind(now)
        .bind(outcome)
        .bind(status)
        .bind(detail)
        .bind(state)
        .execute(&self.app.pool)
        .await
        .unwrap();
    }

    async fn delivery(&self, report_id: ReportId) -> tidings::notification::Delivery {
        let mut conn = self.app.pool.acquire().await.unwrap();
        let all = deliveries::list(&mut conn, deliveries::Filter::default(), None, 50).await.unwrap();
        all.into_iter().find(|delivery| delivery.report_id == Some(report_id)).unwrap()
    }

    async fn audit(&self) -> Vec<String> {
        let lines = sqlx::query_scalar("select action || ' ' || subject || ' by ' || actor from audit order by id");
        lines.fetch_all(&self.app.pool).await.unwrap()
    }
}

#[tokio::test]
async fn without_a_session_every_page_leads_to_the_sign_in_and_back() {
    let place = place().await;
    let id = place.report("Daily usage").await;
    let file = place.stored(id).await;

    for path in [
        "/".to_owned(),
        format!("/reports/{id}"),
        format!("/reports/{id}/timeline"),
        format!("/reports/{id}/live"),
        format!("/reports/{id}/files/{file}"),
    ] {
        for cookie in ["", "tidings_session=forged"] {
            let request = Request::get(&path).header(COOKIE, cookie).body(Body::empty()).unwrap();
            let answer = place.send(request).await;

            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
            assert!(answer.location().starts_with("/sign-in?next=%2F"), "{path} leads to {}", answer.location());
        }
    }
}

#[tokio::test]
async fn a_key_opens_a_session_and_signing_out_ends_it() {
    let mut place = place().await;

    let refused = place.post_form("/sign-in", "key=not-a-key-of-ours&next=%2F").await;
    let opened = place.post_form("/sign-in", &format!("key={KEY}&next=%2Freports%2F1")).await;
    let led_astray = place.post_form("/sign-in", &format!("key={KEY}&next=%2F%2Fevil.example")).await;

    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(refused.headers.get(SET_COOKIE).is_none());
    assert_eq!((opened.status, opened.location()), (StatusCode::SEE_OTHER, "/reports/1"));
    assert_eq!(led_astray.location(), "/");
    let cookie = opened.headers[SET_COOKIE].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    place.cookie = opened.cookie();
    assert_eq!(place.get("/").await.status, StatusCode::OK);
    assert_eq!(place.post("/sign-out").await.location(), "/sign-in");
    assert_eq!(place.get("/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_one_time_link_is_used_by_its_button_once_and_not_by_looking() {
    let mut place = place().await;
    let token = place.app.access.sign_in_link().await.unwrap();
    let path = format!("/sign-in/{}", token.expose());

    for _ in 0..3 {
        let looked = place.send(Request::get(&path).body(Body::empty()).unwrap()).await;
        assert_eq!(looked.status, StatusCode::OK);
        assert!(looked.headers.get(SET_COOKIE).is_none() && !looked.text.contains(token.expose()));
    }
    let used = place.post_form(&path, "").await;
    let again = place.post_form(&path, "").await;

    assert_eq!((used.status, used.location()), (StatusCode::SEE_OTHER, "/"));
    assert_eq!(again.status, StatusCode::UNAUTHORIZED);
    place.cookie = used.cookie();
    assert_eq!(place.get("/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_story_tells_callback_execution_file_delivery_and_attempts_in_their_order() {
    let place = place().await;
    place.subscribe("Finance").await;
    let id = place.report("Daily usage").await;
    place.call(id, "/remote-1").await;
    place.clock.advance(Duration::from_millis(120));
    let file = place.stored(id).await;
    let delivery = place.delivery(id).await;
    place.clock.advance(Duration::from_millis(100));
    place.attempt(delivery.id, ("retry", 503, "busy, come back"), "pending").await;
    place.clock.advance(Duration::from_secs(5));
    place.attempt(delivery.id, ("delivered", 200, "ok"), "delivered").await;

    let story = place.get(&format!("/reports/{id}")).await.text;

    let mut rest = story.as_str();
    for expected in [
        "Daily usage",
        "POST /callbacks/…/remote-1",
        "203.0.113.9",
        "+120 ms after the callback",
        "Execution found",
        "asked because of the callback",
        "File archived",
        "12,431 rows",
        "9f86d081884c…",
        &file.to_string(),
        "Report ready",
        "slack",
        "Finance",
        "https://hooks.slack.com/…",
        "delivered",
        "+5.9 s",
        "Resend",
        "#1",
        "84 ms",
        "503",
        "busy, come back",
        "#2",
        "200",
    ] {
        let Some(at) = rest.find(expected) else { panic!("{expected} is missing, or in the wrong place, in {story}") };
        rest = &rest[at + expected.len()..];
    }
    let list = place.get("/").await.text;
    for expected in ["Daily usage", "12,431 rows", "draft", &place.app.addresses.tail(id)] {
        assert!(list.contains(expected), "{expected} is missing in {list}");
    }
}

#[tokio::test]
async fn hostile_names_stay_text_and_no_secret_is_on_any_page() {
    let place = place().await;
    let hostile = "<script>alert(1)</script>\"><img src=x onerror=alert(2)>";
    place.subscribe(hostile).await;
    let id = place.report(&hostile.replace(';', "")).await;
    place.call(id, hostile).await;
    place.stored(id).await;
    place.attempt(place.delivery(id).await.id, ("gone", 410, hostile), "failed").await;
    let address = place.app.addresses.for_report(id, &"http://127.0.0.1:9000".parse().unwrap()).unwrap();
    let token = address.path().rsplit('/').next().unwrap();

    for path in ["/".to_owned(), format!("/reports/{id}"), format!("/reports/{id}/timeline")] {
        let answer = place.get(&path).await;

        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.text.contains("&lt;script&gt;"), "{path}");
        for never in ["<script>", "<img src=x", token, HOOK, "hook-token", "refresh-token", KEY] {
            assert!(!answer.text.contains(never), "{never} is on {path}");
        }
        assert!(!answer.text.contains(" style=") && !answer.text.contains(" onclick="), "{path}");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
}

#[tokio::test]
async fn another_site_can_change_nothing() {
    let place = place().await;
    place.subscribe("Finance").await;
    let id = place.report("Daily usage").await;
    place.stored(id).await;
    let delivery = place.delivery(id).await.id;
    place.attempt(delivery, ("delivered", 200, "ok"), "delivered").await;
    let token = place.app.access.sign_in_link().await.unwrap();

    for path in [
        format!("/reports/{id}/check"),
        format!("/reports/{id}/deliveries/{delivery}/resend"),
        "/sign-out".to_owned(),
        format!("/sign-in/{}", token.expose()),
    ] {
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
        ] {
            let request = Request::post(&path).header(HOST, "127.0.0.1:8080").header(COOKIE, &place.cookie);
            let answer = place.send(request.header(name, value).body(Body::empty()).unwrap()).await;

            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} with {name}: {value}");
        }
    }
    assert_eq!(place.delivery(id).await.state.as_str(), "delivered");
    assert!(place.audit().await.is_empty());
    assert_eq!(place.get("/").await.status, StatusCode::OK);
    assert!(place.app.access.use_link(&token).await.unwrap().is_some());
}

#[tokio::test]
async fn a_resend_reopens_the_same_delivery_and_is_noted() {
    let place = place().await;
    place.subscribe("Finance").await;
    let (id, other) = (place.report("Daily usage").await, place.report("Another").await);
    place.stored(id).await;
    let delivery = place.delivery(id).await;
    place.attempt(delivery.id, ("gone", 410, "gone"), "failed").await;
    let mut ear = place.app.wake.ear();

    let astray = place.post(&format!("/reports/{other}/deliveries/{}/resend", delivery.id)).await;
    let answer = place.post(&format!("/reports/{id}/deliveries/{}/resend", delivery.id)).await;

    assert_eq!(astray.status, StatusCode::NOT_FOUND);
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, &*format!("/reports/{id}")));
    let now = place.delivery(id).await;
    assert_eq!((now.id, now.state.as_str(), now.tries), (delivery.id, "pending", 0));
    assert_eq!(place.audit().await, [format!("delivery.resend {} by session of admin key", delivery.id)]);
    tokio::time::timeout(Duration::from_secs(5), ear.hear(&[Topic::Deliveries])).await.unwrap();
}

#[tokio::test]
async fn check_now_makes_the_report_due_and_wakes_the_step() {
    let place = place().await;
    let id = place.report("Daily usage").await;
    let mut ear = place.app.wake.ear();

    let answer = place.post(&format!("/reports/{id}/check")).await;

    assert_eq!(answer.location(), format!("/reports/{id}"));
    let due: DateTime<Utc> = sqlx::query_scalar("select due_at from checks where report_id = $1 and manual")
        .bind(id)
        .fetch_one(&place.app.pool)
        .await
        .unwrap();
    assert_eq!(due, place.clock.now());
    assert_eq!(place.audit().await, [format!("report.check {id} by session of admin key")]);
    tokio::time::timeout(Duration::from_secs(5), ear.hear(&[Topic::Checks])).await.unwrap();
}

#[tokio::test]
async fn a_file_is_downloaded_under_a_name_for_people() {
    let place = place().await;
    let (id, other) = (place.report("Daily usage").await, place.report("Another").await);
    let file = place.stored(id).await;

    let answer = place.get(&format!("/reports/{id}/files/{file}")).await;
    let astray = place.get(&format!("/reports/{other}/files/{file}")).await;

    assert_eq!(answer.text.as_bytes(), CONTENT);
    assert!(answer.headers.get("content-encoding").is_none());
    assert_eq!(answer.headers["content-disposition"], "attachment; filename=\"daily-usage-2026-11-20.csv\"");
    assert_eq!(astray.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_open_page_hears_of_a_change() {
    let place = place().await;
    let id = place.report("Daily usage").await;
    let page = place.get(&format!("/reports/{id}")).await.text;
    let (_, rest) = page.split_once("data-live=\"").unwrap();
    let path = rest.split('"').next().unwrap();
    let request = Request::get(path).header(COOKIE, &place.cookie).body(Body::empty()).unwrap();
    tokio::spawn(place.app.wake.clone().relay(place.app.pool.clone(), CancellationToken::new()));
    until("it hears the database", || async {
        let listening =
            "select count(*) > 0 from pg_stat_activity where datname = current_database() and query ilike 'listen%'";
        sqlx::query_scalar(listening).fetch_one(&place.app.pool).await.unwrap()
    })
    .await;
    let mut events = place.router.clone().oneshot(request).await.unwrap().into_body().into_data_stream();

    let quiet = tokio::time::timeout(Duration::from_millis(500), events.next()).await;
    place.call(id, "/1").await;
    let told = tokio::time::timeout(Duration::from_secs(10), events.next()).await.unwrap().unwrap().unwrap();

    assert!(quiet.is_err(), "told of a change that there was not");
    assert!(told.starts_with(b"id:") || told.starts_with(b"data:"), "{told:?}");
    assert!(place.get(&format!("/reports/{id}/timeline")).await.text.contains("/callbacks/…/1"));
}

#[tokio::test]
async fn an_account_that_waits_for_a_person_is_shown_loudly() {
    let place = place().await;
    let id = place.report("Daily usage").await;
    sqlx::query(
        "update accounts set state = 'sign_in_required', sign_in_since = $1, last_failure = 'MFA is asked for'",
    )
    .bind(place.clock.now())
    .execute(&place.app.pool)
    .await
    .unwrap();

    for path in ["/".to_owned(), format!("/reports/{id}")] {
        let page = place.get(&path).await.text;
        assert!(page.contains("Account of Daily usage needs a person to sign in"), "{page}");
        assert!(page.contains("MFA is asked for"));
    }
    sqlx::query("update accounts set grant_kind = 'client_credentials'").execute(&place.app.pool).await.unwrap();
    for path in ["/".to_owned(), format!("/reports/{id}")] {
        let page = place.get(&path).await.text;
        assert!(page.contains("needs a good credential to sign in") && !page.contains("a person"), "{page}");
    }
}

#[tokio::test]
async fn the_list_goes_on_page_by_page_and_an_empty_one_says_what_to_do() {
    let place = place().await;
    assert!(place.get("/").await.text.contains("/api/v1/accounts"));
    for number in 0..51 {
        place.report(&format!("Report {number:02}")).await;
    }

    let first = place.get("/").await.text;
    let (_, rest) = first.split_once("/?before=").unwrap();
    let second = place.get(&format!("/?before={}", &rest[..36])).await.text;

    assert!(first.contains("Report 50") && first.contains("Report 01<") && !first.contains("Report 00"));
    assert!(second.contains("Report 00") && !second.contains("Report 01<") && !second.contains("/?before="));
}

#[tokio::test]
async fn an_address_that_nobody_has_gets_a_page_that_says_so() {
    let place = place().await;
    let unknown = ReportId(uuid::Uuid::now_v7());

    for path in ["/nowhere".to_owned(), "/reports/1".to_owned(), format!("/reports/{unknown}"), "/?before=1".to_owned()]
    {
        let answer = place.get(&path).await;

        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text.contains("Nothing here") && answer.text.contains("Tidings"), "{path}");
    }
}

#[tokio::test]
async fn a_failure_of_the_database_gives_a_page_without_its_internals() {
    let place = place().await;
    sqlx::query("alter table events rename to elsewhere").execute(&place.app.pool).await.unwrap();
    let id = place.report("Daily usage").await;

    let answer = place.get(&format!("/reports/{id}")).await;

    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.text.contains("Something failed here") && !answer.text.contains("relation"), "{}", answer.text);
}
