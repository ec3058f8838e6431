//! What the door notices while a tenth of all callbacks is removed: its rate alone, and beside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tidings::id::ReportId;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use super::Bench;

const CALLERS: usize = 32;
const ALONE: Duration = Duration::from_secs(15);

/// Prints the rates and the times.
pub(super) async fn print(bench: &Bench) {
    let addresses = addresses(bench).await;
    run(bench, &addresses, tokio::time::sleep(Duration::from_secs(3))).await;
    let before = run(bench, &addresses, tokio::time::sleep(ALONE)).await;
    let counts = counts(bench).await;
    let began = Instant::now();
    let beside = run(bench, &addresses, async {
        bench.app.retention.run_once(&CancellationToken::new()).await.unwrap();
    })
    .await;
    let took = began.elapsed().as_secs_f64();
    let after = run(bench, &addresses, tokio::time::sleep(ALONE)).await;
    println!("\nremoved in {took:.0} s, while {CALLERS} callers came to the door:");
    let left = self::counts(bench).await;
    for ((table, before), (_, after)) in counts.into_iter().zip(left) {
        println!("{:>10}  {table}", before - after);
    }
    println!("{:<24} {:>12} {:>10} {:>10}", "callbacks", "per second", "p50", "p99");
    let print =
        |when: &str, load: &Load| println!("{when:<24} {:>12.0} {:>7.2} ms {:>7.2} ms", load.rate, load.p50, load.p99);
    print("before", &before);
    print("beside", &beside);
    print("after", &after);
    let alone = f64::midpoint(before.rate, after.rate);
    println!("{:<24} {:>12.2}", "beside, of alone", beside.rate / alone);
}

/// Old rows of each table that is pruned.
async fn counts(bench: &Bench) -> Vec<(&'static str, i64)> {
    let mut counts = Vec::new();
    for table in ["callbacks", "attempts", "deliveries", "events", "audit"] {
        let old = tidings::id::first_of(bench.app.clock.now() - chrono::TimeDelta::days(10));
        let count = format!("select count(*)::text from {table} where id < '{old}'");
        counts.push((table, bench.text(&count).await.parse().unwrap()));
    }
    counts
}

async fn addresses(bench: &Bench) -> Vec<Url> {
    let ids: Vec<Uuid> = sqlx::query_scalar("select id from reports").fetch_all(&bench.app.pool).await.unwrap();
    let address = |id| bench.app.addresses.for_report(ReportId(id), &bench.url).unwrap();
    ids.into_iter().map(address).collect()
}

struct Load {
    rate: f64,
    p50: f64,
    p99: f64,
}

/// Calls the door, each caller one call after the other, until `meanwhile` is over.
async fn run(bench: &Bench, addresses: &[Url], meanwhile: impl Future<Output = ()>) -> Load {
    let over = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    let began = Instant::now();
    for caller in 0..CALLERS {
        let (over, client, addresses) = (over.clone(), bench.client.clone(), addresses.to_vec());
        callers.spawn(async move {
            let mut times = Vec::new();
            for address in addresses.iter().cycle().skip(caller * 15) {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let began = Instant::now();
                let answer = client.post(address.clone()).body("{}").send().await.unwrap();
                assert!(answer.status().is_success(), "{answer:?}");
                times.push(began.elapsed());
            }
            times
        });
    }
    meanwhile.await;
    over.store(true, Ordering::Relaxed);
    let mut times: Vec<Duration> = callers.join_all().await.into_iter().flatten().collect();
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1000.0;
    Load { rate, p50: at(50), p99: at(99) }
}
