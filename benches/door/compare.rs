//! The comparison: turns, medians and the table.

use sqlx::ConnectOptions;
use tokio::process::Child;

use crate::load::{self, Plan, Seen};
use crate::process::{cpu, cpu_of_family, free_address, listening, memory, role};
use crate::service::{House, Service};
use crate::stored::{self, Cluster};
use crate::{limit, setting};

const FORGED: f64 = 10_000.0;
const GENUINE: f64 = 500.0;

/// A server that is measured.
struct Target {
    name: String,
    process: Child,
    address: String,
    paths: Vec<String>,
    /// What ours was started with, and needs.
    _house: Option<House>,
}

/// One turn of a target.
struct Turn {
    seen: Seen,
    /// Shares of all cores.
    server: f64,
    postgres: f64,
}

/// What is measured, and against what.
struct Ratio {
    what: String,
    measured: String,
    target: String,
    is_met: bool,
}

/// Measures everything and prints it.
pub(crate) async fn run() {
    let (rounds, seconds): (usize, f64) = (setting("BENCH_ROUNDS", 7), setting("BENCH_SECONDS", 0.8));
    let cluster = Cluster::start().await;
    let targets = start(&cluster, setting("BENCH_ROWS", 0)).await;
    println!(
        "\n{:>5} {:<24} {:>9} {:>8} {:>8} {:>8} {:>7} {:>9} {:>4}",
        "conn.", "server", "answers/s", "p50 ms", "p99 ms", "p99.9 ms", "server", "postgres", "odd"
    );
    let mut ratios = Vec::new();
    let connections: String = setting("BENCH_CONNECTIONS", "1,32,128,512".into());
    for connections in connections.split(',').map(|number| number.trim().parse().unwrap()) {
        let turns = take_turns(&cluster, &targets, connections, rounds, seconds).await;
        targets.iter().zip(&turns).for_each(|(target, turns)| show(connections, target, turns));
        judge(&mut ratios, connections, &turns);
        if connections == 128 {
            let high = memory(&targets[2].process, "VmHWM");
            ratios.push(ratio("memory at 128 connections, MiB", high, "<= 64", high <= 64.0));
        }
    }
    for target in &targets {
        let (now, high) = (memory(&target.process, "VmRSS"), memory(&target.process, "VmHWM"));
        println!("memory of {}: {now:.0} MiB in the end, {high:.0} MiB at most", target.name);
    }
    forged(&targets[2], rounds, seconds * 2.0, &mut ratios).await;
    limits(&cluster, seconds * 2.0).await;
    println!("\n{:<58} {:>9}   {:<8}", "ours", "measured", "target");
    for Ratio { what, measured, target, is_met } in ratios {
        println!("{what:<58} {measured:>9}   {target:<8} {}", if is_met { "met" } else { "MISSED" });
    }
    drop(targets);
    cluster.stop().await;
}

/// Bare, one `INSERT` per request, ours, and ours with a full table where one is asked for.
async fn start(cluster: &Cluster, rows: u64) -> Vec<Target> {
    let single = cluster.database("single").await;
    // It marks no checks, as it knows no reports.
    let mut connection = cluster.options("single").connect().await.unwrap();
    stored::execute(&mut connection, "drop trigger mark_checks_called on callbacks").await;
    let (bare, insert) = (free_address().to_string(), free_address().to_string());
    let mut targets = vec![
        Target::start("axum, no database", &["bare", &bare], bare.clone()).await,
        Target::start("one INSERT per request", &["insert", &insert, &single], insert.clone()).await,
    ];
    targets.push(Target::ours("tidings serve".into(), &cluster.database("empty").await).await);
    if rows > 0 {
        let full = cluster.database("filled").await;
        stored::fill(&cluster.options("filled"), rows).await;
        targets.push(Target::ours(format!("the same, {rows} rows"), &full).await);
    }
    let genuine = targets[2].paths.clone();
    targets[..2].iter_mut().for_each(|target| target.paths.clone_from(&genuine));
    targets
}

impl Target {
    async fn start(name: &str, arguments: &[&str], address: String) -> Self {
        let process = role(arguments).spawn().unwrap();
        listening(address.parse().unwrap()).await;
        Self { name: name.into(), process, address, paths: Vec::new(), _house: None }
    }

    async fn ours(name: String, database: &str) -> Self {
        let Service { process, address, paths, house } = Service::start(database).await;
        Self { name, process, address: address.to_string(), paths, _house: Some(house) }
    }
}

/// The turns of each target. Every other round goes backwards, so that none always comes after the same one.
async fn take_turns(
    cluster: &Cluster,
    targets: &[Target],
    connections: usize,
    rounds: usize,
    seconds: f64,
) -> Vec<Vec<Turn>> {
    let mut turns: Vec<Vec<Turn>> = targets.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        let mut nth: Vec<usize> = (0..targets.len()).collect();
        if round % 2 == 1 {
            nth.reverse();
        }
        for nth in nth {
            turns[nth].push(turn(cluster, &targets[nth], connections, seconds).await);
        }
    }
    turns
}

async fn turn(cluster: &Cluster, target: &Target, connections: usize, seconds: f64) -> Turn {
    let used = || (cpu(&target.process), cpu_of_family(cluster.server.server_pid()));
    let before = used();
    let plan = Plan { address: &target.address, connections, seconds, rate: 0.0, paths: &target.paths };
    let seen = load::send(plan, 200).await;
    let after = used();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = |used: f64| used / seconds / f64::from(u32::try_from(cores).unwrap_or(1));
    Turn { seen, server: share(after.0 - before.0), postgres: share(after.1 - before.1) }
}

fn show(connections: usize, target: &Target, turns: &[Turn]) {
    let of = |part: fn(&Turn) -> f64| median(turns.iter().map(part).collect());
    let odd: u64 = turns.iter().map(|turn| turn.seen.odd).sum();
    println!(
        "{connections:>5} {:<24} {:>9.0} {:>8.2} {:>8.2} {:>8.2} {:>6.0}% {:>8.0}% {odd:>4}",
        target.name,
        of(|turn| turn.seen.rate),
        of(|turn| turn.seen.p50),
        of(|turn| turn.seen.p99),
        of(|turn| turn.seen.p999),
        of(|turn| turn.server * 100.0),
        of(|turn| turn.postgres * 100.0),
    );
}

/// The promises at this number of connections; each is the median of what the rounds had.
fn judge(ratios: &mut Vec<Ratio>, connections: usize, turns: &[Vec<Turn>]) {
    let beside = |one: usize, other: usize, part: fn(&Seen) -> f64| {
        median(turns[one].iter().zip(&turns[other]).map(|(one, other)| part(&one.seen) / part(&other.seen)).collect())
    };
    let rate: fn(&Seen) -> f64 = |seen| seen.rate;
    let mut at = |what: &str, measured: f64, target: &str, is_met: bool| {
        ratios.push(ratio(&format!("{connections:>3} connections, {what}"), measured, target, is_met));
    };
    if connections == 1 {
        let waits = beside(2, 1, |seen| seen.p50);
        at("p50 / one INSERT's", waits, "<= 1.3", waits <= 1.3);
    }
    if connections >= 128 {
        let bare = beside(2, 0, rate);
        at("rate / bare axum's", bare, ">= 0.5", bare >= 0.5);
    }
    if connections == 128 {
        let (inserts, waits) = (beside(2, 1, rate), beside(2, 1, |seen| seen.p99));
        at("rate / one INSERT's", inserts, ">= 5", inserts >= 5.0);
        at("p99 / one INSERT's", waits, "<= 0.4", waits <= 0.4);
    }
    if connections > 1 && turns.len() > 3 {
        let full = beside(3, 2, rate);
        at("rate with the full table / empty", full, ">= 0.9", full >= 0.9);
    }
}

/// Genuine calls alone, and while ten thousand forged ones a second come, in turns.
async fn forged(ours: &Target, rounds: usize, seconds: f64, ratios: &mut Vec<Ratio>) {
    let paths: Vec<String> = ours.paths.iter().map(|path| path.replacen("/callbacks/", "/callbacks/A", 1)).collect();
    let genuine = || {
        let plan = Plan { address: &ours.address, connections: 8, seconds, rate: GENUINE, paths: &ours.paths };
        load::send(plan, 200)
    };
    let (mut alone, mut beside, mut came) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(genuine().await);
        let plan = Plan { address: &ours.address, connections: 32, seconds, rate: FORGED, paths: &paths };
        let (genuine, forged) = tokio::join!(genuine(), load::send(plan, 404));
        beside.push(genuine);
        came.push(forged);
    }
    let of = |seen: &[Seen], part: fn(&Seen) -> f64| median(seen.iter().map(part).collect());
    let odd = |seen: &[Seen]| seen.iter().map(|seen| seen.odd).sum::<u64>();
    println!(
        "\n{GENUINE} genuine calls a second: p50 {:.2} ms, p99 {:.2} ms alone; p50 {:.2} ms, p99 {:.2} ms beside {:.0} forged \
         ones a second ({} genuine ones not answered 200, {} forged ones not 404)",
        of(&alone, |seen| seen.p50),
        of(&alone, |seen| seen.p99),
        of(&beside, |seen| seen.p50),
        of(&beside, |seen| seen.p99),
        of(&came, |seen| seen.rate),
        odd(&alone) + odd(&beside),
        odd(&came),
    );
    let times = median(beside.iter().zip(&alone).map(|(beside, alone)| beside.p99 / alone.p99).collect());
    ratios.push(ratio("p99 of genuine calls under 10,000 forged/s / alone", times, "<= 2", times <= 2.0));
}

async fn limits(cluster: &Cluster, seconds: f64) {
    let options = cluster.options("single");
    println!("\nthe same rows straight to Postgres, without their reports' checks:");
    for batch in [1, 25, 250] {
        let rate = limit::insert(&options, batch, seconds).await;
        println!("  two writers, {batch:>3} rows in each commit: {rate:>8.0} rows/s");
    }
    println!("  COPY, 20,000 rows in each commit:   {:>8.0} rows/s", limit::copy(&options, seconds).await);
}

fn ratio(what: &str, measured: f64, target: &str, is_met: bool) -> Ratio {
    Ratio { what: what.into(), measured: format!("{measured:.2}"), target: target.into(), is_met }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
