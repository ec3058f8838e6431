//! The secret key is changed: two keys live, what needs the old one is brought under the new one, and the old one goes.

use serde_json::{Value, json};
use tidings::channel::Endpoint;
use tidings::notification::store;
use tidings::rotation;
use tidings::secret::{Keyring, Secret};
use url::Url;

use crate::support::app::{ADMIN_KEY, TestApp};
use crate::support::command::{Running, ended, tidings};
use crate::support::database::fresh;
use crate::support::scene::{DAY, HOUR, client, until};

/// What `GET /status` says of a key that stands at `place`: is it in use, and by how many of what.
async fn uses(it: &TestApp, place: &str) -> Value {
    let status = it.get("/status").await;
    let keys = status["secret_keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["place"] == place).unwrap_or_else(|| panic!("{status}"));
    json!([key["in_use"], key["accounts"], key["subscriptions"], key["reports"]])
}

/// Starts the service with these keys, which must work.
async fn started(it: TestApp, keys: &[&Secret]) -> TestApp {
    it.with_keys(keys).await.unwrap_or_else(|(_, error)| panic!("{error}"))
}

/// Calls an address as Microsoft does.
async fn call(address: &Url) -> u16 {
    client().post(format!("{address}/some-report")).send().await.unwrap().status().as_u16()
}

/// The settled service with a report, an account, a webhook and a new key in front of the old one; the next run is an hour away.
async fn rotating(new: &Secret) -> (TestApp, String, Url) {
    let it = TestApp::start().await;
    it.subscribe("webhook").await;
    let report = it.told().await;
    let address = it.callback_address();
    it.after(DAY - HOUR).await;
    it.drain().await;
    let old = it.secret_key.clone();
    (Box::pin(started(it, &[new, &old])).await, report, address)
}

/// Does what is left to do until nothing needs the old key.
async fn settled(it: &TestApp) {
    rotation::reseal(&it.app.pool, &it.app.keyring).await.unwrap();
    it.drain().await;
    it.after(HOUR + 40 * 60).await;
    it.drain().await;
    it.after(1).await;
    it.drain().await;
}

#[tokio::test]
async fn a_new_key_takes_over_and_the_old_one_can_be_removed_without_a_loss() {
    let new = Keyring::generate();
    let (it, report, before) = Box::pin(rotating(&new)).await;

    assert_eq!(uses(&it, "older").await, json!([true, 1, 1, 1]));
    it.drain().await;
    assert_eq!(it.callback_address(), before, "the run comes first");
    let calls = it.number("select count(*) from callbacks").await;
    assert_eq!(call(&before).await, 200, "both keys live");
    assert_eq!(it.number("select count(*) from callbacks").await, calls + 1);

    settled(&it).await;

    let after = it.callback_address();
    assert_ne!(after, before);
    assert_eq!(uses(&it, "older").await, json!([false, 0, 0, 0]));
    assert_eq!(uses(&it, "newest").await, json!([true, 1, 1, 1]));
    assert!(!it.kinds().await.contains(&"report.drifted".to_owned()));
    assert_eq!(call(&before).await, 200, "as long as the old key is there");

    let it = started(it, &[&new]).await;

    assert_eq!((call(&before).await, call(&after).await), (404, 200));
    let files = it.list(&format!("/files?report_id={report}")).await.len();
    it.after(DAY).await;
    it.drain().await;
    assert_eq!(it.list(&format!("/files?report_id={report}")).await.len(), files + 1);
    assert_eq!(it.list("/deliveries?state=failed").await, Vec::<Value>::new());
    assert!(it.kinds().await.iter().all(|kind| kind == "report.ready"));
}

#[tokio::test]
async fn a_key_that_is_removed_too_early_is_named_with_what_still_needs_it() {
    let new = Keyring::generate();
    let (it, _, _) = Box::pin(rotating(&new)).await;
    let id = Keyring::parse(&it.secret_key).unwrap().ids().pop().unwrap();

    let Err((it, error)) = it.with_keys(&[&new]).await else { panic!("it started") };
    assert!(error.to_string().contains(&id), "{error}");
    let all = "seals 1 account and seals 1 subscription and signs the addresses of 1 report:";
    assert!(error.to_string().contains(all), "{error}");

    rotation::reseal(&it.app.pool, &it.app.keyring).await.unwrap();
    let Err((it, error)) = it.with_keys(&[&new]).await else { panic!("it started") };
    assert!(error.to_string().contains("still signs the addresses of 1 report:"), "{error}");

    let old = it.secret_key.clone();
    let it = started(it, &[&new, &old]).await;
    assert_eq!(uses(&it, "older").await, json!([true, 0, 0, 1]));
}

#[tokio::test]
async fn replicas_that_reseal_at_once_and_a_change_meanwhile_do_no_harm() {
    let it = TestApp::start().await;
    let account = it.account().await;
    for _ in 0..45 {
        it.subscribe("webhook").await;
    }
    let (old, new) = (it.secret_key.clone(), Keyring::generate());
    let it = started(it, &[&new, &old]).await;
    let password = json!({ "grant": "password", "username": "someone@example.com", "password": "given-meanwhile" });

    let path = format!("/accounts/{account}");
    let (one, other, changed) = tokio::join!(
        rotation::reseal(&it.app.pool, &it.app.keyring),
        rotation::reseal(&it.app.pool, &it.app.keyring),
        it.call("PATCH", &path, Some(password.clone()))
    );

    assert_eq!(changed.0, 200, "{}", changed.1);
    assert!(one.unwrap() + other.unwrap() >= 45);
    assert_eq!(rotation::reseal(&it.app.pool, &it.app.keyring).await.unwrap(), 0);
    let it = started(it, &[&new]).await;
    let same = it.post(&format!("{path}/compare"), password).await;
    assert_eq!(same["differs"], json!([]), "{same}");
}

#[tokio::test]
async fn a_change_that_is_under_way_is_waited_for_and_not_overwritten() {
    let it = TestApp::start().await;
    let id = it.subscribe("webhook").await["id"].as_str().unwrap().parse().unwrap();
    let (old, new) = (it.secret_key.clone(), Keyring::generate());
    let it = started(it, &[&new, &old]).await;
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let changed = Endpoint::Webhook { url: Secret::new("https://moved.example/hook"), secret };
    let mut change = it.database.pool.begin().await.unwrap();
    store::set_endpoint(&mut change, &it.app.keyring, id, &changed, it.clock.now()).await.unwrap();

    let app = it.app.clone();
    let resealing = tokio::spawn(async move { rotation::reseal(&app.pool, &app.keyring).await });
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    until("the other waits", || async { it.number(waiting).await == 1 }).await;
    change.commit().await.unwrap();

    assert_eq!(resealing.await.unwrap().unwrap(), 1);
    let mut conn = it.database.pool.acquire().await.unwrap();
    assert!(store::has_endpoint(&mut conn, &it.app.keyring, id, &changed).await.unwrap());
}

#[tokio::test]
async fn the_repeat_of_a_request_whose_answer_nothing_opens_is_told_so() {
    let it = TestApp::start().await;
    let (old, new) = (it.secret_key.clone(), Keyring::generate());
    let ask = async |it: &TestApp| {
        let request = client().post(it.url.join("/api/v1/keys").unwrap()).bearer_auth(ADMIN_KEY);
        let request = request.header("idempotency-key", "once").json(&json!({ "name": "one", "scopes": ["read"] }));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };

    let first = ask(&it).await;
    let it = started(it, &[&new, &old]).await;
    assert_eq!(ask(&it).await, first);
    assert_eq!(uses(&it, "older").await, json!([true, 0, 0, 0]));
    let it = started(it, &[&new]).await;
    let (status, told) = ask(&it).await;

    assert_eq!(first.0, 201);
    assert!(status == 409 && told.contains("secret key"), "{status} {told}");
}

#[tokio::test]
async fn the_service_says_at_its_start_what_needs_the_old_key_and_seals_anew_by_itself() {
    let (database, folder) = (fresh().await, tempfile::tempdir().unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let (old, new) = (Keyring::generate(), Keyring::generate());
    let serve = |keys: &[&Secret]| {
        let keys: Vec<&str> = keys.iter().map(|key| key.expose()).collect();
        let mut command = tidings(&["serve", "--listen", &address, "--data-dir", folder.path().to_str().unwrap()]);
        command.env("TIDINGS_DATABASE_URL", database.url()).env("TIDINGS_SECRET_KEY", keys.join(","));
        command.env("TIDINGS_ADMIN_KEY", ADMIN_KEY);
        command
    };
    let mut first = Running::start(&mut serve(&[&old]));
    first.line("dashboard").await;
    let hook = json!({ "name": "hook", "endpoint": { "channel": "webhook", "url": "https://hook.example/x" } });
    let made = client().post(format!("http://{address}/api/v1/subscriptions")).bearer_auth(ADMIN_KEY).json(&hook);
    assert_eq!(made.send().await.unwrap().status(), 201);
    assert_eq!(first.stop().await, Some(0));

    let mut second = Running::start(&mut serve(&[&new, &old]));
    assert!(second.line("secret key").await.ends_with("behind it still seals 1 subscription"));
    let metrics =
        async || client().get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap();
    until("nothing needs the old key", async || metrics().await.contains("tidings_secret_key_uses{key=\"older\"} 0"))
        .await;
    assert!(metrics().await.contains("tidings_secret_key_uses{key=\"newest\"} 1"));
    assert_eq!(second.stop().await, Some(0));

    let early = ended(&mut serve(&[&old])).await;
    assert_eq!(early.code, Some(1));
    assert!(early.err.contains("was removed and still seals 1 subscription: put it back"), "{}", early.err);
    let mut third = Running::start(&mut serve(&[&new, &old]));
    assert!(third.line("secret key").await.ends_with("behind it is used by nothing"));
    assert_eq!(third.stop().await, Some(0));
}

#[tokio::test]
async fn what_was_given_under_the_old_key_is_known_again_under_the_new_one() {
    let it = TestApp::start().await;
    let account = it.account().await;
    let (old, new) = (it.secret_key.clone(), Keyring::generate());
    let it = started(it, &[&new, &old]).await;
    rotation::reseal(&it.app.pool, &it.app.keyring).await.unwrap();
    let it = started(it, &[&new]).await;
    let user = it.sandbox.world.account(0);
    let given = json!({ "client_secret": user.client_secret.expose(), "refresh_token": "another" });

    let compared = it.post(&format!("/accounts/{account}/compare"), given).await;

    assert_eq!(compared["differs"], json!(["refresh_token"]));
}

#[tokio::test]
async fn links_sent_out_before_lead_there_as_long_as_their_key_is_in_the_setting() {
    let it = TestApp::start().await;
    it.told().await;
    let file = it.list("/files").await[0]["id"].as_str().unwrap().to_owned();
    let shared = it.post(&format!("/files/{file}/share"), json!({})).await["url"].as_str().unwrap().to_owned();
    let (old, new) = (it.secret_key.clone(), Keyring::generate());
    let get = async || client().get(&shared).send().await.unwrap().status().as_u16();

    let it = started(it, &[&new, &old]).await;
    assert_eq!(get().await, 200);
    settled(&it).await;
    it.after(DAY).await;
    it.drain().await;
    let _it = started(it, &[&new]).await;
    assert_eq!(get().await, 404);
}

#[tokio::test]
async fn an_address_that_an_older_version_sent_may_need_any_older_key_until_it_was_compared() {
    let it = TestApp::start().await;
    it.registered().await;
    it.sql("update reports set sent = sent - 'callback_key'").await;
    let (old, new) = (it.secret_key.clone(), Keyring::generate());

    let it = started(it, &[&old, &new]).await;
    assert_eq!(uses(&it, "older").await, json!([true, 0, 0, 1]), "not known yet");
    it.drain().await;

    assert_eq!(uses(&it, "older").await, json!([false, 0, 0, 0]));
    assert_eq!(uses(&it, "newest").await, json!([true, 1, 0, 1]));
}
