//! Two replicas renew the token of one account and are killed at any point; nobody is ever locked out.
//!
//! The sandbox is strict: the first use of a new refresh token revokes the older ones. So a replica that used a token before
//! it was committed, or one that another had replaced, would lose the account for good.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tidings::account::session::Sessions;
use tidings::clock::Clock;
use tidings::id::AccountId;
use tidings::outbound::{Guard, Outbound};
use tidings::secret::{Keyring, Secret};
use tidings::wake::Wake;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;

use crate::support::app::TestApp;
use crate::support::scene::HOUR;
use crate::support::server::{Server, hand_on};

const DATABASE: &str = "TIDINGS_TEST_RENEWS_IN";
const ACCOUNT: &str = "TIDINGS_TEST_RENEWS";
const KEY: &str = "TIDINGS_TEST_RENEWS_WITH";
const NOW: &str = "TIDINGS_TEST_RENEWS_AT";
/// Rounds at least, and how many of them must have cut a renewal off; when a kill falls is up to the machine.
const ROUNDS: i64 = 20;
const CUT_OFF: i64 = 5;
const ROUNDS_AT_MOST: i64 = 200;
const SEED: u64 = 20_261_121;

fn replica(pool: sqlx::PgPool, clock: Clock, keyring: &Keyring) -> Sessions {
    let guard = Guard::new(&["127.0.0.0/8".parse().unwrap()]);
    Sessions::new(pool, clock, keyring.clone(), Outbound::new(guard, None).unwrap(), Wake::default(), 1000)
}

#[tokio::test]
async fn two_replicas_that_renew_at_once_take_turns() {
    let it = TestApp::with(|settings| settings.strict_refresh = true).await;
    let id: AccountId = it.account().await.parse().unwrap();
    let replicas = [(); 2].map(|()| replica(it.app.pool.clone(), it.clock.clone(), &it.app.keyring));

    for _ in 0..10 {
        let both = replicas.each_ref().map(|one| one.refresh(id));
        for renewed in futures_util::future::join_all(both).await {
            renewed.unwrap();
        }
    }

    assert_eq!(it.sandbox.world.counts().token_requests, 20);
    assert!(it.app.sessions.verify(id).await.unwrap().api);
    assert!(it.kinds().await.is_empty());
}

#[tokio::test]
async fn replicas_that_are_killed_at_any_point_of_a_renewal_never_lock_the_account_out() {
    let it = TestApp::with(|settings| settings.strict_refresh = true).await;
    let (answered, count) = (Arc::<Notify>::default(), Arc::<AtomicU64>::default());
    let (sandbox, told) = (it.sandbox.url(), answered.clone());
    // A slow answer makes room for a kill between the sandbox's doing and our knowing.
    let between = Server::start(move |taken| {
        let (sandbox, told, count) = (sandbox.clone(), told.clone(), count.clone());
        async move {
            let (status, body) = hand_on(&sandbox, &taken).await;
            told.notify_one();
            tokio::time::sleep(Duration::from_millis(count.fetch_add(1, Ordering::SeqCst) % 9)).await;
            axum::http::Response::builder().status(status).body(body.into()).unwrap()
        }
    })
    .await;
    let id = it.account_through(&between).await;
    let key = Keyring::generate();
    let keyring = Keyring::parse(&key).unwrap();
    seal_with(&it, &keyring, &id).await;
    let (mut rounds, mut cut_off, mut random) = (0, 0, SEED);

    while rounds < ROUNDS || cut_off < CUT_OFF {
        assert!(rounds < ROUNDS_AT_MOST, "only {cut_off} of {rounds} kills met a renewal");
        let mut replicas = [spawn(&it, &id, &key), spawn(&it, &id, &key)];
        for one in &mut replicas {
            first_renewal(one).await;
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The first may have been told long ago.
        for _ in 0..2 {
            tokio::time::timeout(Duration::from_secs(60), answered.notified()).await.unwrap();
        }
        tokio::time::sleep(Duration::from_micros((random >> 33) % 8_000)).await;
        for mut one in replicas {
            one.kill().await.unwrap();
        }
        cut_off += it.number("select count(*) from accounts where renewal_until is not null").await;
        assert_eq!(it.number("select count(*) from accounts where state = 'active'").await, 1, "round {rounds}");
        // The lease of what was killed runs out.
        it.after(HOUR).await;
        rounds += 1;
    }

    let last = replica(it.app.pool.clone(), it.clock.clone(), &keyring);
    assert!(last.verify(id.parse().unwrap()).await.unwrap().api);
    assert!(it.kinds().await.is_empty());
}

/// The account's credentials under a key that the replicas can be given.
async fn seal_with(it: &TestApp, keyring: &Keyring, id: &str) {
    use tidings::account::{Credentials, Draft, store};
    let mut conn = it.app.pool.acquire().await.unwrap();
    let id: AccountId = id.parse().unwrap();
    let account = store::find(&mut conn, id).await.unwrap().unwrap();
    let user = it.sandbox.world.account(0);
    let draft = Draft {
        name: account.name,
        program: account.program,
        tenant_id: account.tenant_id,
        client_id: account.client_id,
        grant: account.grant,
        token_version: account.token_version,
        login_url: Some(account.login_url.into()),
        api_url: Some(account.api_url.into()),
        username: None,
        client_secret_expires_at: None,
        credentials: Credentials {
            client_secret: Some(user.client_secret.clone()),
            refresh_token: Some(user.refresh_token.clone()),
            ..Credentials::default()
        },
    };
    let checked = draft.check(&it.app.guard, None).unwrap();
    store::update(&mut conn, &it.clock, keyring, id, &checked).await.unwrap();
}

fn spawn(it: &TestApp, id: &str, key: &Secret) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["account::kill::renews_for_ever", "--exact", "--ignored", "--nocapture"])
        .env(DATABASE, it.database.url())
        .env(ACCOUNT, id)
        .env(KEY, key.expose())
        .env(NOW, it.clock.now().to_rfc3339())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn first_renewal(one: &mut Child) {
    let mut lines = BufReader::new(one.stdout.as_mut().unwrap()).lines();
    let renewed = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("renewed") {
                return;
            }
        }
        panic!("a replica ended before it had renewed anything");
    };
    tokio::time::timeout(Duration::from_secs(60), renewed).await.unwrap();
}

/// Not a test: what [`spawn`] runs.
#[tokio::test]
#[ignore = "a process that the tests start and kill"]
async fn renews_for_ever() {
    let Ok(database) = std::env::var(DATABASE) else { return };
    let text = |name: &str| std::env::var(name).unwrap();
    let now: DateTime<Utc> = text(NOW).parse().unwrap();
    let pool = sqlx::PgPool::connect(&database).await.unwrap();
    let keyring = Keyring::parse(&Secret::new(text(KEY))).unwrap();
    let sessions = replica(pool, Clock::set_at(now), &keyring);
    let id: AccountId = text(ACCOUNT).parse().unwrap();
    loop {
        sessions.refresh(id).await.unwrap();
        println!("\nrenewed");
        // The other one asks for its turn now and then.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
