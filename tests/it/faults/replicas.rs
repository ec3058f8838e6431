//! Three replicas on one Postgres, one of them killed every few seconds: everything as with one that nobody kills.
//!
//! By hand with all the reports: `TIDINGS_FAULT_REPORTS=500 TIDINGS_FAULT_SECONDS=300`.

use std::time::{Duration, Instant};

use super::random::{Random, duration, number};
use super::world::World;

const REPLICAS: usize = 3;

#[tokio::test]
async fn three_replicas_of_which_one_is_killed_every_few_seconds_do_everything_once() {
    let mut random = Random::begin("replicas");
    let mut it = World::start(REPLICAS, number("TIDINGS_FAULT_REPORTS", 50)).await;
    it.keep_changing();
    it.keep_busy(Duration::from_millis(20));
    let (began, time, mut kills) = (Instant::now(), duration(20), 0);

    while began.elapsed() < time {
        tokio::time::sleep(Duration::from_millis(1000 + random.next() % 2000)).await;
        let at = random.below(REPLICAS);
        it.services[at].kill().await;
        tokio::time::sleep(Duration::from_millis(random.next() % 500)).await;
        it.start_one(at);
        kills += 1;
    }
    it.come_to_rest().await;

    let summary = it.check(kills).await;
    println!("replicas: {REPLICAS} of them, kills {kills}, {summary}");
}

#[tokio::test]
async fn three_replicas_tell_nothing_twice_while_nobody_is_killed() {
    let mut it = World::start(REPLICAS, 20).await;
    it.keep_busy(Duration::from_millis(10));

    tokio::time::sleep(Duration::from_secs(5)).await;
    it.come_to_rest().await;

    it.check(0).await;
}
