//! The generator of load: a lean client of HTTP/1.1 with keep-alive, so that it is no brake.
//!
//! A connection sends a request, waits for the whole answer, and sends the next: at once, or at a pace. Two threads share the
//! connections, each with a runtime of its own.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::role;

const THREADS: usize = 2;
/// The first part of the time is not counted: connections are made, caches fill.
const WARM: f64 = 0.15;

/// What to send.
pub(crate) struct Plan<'a> {
    pub(crate) address: &'a str,
    pub(crate) connections: usize,
    pub(crate) seconds: f64,
    /// Requests a second over all connections; 0: as many as go.
    pub(crate) rate: f64,
    /// The connections take turns through these.
    pub(crate) paths: &'a [String],
}

/// What came back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) rate: f64,
    /// Answers that were not the wanted one.
    pub(crate) odd: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

/// Has another process send it. `status` is the answer that is wanted.
pub(crate) async fn send(plan: Plan<'_>, status: u16) -> Seen {
    let (connections, seconds, rate) = (plan.connections.to_string(), plan.seconds.to_string(), plan.rate.to_string());
    let paths = plan.paths.join(" ");
    let process = role(&["load", plan.address, &connections, &seconds, &rate, &status.to_string(), &paths]);
    let output = { process }.stderr(std::process::Stdio::inherit()).output().await.unwrap();
    assert!(output.status.success(), "the generator of load failed");
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |name: &str| seen[name].as_f64().unwrap();
    Seen {
        rate: number("rate"),
        odd: seen["odd"].as_u64().unwrap(),
        p50: number("p50"),
        p99: number("p99"),
        p999: number("p999"),
    }
}

/// The other process.
pub(crate) fn run(plan: &[&str]) {
    let [address, connections, seconds, rate, status, paths] = plan[..] else { panic!("a plan has six parts") };
    let (connections, seconds): (usize, f64) = (connections.parse().unwrap(), seconds.parse().unwrap());
    let rate: f64 = rate.parse().unwrap();
    let pace = (rate > 0.0).then(|| Duration::from_secs_f64(count(connections) / rate));
    let wanted = format!("HTTP/1.1 {status} ");
    let requests: Vec<Vec<u8>> = paths.split(' ').map(|path| request(address, path)).collect();
    let began = Instant::now();
    let counted_from = began + Duration::from_secs_f64(seconds * WARM);
    let until = began + Duration::from_secs_f64(seconds);
    let caller = |nth: usize| Caller {
        address: address.to_owned(),
        request: requests[nth % requests.len()].clone(),
        wanted: wanted.clone(),
        pace,
        counted_from,
        until,
    };
    let threads: Vec<_> = (0..THREADS.min(connections))
        .map(|thread| {
            let callers: Vec<Caller> = (thread..connections).step_by(THREADS).map(caller).collect();
            std::thread::spawn(move || call_all(callers))
        })
        .collect();
    let (mut waits, mut odd) = (Vec::new(), 0);
    for thread in threads {
        let (more, odd_ones) = thread.join().unwrap();
        waits.extend(more);
        odd += odd_ones;
    }
    waits.sort_unstable();
    let at = |share: f64| waits.get(index(waits.len(), share)).map_or(0.0, |micros| f64::from(*micros) / 1000.0);
    let rate = count(waits.len()) / (until - counted_from).as_secs_f64();
    println!("{}", json!({ "rate": rate, "odd": odd, "p50": at(0.5), "p99": at(0.99), "p999": at(0.999) }));
}

struct Caller {
    address: String,
    request: Vec<u8>,
    wanted: String,
    pace: Option<Duration>,
    counted_from: Instant,
    until: Instant,
}

fn call_all(callers: Vec<Caller>) -> (Vec<u32>, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let called = runtime.block_on(async {
        let tasks: Vec<_> = callers.into_iter().map(|caller| tokio::spawn(caller.call())).collect();
        futures_util::future::join_all(tasks).await
    });
    let (mut waits, mut odd) = (Vec::new(), 0);
    for (more, odd_ones) in called.into_iter().map(Result::unwrap) {
        waits.extend(more);
        odd += odd_ones;
    }
    (waits, odd)
}

impl Caller {
    /// How long each counted answer took, in microseconds, and how many were not the wanted one.
    async fn call(self) -> (Vec<u32>, u64) {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut waits, mut odd, mut answer) = (Vec::new(), 0, Vec::with_capacity(4096));
        let mut next = Instant::now();
        loop {
            if let Some(pace) = self.pace {
                tokio::time::sleep_until(next.into()).await;
                next += pace;
            }
            let began = Instant::now();
            if began >= self.until {
                return (waits, odd);
            }
            stream.write_all(&self.request).await.unwrap();
            let is_wanted = read_answer(&mut stream, &mut answer).await && answer.starts_with(self.wanted.as_bytes());
            let ended = Instant::now();
            if began >= self.counted_from && ended <= self.until {
                waits.push(u32::try_from((ended - began).as_micros()).unwrap_or(u32::MAX));
                odd += u64::from(!is_wanted);
            }
        }
    }
}

/// Reads one whole answer; false when the connection ended.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> bool {
    answer.clear();
    loop {
        if stream.read_buf(answer).await.unwrap_or(0) == 0 {
            return false;
        }
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n");
        if head.is_some_and(|head| answer.len() >= head + 4 + length(&answer[..head])) {
            return true;
        }
    }
}

fn length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.split("content-length:").nth(1).and_then(|rest| rest.split_whitespace().next());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

/// A call as the API may make it.
fn request(host: &str, path: &str) -> Vec<u8> {
    let body = r#"{"reportId":"4e1b3a8e-0a6d-4f8e-9f8a-0d6a4e5b7c21","status":"Completed"}"#;
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: PartnerInsights/1.0\r\nAccept: */*\r\n\
         Content-Type: application/json\r\nX-Correlation-Id: 0af7651916cd43dd8448eb211c80319c\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a length is an index"
)]
fn index(length: usize, share: f64) -> usize {
    (length as f64 * share) as usize
}
