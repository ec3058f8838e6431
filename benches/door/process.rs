//! The processes of a comparison, and what the kernel says of them.

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Ticks of the processor's time in a second, as Linux tells them.
const TICKS: f64 = 100.0;

/// This program in another of its roles.
pub(crate) fn role(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// An address of this machine that is free.
pub(crate) fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Waits until somebody listens there.
pub(crate) async fn listening(address: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(address).await.is_err() {
        assert!(Instant::now() < deadline, "nobody listens at {address}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Seconds of processor that a process has used.
pub(crate) fn cpu(process: &Child) -> f64 {
    stat(process.id().unwrap()).map_or(0.0, |stat| stat.own)
}

/// Seconds of processor that this process has used, without its children.
pub(crate) fn cpu_of_this() -> f64 {
    stat(std::process::id()).map_or(0.0, |stat| stat.own)
}

/// Seconds of processor that a process and its children have used, those that ended too.
pub(crate) fn cpu_of_family(parent: u32) -> f64 {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let children: f64 = pids.filter_map(stat).filter(|stat| stat.parent == parent).map(|stat| stat.own).sum();
    stat(parent).map_or(0.0, |stat| stat.own + stat.ended_children) + children
}

/// A line of a process's memory (`VmRSS`, `VmHWM`), in MiB.
pub(crate) fn memory(process: &Child, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id().unwrap())).unwrap();
    let line = status.lines().find(|text| text.starts_with(line)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

struct Stat {
    parent: u32,
    own: f64,
    ended_children: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold blanks.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).map(|ticks| ticks / TICKS);
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: ticks(11)? + ticks(12)?,
        ended_children: ticks(13)? + ticks(14)?,
    })
}
