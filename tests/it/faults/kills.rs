//! `kill -9` of the real program before and after its commits, hundreds of times, under load.
//!
//! Each round starts the program, chooses a stage, and kills it at one of its next commits of that stage: before Postgres
//! hears of it, or when Postgres has answered and the program has not yet heard. What a killed process had claimed is taken
//! up by a later one when its lease has run out; since nobody else is there, the rounds don't wait for that.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::proxy::{Aim, Hit};
use super::random::{Random, duration};
use super::world::World;

const STAGES: [&str; 8] = ["callback", "check", "discover", "download", "fan_out", "deliver", "register", "token"];
const REPORTS: usize = 40;
/// A stage that has nothing to commit by then is left for another round.
const SOON: Duration = Duration::from_secs(2);
const SAY_EVERY: Duration = Duration::from_secs(30);

#[tokio::test]
async fn no_kill_at_any_commit_loses_or_doubles_anything() {
    let mut random = Random::begin("kills");
    let mut it = World::start(1, REPORTS).await;
    it.keep_changing();
    it.keep_busy(Duration::from_millis(30));
    it.services[0].kill().await;
    let (began, time) = (Instant::now(), duration(45));
    let (mut rounds, mut missed, mut said) = (0, 0, Instant::now());
    let mut kills = BTreeMap::<Hit, usize>::new();

    while began.elapsed() < time {
        it.start_one(0);
        match kill(&it, &mut random).await {
            Some(hit) => *kills.entry(hit).or_default() += 1,
            None => missed += 1,
        }
        it.services[0].kill().await;
        it.let_leases_run_out().await;
        rounds += 1;
        if said.elapsed() > SAY_EVERY {
            said = Instant::now();
            println!("kills: {rounds} rounds, {}", it.toll.shown());
        }
    }
    it.start_one(0);
    it.come_to_rest().await;
    let summary = it.check(rounds).await;
    println!("kills: rounds {rounds}, killed at no commit {missed}, {summary}");
    println!("kills: {}", shown(&kills));
}

async fn kill(it: &World, random: &mut Random) -> Option<Hit> {
    let service = &it.services[0];
    let before = random.below(2) == 0;
    for stage in [Some(*random.of(&STAGES)), None] {
        let (hit, mut killed) = oneshot::channel();
        service.proxy.aim(Aim { pid: service.pid(), stage, after: random.below(4), before, hit });
        if let Ok(Ok(hit)) = tokio::time::timeout(SOON, &mut killed).await {
            return Some(hit);
        }
        service.proxy.rest();
        if let Ok(hit) = killed.try_recv() {
            return Some(hit);
        }
    }
    None
}

fn shown(kills: &BTreeMap<Hit, usize>) -> String {
    let word = |hit: &Hit| if hit.before { "before" } else { "after" };
    let each: Vec<String> = kills.iter().map(|(hit, count)| format!("{} {} {count}", word(hit), hit.stage)).collect();
    each.join(", ")
}
