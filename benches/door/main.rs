//! Measures the callback door beside what it could be at best and what one would write at first: `cargo bench --bench door`.
//!
//! In one run, in turns, on one Postgres with `fsync = on`: axum without a database behind our own accept loop; axum with one
//! `INSERT` per request through a pool of 32; and `tidings serve`, called at the addresses of reports that are registered at
//! the sandbox, its discovery at work as it would be. Each server, and the generator of load, is a process of its own with the
//! same layout. Nothing is asserted: machines differ; targets stand beside what was measured.
//!
//! A ratio is the median of those that the turns of each round had; turns are short and many, so that what else the machine does
//! meets both alike. `BENCH_ROUNDS` (7) and `BENCH_SECONDS` (0.8) say how long, `BENCH_CONNECTIONS` (1,32,128,512) with how many
//! callers; `BENCH_ROWS=10000000` adds a second service whose table has that many callbacks.
#![allow(clippy::unwrap_used, reason = "a measurement that can't go on ends")]

mod compare;
mod limit;
mod load;
#[allow(dead_code, reason = "another bench looks at more")]
mod process;
mod servers;
mod service;
mod stored;

use std::str::FromStr;
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["load", ref plan @ ..] => load::run(plan),
        ["bare", address] => servers::bare(address),
        ["insert", address, database] => servers::insert(address, database),
        _ if arguments.contains(&"--bench") => {
            let began = Instant::now();
            runtime().block_on(compare::run());
            println!("\nall of it took {:.0} s", began.elapsed().as_secs_f64());
        }
        _ => {}
    }
}

/// What each server of the comparison runs on, and the generator of load: the runtime as tokio builds it.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// A number that the environment may change.
fn setting<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
