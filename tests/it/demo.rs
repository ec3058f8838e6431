//! The demo, as somebody who has just fetched the program runs it: the whole story, with nothing set up.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::command::{Running, ended, tidings};

/// A folder that the database's user can enter when the tests run as root.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[tokio::test]
async fn the_demo_tells_the_whole_story_each_time_anew() {
    let folder = folder();
    for _run in 0..2 {
        let run = ended(&mut tidings(&[
            "demo",
            "--once",
            "--speed",
            "36000",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            folder.path().to_str().unwrap(),
        ]))
        .await;

        assert_eq!(run.code, Some(0), "{}\n{}", run.out, run.err);
        let mut story = run.out.lines();
        for step in [
            "account made",
            "report ordered",
            "report registered",
            "callback received",
            "execution found",
            "file archived",
            "everyone told",
            "all caught",
        ] {
            assert!(story.any(|line| line.contains(&format!(" s  {step}"))), "{step} in its turn in\n{}", run.out);
        }
        for channel in ["email", "Slack", "Teams", "webhook"] {
            assert!(run.out.contains(&format!("notification out     {channel}")), "{channel} in\n{}", run.out);
        }
        let file = run.out.lines().find_map(|line| line.trim().strip_prefix("report file")).unwrap().trim();
        assert!(fs::metadata(file).unwrap().len() > 0, "{file}");
        assert_eq!(fs::read_dir(folder.path().join("demo/archive")).unwrap().count(), 2, "one report and .incoming");
    }
}

#[tokio::test]
async fn an_address_that_was_asked_for_and_is_taken_is_refused() {
    let folder = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();

    let data_dir = folder.path().to_str().unwrap();
    let run = ended(&mut tidings(&["demo", "--once", "--listen", &listen, "--data-dir", data_dir])).await;

    assert_eq!(run.code, Some(1));
    assert!(run.err.contains(&listen), "{}", run.err);
}

#[tokio::test]
async fn without_once_the_dashboard_stays_up_until_asked_to_stop() {
    let folder = folder();
    let mut running = Running::start(&mut tidings(&[
        "demo",
        "--speed",
        "36000",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        folder.path().to_str().unwrap(),
    ]));

    let dashboard = running.line("dashboard").await;
    running.line("Everything stays up").await;

    assert!(dashboard.contains("/sign-in/"), "{dashboard}");
    assert_eq!(running.stop().await, Some(0));
}
