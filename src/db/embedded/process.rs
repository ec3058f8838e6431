//! The machine's processes: run one within bounds, and see which of them work in a cluster.
//!
//! A process id alone proves nothing: a killed server can stay a zombie that `kill(pid, 0)` finds alive, and an id can be
//! given to a stranger. What proves it is the working directory: each process of a server works in its cluster. Where there
//! is no `/proc`, the command line that `ps` shows stands in for it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// More than any program that is run here has to say.
const OUTPUT_LIMIT: u64 = 64 * 1024;
/// How much of a failed program's output goes into an error.
const TAIL_CHARS: usize = 600;

/// Runs a program to its end and returns its standard output, or why there is none: it can't be run, it failed (with the end
/// of what it said), or it took longer than `limit` and was killed.
pub(super) async fn run(command: &mut Command, limit: Duration) -> Result<String, String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "not found on this machine".to_owned(),
        _ => error.to_string(),
    })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = async { tokio::join!(read(stdout), read(stderr), child.wait()) };
    let (stdout, stderr, status) =
        tokio::time::timeout(limit, ended).await.map_err(|_| format!("did not end within {limit:?}"))?;
    match status {
        Ok(status) if status.success() => Ok(stdout),
        Ok(status) => Err(format!("{status}: {}", tail(&format!("{stdout}\n{stderr}")))),
        Err(error) => Err(error.to_string()),
    }
}

/// The end of a program's output, on one line.
pub(super) fn tail(output: &str) -> String {
    let words = output.split_whitespace().collect::<Vec<_>>().join(" ");
    let skipped = words.chars().count().saturating_sub(TAIL_CHARS);
    words.chars().skip(skipped).collect()
}

/// Whether this process is alive and works in the cluster `data`.
pub(super) fn works_in(pid: u32, data: &Path) -> bool {
    if has_proc() { std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == data) } else { ps(pid, data) }
}

/// The processes that work in the cluster `data`; none where there is no `/proc` to tell, and then Postgres's own check of its
/// shared memory is the guard.
pub(super) fn all_in(data: &Path) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| works_in(*pid, data))
        .collect()
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What came before a broken pipe is still worth showing.
        let _ = pipe.take(OUTPUT_LIMIT).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn has_proc() -> bool {
    Path::new("/proc/self/cwd").exists()
}

fn ps(pid: u32, data: &Path) -> bool {
    let shown = std::process::Command::new("ps").args(["-ww", "-o", "stat=,command=", "-p", &pid.to_string()]).output();
    let Ok(shown) = shown else { return false };
    let line = String::from_utf8_lossy(&shown.stdout).into_owned();
    !line.trim_start().starts_with('Z') && line.contains("postgres") && line.contains(&*data.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;

    #[tokio::test]
    async fn a_program_that_fails_hangs_or_is_missing_is_told_apart() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let limit = Duration::from_secs(20);

        assert_eq!(run(&mut shell("echo fine"), limit).await.unwrap(), "fine\n");
        assert!(run(&mut shell("echo broken >&2; exit 3"), limit).await.unwrap_err().contains("3: broken"));
        assert!(run(&mut shell("sleep 60"), Duration::from_millis(50)).await.unwrap_err().contains("did not end"));
        assert!(run(&mut Command::new("/nowhere/at-all"), limit).await.unwrap_err().contains("not found"));
    }

    #[test]
    fn a_process_works_where_it_is_and_nowhere_else_and_a_zombie_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        // The name and the directory on its command line are what is seen where there is no /proc.
        let script = "sleep 60; : postgres -D \"$0\"";
        let mut child = std::process::Command::new("sh");
        child.args(["-c", script]).arg(&dir).current_dir(&dir).process_group(0);
        let mut child = child.spawn().unwrap();
        let group = Pid::from_raw(-i32::try_from(child.id()).unwrap());

        assert!(works_in(child.id(), &dir));
        assert!(!works_in(child.id(), Path::new("/nowhere")));
        assert!(!has_proc() || all_in(&dir).contains(&child.id()));

        kill(group, Signal::SIGKILL).unwrap();
        for _ in 0..500 {
            if works_in(child.id(), &dir) {
                std::thread::park_timeout(Duration::from_millis(10));
            }
        }
        let zombie = Pid::from_raw(child.id().try_into().unwrap());
        assert!(kill(zombie, None).is_ok(), "it was reaped, so this shows nothing");
        assert!(!works_in(child.id(), &dir));
        child.wait().unwrap();
    }
}
