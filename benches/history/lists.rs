//! Every list of the admin API and every page of the dashboard, through HTTP: the first page, and the hundredth by cursor.

use std::time::{Duration, Instant};

use serde_json::Value;
use tidings::secret::Secret;

use super::{ADMIN_KEY, Bench, median};

const ROUNDS: usize = 21;
const PAGES: usize = 100;

/// Prints the median of each.
pub(super) async fn print(bench: &Bench) {
    println!("\n{:<64} {:>10} {:>10} {:>6}  promised < 50 ms, ≤ 1.5", "list", "first", "100th", "ratio");
    for path in lists(bench).await {
        let first = bench.api(&path, None).await;
        let (mut last, mut pages) = (first.cursor, 1);
        while let Some(cursor) = last.clone() {
            let page = bench.api(&path, Some(&cursor)).await;
            pages += 1;
            match page.cursor {
                Some(next) if pages < PAGES => last = Some(next),
                _ => break,
            }
        }
        // By turns, so that whatever else this machine does is in both.
        let (mut firsts, mut fars) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            firsts.push(bench.api(&path, None).await.took);
            fars.push(bench.api(&path, last.as_deref()).await.took);
        }
        let (first, far) = (median(firsts), median(fars));
        let ratio = far / first;
        let broken = if first < 50.0 && far < 50.0 && (ratio <= 1.5 || far < 5.0) { "" } else { "  !" };
        println!("{path:<64} {first:>7.1} ms {far:>7.1} ms {ratio:>6.2}  page {pages}{broken}");
    }
    for path in pages(bench).await {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(bench.page(&path).await);
        }
        let time = median(times);
        println!("{path:<64} {time:>7.1} ms{}", if time < 50.0 { "" } else { "  !" });
    }
}

/// All lists, each with all filters: the one that matches most, and the one that matches least.
async fn lists(bench: &Bench) -> Vec<String> {
    let [busy, ended, rare] = reports(bench).await;
    let subscription = |name| format!("select id::text from subscriptions where name = 'subscription {name}'");
    let (many, few) = (bench.text(&subscription("0")).await, bench.text(&subscription("19")).await);
    let middle = bench.text("select (last_seq / 2)::text from event_numbers").await;
    let account = bench.text("select id::text from accounts limit 1").await;
    let mut lists =
        ["accounts", "reports", "subscriptions", "keys", "status", "callbacks", "executions", "files", "events"]
            .map(str::to_owned)
            .to_vec();
    lists.push("deliveries".into());
    lists.push(format!("reports?account_id={account}"));
    for list in ["callbacks", "executions", "files", "events"] {
        lists.extend([&busy, &ended, &rare].map(|report| format!("{list}?report_id={report}")));
    }
    lists.extend(["pending", "ready", "stored", "failed"].map(|state| format!("executions?state={state}")));
    lists.extend(["stored", "failed"].map(|state| format!("executions?report_id={busy}&state={state}")));
    lists.extend(["report.ready", "report.late", "report.drifted"].map(|kind| format!("events?kind={kind}")));
    lists.extend(["report.ready", "report.late"].map(|kind| format!("events?report_id={busy}&kind={kind}")));
    lists.push(format!("events?after={middle}"));
    for state in ["pending", "delivered", "failed", "cancelled"] {
        lists.push(format!("deliveries?state={state}"));
        lists.push(format!("deliveries?subscription_id={many}&state={state}"));
    }
    lists.extend([&many, &few].map(|subscription| format!("deliveries?subscription_id={subscription}")));
    lists
}

async fn pages(bench: &Bench) -> Vec<String> {
    let mut pages = vec!["/".to_owned(), "/accounts".to_owned()];
    pages.extend(reports(bench).await.map(|report| format!("/reports/{report}")));
    pages
}

/// The report that is called most, one that was called often once, and the one that is called least.
async fn reports(bench: &Bench) -> [String; 3] {
    let report = |name| format!("select id::text from reports where name = 'report {name}'");
    [bench.text(&report("0")).await, bench.text(&report("498")).await, bench.text(&report("499")).await]
}

struct Answer {
    took: Duration,
    cursor: Option<String>,
}

impl Bench {
    async fn api(&self, path: &str, cursor: Option<&str>) -> Answer {
        let mut url = self.url.join(&format!("/api/v1/{path}")).unwrap();
        if let Some(cursor) = cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let began = Instant::now();
        let answer = self.client.get(url).bearer_auth(ADMIN_KEY).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        let bytes = answer.bytes().await.unwrap();
        let took = began.elapsed();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        Answer { took, cursor: body["next_cursor"].as_str().map(str::to_owned) }
    }

    async fn page(&self, path: &str) -> Duration {
        let session = self.app.access.sign_in(&Secret::new(ADMIN_KEY)).await.unwrap().unwrap();
        let cookie = format!("tidings_session={}", session.expose());
        let began = Instant::now();
        let answer = self.client.get(self.url.join(path).unwrap()).header("cookie", cookie).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        answer.bytes().await.unwrap();
        began.elapsed()
    }
}
