//! The settings, as somebody who starts the program meets them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use clap::Parser;
use tidings::config::{Database, Given, Settings, Wrong};
use tidings::report::limits::Quotas;

use crate::support::command::{Running, ended, tidings};
use crate::support::database::fresh;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    given: Given,
}

fn check(flags: &[&str]) -> Result<Settings, Wrong> {
    Line::try_parse_from([&["tidings"], flags].concat()).unwrap().given.check()
}

fn wrong(flags: &[&str]) -> Vec<&'static str> {
    check(flags).unwrap_err().0.iter().map(|problem| problem.variable).collect()
}

#[tokio::test]
async fn all_wrong_settings_are_told_at_once_and_no_secret_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let mut command = tidings(&["serve", "--data-dir", folder.path().to_str().unwrap()]);
    let settings = [
        ("TIDINGS_LISTEN", "localhost"),
        ("TIDINGS_ADMIN_LISTEN", "8081"),
        ("TIDINGS_PUBLIC_URL", "ftp://tidings.example"),
        ("TIDINGS_DATABASE_URL", "mysql://ann:hunter22@db/tidings"),
        ("TIDINGS_ARCHIVE_URL", "s3://bucket/prefix"),
        ("TIDINGS_SECRET_KEY", "hunter22-is-no-key"),
        ("TIDINGS_ADMIN_KEY", "hunter22"),
        ("TIDINGS_SMTP_URL", "http://ann:hunter22@mail"),
        ("TIDINGS_MAIL_FROM", "nobody"),
        ("TIDINGS_ALLOW_NETWORKS", "everything"),
        ("TIDINGS_DOWNLOAD_HOSTS", "https://blob"),
        ("TIDINGS_CALLS_PER_SECOND", "0"),
        ("TIDINGS_QUOTAS", "reports=60,cats=2"),
        ("TIDINGS_CALLBACKS_PER_SECOND", "many"),
        ("TIDINGS_TRUSTED_PROXIES", "10.0.0.0/8,nginx"),
        ("TIDINGS_PROXY", "ann:hunter22@proxy"),
        ("TIDINGS_LOG", "tidings=loud"),
    ];
    for (name, value) in settings {
        command.env(name, value);
    }
    command.env("TIDINGS_ADMIN_KEY_FILE", &missing);

    let run = ended(&mut command).await;

    assert_eq!(run.code, Some(1));
    for (name, _) in settings.iter().chain(&[("TIDINGS_ADMIN_KEY_FILE", "")]) {
        assert!(run.err.contains(&format!("{name}: found ")), "{name} in\n{}", run.err);
    }
    assert!(run.err.contains("TIDINGS_ADMIN_KEY: found 8 characters, expected at least 24"), "{}", run.err);
    assert!(run.err.contains("local folder"), "{}", run.err);
    assert!(!run.err.contains("hunter22"), "{}", run.err);
}

#[tokio::test]
async fn help_shows_what_a_setting_is_and_no_secret_that_is_set() {
    let mut command = tidings(&["serve", "--help"]);
    let secret = "a-secret-that-nobody-may-see";
    for name in ["TIDINGS_SECRET_KEY", "TIDINGS_ADMIN_KEY", "TIDINGS_SMTP_URL", "TIDINGS_DATABASE_URL", "TIDINGS_PROXY"]
    {
        command.env(name, secret);
    }

    let run = ended(&mut command).await;

    assert_eq!(run.code, Some(0));
    assert!(run.out.contains("TIDINGS_PUBLIC_URL") && run.out.contains("TIDINGS_SECRET_KEY_FILE"), "{}", run.out);
    assert!(!run.out.contains(secret), "{}", run.out);
}

#[tokio::test]
async fn wrong_use_is_told_apart_from_failure() {
    assert_eq!(ended(&mut tidings(&["serve", "--no-such-flag"])).await.code, Some(2));
    assert_eq!(ended(&mut tidings(&["sandbox", "--fault", "flood"])).await.code, Some(2));
    let run = ended(tidings(&["openapi"]).env("TIDINGS_LOG_FORMAT", "xml")).await;
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("TIDINGS_LOG_FORMAT: found \"xml\", expected text or json"), "{}", run.err);
}

#[test]
fn right_settings_are_taken_as_they_were_meant() {
    let settings = check(&[
        "--listen=0.0.0.0:80",
        "--admin-listen=127.0.0.1:81",
        "--public-url=https://tidings.example/base",
        "--database-url=postgres://ann@db/tidings",
        "--archive-url=file:///srv/my%20archive",
        &format!("--secret-key={KEY},{KEY}"),
        "--admin-key=0123456789abcdef01234567",
        "--smtp-url=smtp://mail.example?tls=required",
        "--mail-from=Tidings <tidings@example.com>",
        "--allow-networks=10.0.0.0/8, fd00::/8",
        "--proxy=http://ann:secret@proxy:3128",
        "--quotas=at-once=7, reports=60",
        "--callbacks-per-second=20",
        "--trusted-proxies=10.0.0.0/8, fd00::/8",
    ])
    .unwrap();

    assert_eq!((settings.listen.port(), settings.admin_listen.unwrap().port()), (80, 81));
    assert_eq!(settings.archive.as_deref(), Some(Path::new("/srv/my archive")));
    assert!(matches!(&settings.database, Database::Given(options) if options.get_host() == "db"));
    assert_eq!((settings.door.calls_per_second, settings.door.trusted_proxies.len()), (20, 2));
    assert!(settings.keyring.is_some() && settings.mail.is_some() && settings.admin_key.is_some());
    assert!(settings.guard.check(&"http://10.1.2.3/".parse().unwrap()).is_ok());
    assert!(settings.guard.check(&"http://192.168.0.1/".parse().unwrap()).is_err());
    assert_eq!(settings.quotas, Quotas { reports: 60, at_once: 7, queries: 100 });
}

#[test]
fn an_empty_setting_counts_as_not_given() {
    let settings = check(&["--listen=", "--public-url= ", "--admin-key=", "--smtp-url=", "--data-dir="]).unwrap();

    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert!(settings.public_url.is_none() && settings.admin_key.is_none() && settings.mail.is_none());
    assert_eq!(settings.home.data_dir, Path::new("./tidings-data"));
}

#[test]
fn a_mail_server_needs_a_sender() {
    assert_eq!(wrong(&["--smtp-url=smtp://mail.example"]), ["TIDINGS_MAIL_FROM"]);
}

#[test]
fn a_secret_can_come_from_a_file_but_not_from_both() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, "0123456789abcdef01234567\n").unwrap();
    let from_file = format!("--admin-key-file={}", file.display());

    let settings = check(&[&from_file]).unwrap();

    assert_eq!(settings.admin_key.unwrap().expose(), "0123456789abcdef01234567");
    assert_eq!(wrong(&[&from_file, "--admin-key=0123456789abcdef01234567"]), ["TIDINGS_ADMIN_KEY_FILE"]);
    fs::write(&file, "\n").unwrap();
    assert_eq!(wrong(&[&from_file]), ["TIDINGS_ADMIN_KEY_FILE"]);
}

#[tokio::test]
async fn serve_makes_its_keys_once_says_where_things_are_and_stops_when_asked() {
    let (database, folder) = (fresh().await, tempfile::tempdir().unwrap());
    let data_dir = folder.path().join("data");
    let mut keys = Vec::new();
    for _start in 0..2 {
        let mut command = tidings(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data_dir.to_str().unwrap()]);
        let mut running = Running::start(command.env("DATABASE_URL", database.url()));

        let url = running.line("listening").await;
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        assert!(running.line("public").await.contains("TIDINGS_PUBLIC_URL"));
        assert!(running.line("mail").await.starts_with("off"));
        assert!(running.line("dashboard").await.contains("admin.key"));
        assert_eq!(running.stop().await, Some(0));

        keys.push(["secret.key", "admin.key"].map(|name| {
            let path = data_dir.join(name);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
            fs::read_to_string(path).unwrap()
        }));
    }

    let [[secret, admin], [secret_again, admin_again]] = [keys[0].clone(), keys[1].clone()];
    assert_eq!(secret, secret_again);
    assert_ne!(admin, admin_again);
    assert_eq!(fs::metadata(&data_dir).unwrap().permissions().mode() & 0o777, 0o711);
}

#[tokio::test]
async fn a_database_used_with_another_secret_key_is_refused() {
    let (database, folder) = (fresh().await, tempfile::tempdir().unwrap());
    let start = |key: &str| {
        let mut command = tidings(&["serve", "--listen", "127.0.0.1:0", "--data-dir", folder.path().to_str().unwrap()]);
        command.env("TIDINGS_DATABASE_URL", database.url()).env("TIDINGS_SECRET_KEY", key);
        command
    };
    let mut first = Running::start(&mut start(KEY));
    first.line("dashboard").await;
    assert_eq!(first.stop().await, Some(0));

    let second = ended(&mut start("HxECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")).await;

    assert_eq!(second.code, Some(1));
    assert!(second.err.contains("TIDINGS_SECRET_KEY"), "{}", second.err);
}

#[tokio::test]
async fn a_signal_that_is_passed_on_twice_counts_once() {
    let (database, folder) = (fresh().await, tempfile::tempdir().unwrap());
    let mut command = tidings(&["serve", "--listen", "127.0.0.1:0", "--data-dir", folder.path().to_str().unwrap()]);
    let mut running = Running::start(command.env("DATABASE_URL", database.url()));
    running.line("dashboard").await;

    running.signal();
    running.line("stopping").await;

    assert_eq!(running.stop().await, Some(0));
}

#[tokio::test]
async fn a_taken_address_and_a_name_written_wrong_are_told_with_the_setting_that_is_meant() {
    let (taken, folder) = (std::net::TcpListener::bind("127.0.0.1:0").unwrap(), tempfile::tempdir().unwrap());
    let listen = taken.local_addr().unwrap().to_string();

    let mut command = tidings(&["serve", "--listen", &listen, "--data-dir", folder.path().to_str().unwrap()]);
    let run = ended(command.env("TIDINGS_PUBLIC_ULR", "hunter22")).await;

    assert_eq!(run.code, Some(1));
    assert!(run.err.contains(&listen) && run.err.contains("TIDINGS_LISTEN"), "{}", run.err);
    assert!(run.err.contains("TIDINGS_PUBLIC_ULR is set") && !run.err.contains("hunter22"), "{}", run.err);
}

#[test]
fn what_is_kept_for_how_long_has_bounds() {
    let keep = check(&["--keep-callbacks-days=7", "--keep-events-days=30"]).unwrap().keep;

    assert_eq!((keep.callbacks, keep.attempts, keep.deliveries, keep.events, keep.audit), (7, 90, 90, 30, 400));
    assert_eq!(wrong(&["--keep-callbacks-days=0"]), ["TIDINGS_KEEP_CALLBACKS_DAYS"]);
    assert_eq!(
        wrong(&["--keep-attempts-days=soon", "--keep-audit-days=3651"]),
        ["TIDINGS_KEEP_ATTEMPTS_DAYS", "TIDINGS_KEEP_AUDIT_DAYS"]
    );
    assert_eq!(wrong(&["--keep-deliveries-days=-1"]), ["TIDINGS_KEEP_DELIVERIES_DAYS"]);
    // A sign-in that ends is told by its event alone.
    assert_eq!(wrong(&["--keep-events-days=29"]), ["TIDINGS_KEEP_EVENTS_DAYS"]);
}
