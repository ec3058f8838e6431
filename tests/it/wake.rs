//! Hints between replicas: what one has done wakes the others at once, long before their timers.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use tidings::sandbox::Fault;
use tidings::wake::{Topic, Wake};
use tokio_util::sync::CancellationToken;

use crate::support::app::TestApp;
use crate::support::database::{TestDatabase, fresh};
use crate::support::scene::{HOUR, client};

/// The timers look once a second.
const TIMER: Duration = Duration::from_secs(1);

/// A replica of its own: hints, and the connections that carry them.
async fn replica(database: &TestDatabase, stop: &CancellationToken) -> Wake {
    let pool = PgPool::connect_with(database.options.clone()).await.unwrap();
    let wake = Wake::default();
    tokio::spawn(wake.clone().relay(pool, stop.clone()));
    wake
}

/// Whether a hint of one is heard by another within this time.
async fn hears(from: &Wake, to: &Wake, topic: Topic, within: Duration) -> bool {
    let mut ear = to.ear();
    from.hint(topic);
    tokio::time::timeout(within, ear.hear(&[topic])).await.is_ok()
}

async fn both_listen(from: &Wake, to: &Wake) {
    for _ in 0..100 {
        if hears(from, to, Topic::Events, Duration::from_millis(200)).await {
            return;
        }
    }
    panic!("a replica never heard the other");
}

#[tokio::test]
async fn a_hint_in_one_replica_wakes_another_faster_than_its_timer() {
    let (database, stop) = (fresh().await, CancellationToken::new());
    let (here, there) = (replica(&database, &stop).await, replica(&database, &stop).await);
    both_listen(&here, &there).await;

    for topic in [Topic::Checks, Topic::Reports, Topic::Executions, Topic::Deliveries] {
        assert!(hears(&here, &there, topic, TIMER).await, "{topic:?}");
    }

    stop.cancel();
}

#[tokio::test]
async fn a_replica_whose_listening_connection_is_cut_hears_again_by_itself() {
    let (database, stop) = (fresh().await, CancellationToken::new());
    let (here, there) = (replica(&database, &stop).await, replica(&database, &stop).await);
    both_listen(&here, &there).await;

    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
               where datname = current_database() and query ilike 'listen%' and pid <> pg_backend_pid()";
    let count: i64 = sqlx::query_scalar(cut).fetch_one(&database.pool).await.unwrap();
    assert_eq!(count, 2);

    both_listen(&here, &there).await;
    stop.cancel();
}

#[tokio::test]
async fn a_thousand_hints_are_a_few_messages_and_no_echo() {
    let (database, stop) = (fresh().await, CancellationToken::new());
    let (here, there) = (replica(&database, &stop).await, replica(&database, &stop).await);
    both_listen(&here, &there).await;
    let mut listener = sqlx::postgres::PgListener::connect_with(&database.pool).await.unwrap();
    listener.listen("tidings").await.unwrap();

    let began = Instant::now();
    for _ in 0..1000 {
        here.hint(Topic::Deliveries);
        tokio::task::yield_now().await;
    }
    let mut heard = 0;
    while tokio::time::timeout(Duration::from_millis(500), listener.recv()).await.is_ok() {
        heard += 1;
    }

    // At most one each 50 ms, and what is heard from elsewhere is not passed on.
    let most = began.elapsed().as_millis() / 50 + 1;
    assert!(heard >= 1 && heard <= most, "{heard} of at most {most}");
    stop.cancel();
}

#[tokio::test]
async fn a_call_that_makes_a_check_due_wakes_every_replica_and_those_that_it_covers_anyway_touch_nothing() {
    let (it, stop) = (TestApp::start().await, CancellationToken::new());
    it.told().await;
    let (here, there) = (replica(&it.database, &stop).await, replica(&it.database, &stop).await);
    both_listen(&here, &there).await;
    let call = || async {
        let mut ears = (here.ear(), there.ear());
        assert_eq!(client().post(it.callback_address()).send().await.unwrap().status(), 200);
        tokio::time::timeout(TIMER, async {
            tokio::join!(ears.0.hear(&[Topic::Checks]), ears.1.hear(&[Topic::Checks]))
        })
        .await
        .is_ok()
    };
    let counted = || it.number("select calls from checks");

    let before = counted().await;
    assert!(call().await, "the first makes it due");
    assert!(!call().await, "it is due");
    assert_eq!(counted().await, before + 1);
    let check = it.app.discover.claim(1).await.unwrap().pop().unwrap();
    assert!(!call().await, "the check under way is followed by another");
    assert!(!call().await);
    assert_eq!(counted().await, before + 2);
    it.app.discover.perform(check).await.unwrap();

    assert_eq!(it.app.discover.claim(1).await.unwrap().len(), 1, "and it follows at once");
    stop.cancel();
}

#[tokio::test]
async fn a_call_that_was_left_alone_is_asked_about_however_the_check_under_way_ends() {
    let it = TestApp::start().await;
    it.told().await;
    let call = || async { assert_eq!(client().post(it.callback_address()).send().await.unwrap().status(), 200) };
    let claim = || async { it.app.discover.claim(1).await.unwrap().pop() };
    let left_alone = || async {
        call().await;
        let counted = it.number("select calls from checks").await;
        call().await;
        assert_eq!(it.number("select calls from checks").await, counted);
    };
    call().await;

    let given_back = claim().await.unwrap();
    left_alone().await;
    it.app.discover.release(given_back).await.unwrap();
    let forgotten = claim().await.unwrap();
    left_alone().await;
    it.after(61).await;
    let unanswered = claim().await.unwrap();
    assert!(it.app.discover.perform(forgotten).await.is_err(), "another has it");
    left_alone().await;
    it.sandbox.world.fault_rate(Fault::ServerError, 1.0);
    it.app.discover.perform(unanswered).await.unwrap();
    it.sandbox.world.clear_faults();
    assert_eq!(it.number("select count(*) from checks where calls > done_calls").await, 1);
    it.after(HOUR).await;
    it.drain().await;

    assert_eq!(it.number("select count(*) from checks where calls > done_calls").await, 0);
}
