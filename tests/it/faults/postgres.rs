//! A database that has a bad day: callbacks are answered 503 or late, none wrongly 200, and the service goes on by itself.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use tidings::{db, worker};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::cluster::Cluster;
use super::proxy::Proxy;
use super::random::Random;
use crate::support::app::TestApp;
use crate::support::database::TestDatabase;
use crate::support::peers::or_skip;
use crate::support::scene::{UNTIL_FIRST_RUN, client};

/// Nobody who calls waits longer for an answer.
const LONGEST: Duration = Duration::from_secs(12);
/// It is all right again so soon after the database is.
const SOON: Duration = Duration::from_secs(30);
/// So few that none may be lost for good.
const CONNECTIONS: u32 = 6;
const BAD_DAY: Duration = Duration::from_secs(4);

/// The service at work, on a database of its own that it reaches through somebody.
struct Scene {
    it: TestApp,
    cluster: Cluster,
    proxy: Proxy,
    url: url::Url,
    calls: usize,
    acknowledged: Vec<String>,
    refused: usize,
    stop: DropGuard,
}

impl Scene {
    async fn on(cluster: Cluster) -> Self {
        db::migrate(&cluster.options()).await.unwrap();
        let proxy = Proxy::before(cluster.options()).await;
        let database = TestDatabase::elsewhere(db::pool(proxy.options(), CONNECTIONS), proxy.options());
        let it = TestApp::on(database, |_| {}).await;
        it.registered().await;
        let stop = CancellationToken::new();
        tokio::spawn(worker::run(it.app.clone(), stop.clone()));
        let url = it.callback_address();
        let (acknowledged, stop) = (Vec::new(), stop.drop_guard());
        let mut scene = Self { it, cluster, proxy, url, calls: 0, acknowledged, refused: 0, stop };
        scene.until_well().await;
        assert_eq!(scene.refused, 0);
        scene
    }

    async fn start() -> Self {
        Self::on(Cluster::start().await).await
    }

    /// One genuine call; whether it was acknowledged.
    async fn call(&mut self) -> bool {
        self.calls += 1;
        let mark = format!("mark={}", self.calls);
        let mut url = self.url.clone();
        url.set_query(Some(&mark));
        let asked = client().post(url).send();
        let status = tokio::time::timeout(LONGEST, asked).await.expect("an answer").unwrap().status().as_u16();
        match status {
            200 => self.acknowledged.push(mark),
            503 => self.refused += 1,
            _ => panic!("{status}"),
        }
        status == 200
    }

    /// Calls all the time while the database has its bad day.
    async fn bad_day(&mut self) {
        let began = Instant::now();
        while began.elapsed() < BAD_DAY {
            self.call().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Calls until that is acknowledged three times in a row.
    async fn until_well(&mut self) {
        let (began, mut row) = (Instant::now(), 0);
        while row < 3 {
            assert!(began.elapsed() < SOON, "not well again");
            row = if self.call().await { row + 1 } else { 0 };
        }
    }

    /// All that was acknowledged is there, and a report that runs now is stored and told of once.
    async fn all_is_well(mut self) {
        self.until_well().await;
        let recorded = "select query from callbacks where query like 'mark=%'";
        let recorded: Vec<String> = sqlx::query_scalar(recorded).fetch_all(&self.it.database.pool).await.unwrap();
        let lost: Vec<&String> = self.acknowledged.iter().filter(|mark| !recorded.contains(mark)).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        self.it.after(UNTIL_FIRST_RUN).await;
        let began = Instant::now();
        while self.it.number("select count(*) from downloads where state = 'stored'").await == 0 {
            assert!(began.elapsed() < SOON, "the work did not go on");
            tokio::time::sleep(Duration::from_millis(200)).await;
            self.it.after(5).await;
        }
        assert_eq!(self.it.kinds().await, ["report.ready"]);
        drop(self.stop);
    }
}

#[tokio::test]
async fn a_database_that_was_stopped_costs_nothing_that_was_acknowledged() {
    let mut scene = Scene::start().await;

    scene.cluster.stop().await;
    scene.bad_day().await;
    assert!(scene.refused > 0);
    scene.cluster.go_on().await;
    scene.proxy.lead_to(scene.cluster.options());

    scene.all_is_well().await;
}

#[tokio::test]
async fn a_database_that_restarts_and_connections_that_are_reset_are_got_over() {
    let mut scene = Scene::start().await;

    scene.cluster.stop().await;
    scene.cluster.go_on().await;
    scene.proxy.lead_to(scene.cluster.options());
    scene.until_well().await;
    for _ in 0..20 {
        scene.proxy.cut();
        scene.call().await;
    }

    scene.all_is_well().await;
}

#[tokio::test]
async fn a_failover_that_resets_connections_and_takes_its_time_is_got_over() {
    let mut scene = Scene::start().await;

    scene.proxy.turn_away(true);
    scene.proxy.cut();
    scene.bad_day().await;
    assert!(scene.refused > 0);
    scene.proxy.turn_away(false);

    scene.all_is_well().await;
}

#[tokio::test]
async fn connections_that_the_network_forgot_hold_up_nobody_for_long() {
    let scene = Scene::start().await;

    // Each that is in use, or rests in the pool, waits for an answer that never comes; far more than the pool has.
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let url = scene.url.clone();
        callers.spawn(async move {
            loop {
                client().post(url.clone()).send().await.unwrap();
            }
        });
    }
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        scene.proxy.silence();
    }
    callers.shutdown().await;

    scene.all_is_well().await;
}

#[tokio::test]
async fn a_database_without_connections_to_give_is_waited_for() {
    let mut scene = Scene::start().await;

    let mut taken: Vec<PgConnection> = scene.cluster.take_all().await;
    // Those that were ours are taken, too, unless we are faster.
    for _ in 0..100 {
        scene.proxy.cut();
        taken.extend(scene.cluster.take_all().await);
        if !scene.call().await {
            break;
        }
    }
    taken.extend(scene.cluster.take_all().await);
    scene.bad_day().await;
    assert!(scene.refused > 0);
    drop(taken);

    scene.all_is_well().await;
}

#[tokio::test]
async fn a_database_that_can_only_be_read_takes_no_call() {
    let mut scene = Scene::start().await;

    let reload = "select pg_reload_conf()";
    scene.cluster.run(&["alter system set default_transaction_read_only = on", reload]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = scene.acknowledged.len();
    scene.bad_day().await;
    assert_eq!(scene.acknowledged.len(), before, "acknowledged what was not written");
    let writable = "set default_transaction_read_only = off";
    scene.cluster.run(&[writable, "alter system reset default_transaction_read_only", reload]).await;

    scene.all_is_well().await;
}

#[tokio::test]
async fn a_full_disk_costs_nothing_that_was_acknowledged() {
    let test = "faults::postgres::a_full_disk_costs_nothing_that_was_acknowledged";
    let cluster = match Cluster::on_a_small_disk().await {
        Ok(cluster) => cluster,
        Err(skipped) => return drop(or_skip(test, Err(skipped))),
    };
    let mut scene = Scene::on(cluster).await;

    scene.cluster.fill();
    let (mut random, began) = (Random::begin("full disk"), Instant::now());
    while scene.refused < 5 {
        // What can't be compressed soon fills what the files have left.
        let noise: Vec<u8> = (0..60_000).map(|_| b'a' + u8::try_from(random.below(26)).unwrap()).collect();
        let status = client().post(scene.url.clone()).body(noise).send().await.unwrap().status();
        scene.refused += usize::from(status == 503);
        scene.call().await;
        assert!(began.elapsed() < Duration::from_mins(2), "the disk never was full");
    }
    scene.bad_day().await;
    scene.cluster.make_room();
    scene.cluster.stop().await;
    scene.cluster.go_on().await;
    scene.proxy.lead_to(scene.cluster.options());

    scene.all_is_well().await;
}
