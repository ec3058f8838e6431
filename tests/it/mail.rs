//! Mails through a real SMTP conversation, read by somebody else's parser.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use chrono::DateTime;
use serde_json::Value;
use tempfile::TempDir;
use tidings::channel::{Channels, Class, Endpoint, MailSettings, Message, Refusal, Sent};
use tidings::outbound::{Guard, Outbound};
use tidings::secret::Secret;

use crate::support::message::{monstrous, usual};
use crate::support::peers;

/// aiosmtpd, which keeps the mails that it takes as files.
struct MailServer {
    process: Child,
    port: u16,
    mails: TempDir,
}

impl MailServer {
    fn start(test: &str, sign_in: &[&str]) -> Option<Self> {
        let aiosmtpd = peers::or_skip(test, peers::pip("aiosmtpd", "1.4.6"))?;
        let mails = tempfile::tempdir().unwrap();
        let mut process = Command::new("python3")
            .arg(script("mail_server.py"))
            .arg(mails.path())
            .args(sign_in)
            .env("PYTHONPATH", aiosmtpd)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Some(Self { process, port: port.trim().parse().unwrap(), mails })
    }

    fn channels(&self, sign_in: &str, query: &str) -> Channels {
        let url = Secret::new(format!("smtp://{sign_in}127.0.0.1:{}{query}", self.port));
        let mail = MailSettings::parse(&url, "Tidings <tidings@sender.example>").unwrap();
        Channels::new(Outbound::new(Guard::default(), None).unwrap(), Some(mail)).unwrap()
    }

    fn kept(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.mails.path()).unwrap().map(|file| file.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|ending| ending == "eml")).collect()
    }

    fn only_mail(&self) -> Value {
        let kept = self.kept();
        assert_eq!(kept.len(), 1);
        read(&std::fs::read(&kept[0]).unwrap())
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name)
}

fn read(mail: &[u8]) -> Value {
    let mut parser = Command::new("python3")
        .arg(script("read_mail.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    parser.stdin.take().unwrap().write_all(mail).unwrap();
    serde_json::from_slice(&parser.wait_with_output().unwrap().stdout).unwrap()
}

fn header<'a>(mail: &'a Value, name: &str) -> Option<&'a str> {
    let headers = mail["headers"].as_array().unwrap();
    headers.iter().find(|header| header[0] == name).map(|header| header[1].as_str().unwrap())
}

async fn send(channels: &Channels, to: &str, message: &Message) -> Result<Sent, Refusal> {
    let endpoint = Endpoint::Email { to: format!("{to}@receiver.example") };
    channels.send(&endpoint, message, DateTime::from_timestamp(1_795_154_531, 0).unwrap()).await
}

#[tokio::test]
async fn another_parser_reads_both_parts_and_all_headers() {
    let Some(server) = MailServer::start("another_parser_reads_both_parts", &[]) else { return };

    let sent = send(&server.channels("", ""), "ann", &usual()).await.unwrap();

    assert_eq!((sent.status, sent.reply.as_str()), (Some(250), "2.0.0 Kept"));
    let mail = server.only_mail();
    assert_eq!((&mail["type"], &mail["defects"]), (&"multipart/alternative".into(), &0.into()));
    for (name, value) in [
        ("Subject", "[Ready] Tägliche Umsätze – 2026-11-19"),
        ("From", "Tidings <tidings@sender.example>"),
        ("To", "ann@receiver.example"),
        ("Message-ID", "<01993f7e-7c9a-7aaf-8a6f-2f3c5d6e7f80@sender.example>"),
        ("References", "<report-01993f7e@sender.example>"),
        ("In-Reply-To", "<report-01993f7e@sender.example>"),
        ("List-Id", "<report-01993f7e.sender.example>"),
        ("List-Unsubscribe", "<https://tidings.example/unsubscribe/UNSUBSCRIBE-TOKEN>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        ("X-Tidings-Event", "report.ready"),
        ("X-Tidings-Reason", "You get this because you subscribed to Tägliche Umsätze."),
        ("Date", "Fri, 20 Nov 2026 06:02:11 +0000"),
    ] {
        assert_eq!(header(&mail, name), Some(value), "{name}");
    }
    let parts: Vec<&str> =
        mail["parts"].as_array().unwrap().iter().map(|part| part["type"].as_str().unwrap()).collect();
    assert_eq!(parts, ["text/plain", "text/html"]);
    for part in mail["parts"].as_array().unwrap() {
        let text = part["text"].as_str().unwrap();
        for told in [
            "Tägliche Umsätze is ready",
            "12,431",
            "20 Nov 2026, 06:02 UTC",
            "Contoso",
            "SIGNED-LINK-TOKEN",
            "You get this",
        ] {
            assert!(text.contains(told), "{told} in {text}");
        }
    }
}

#[tokio::test]
async fn what_the_mail_server_answers_decides_what_follows() {
    let Some(server) = MailServer::start("what_the_mail_server_answers", &[]) else { return };
    let channels = server.channels("", "");

    for (to, expected, status, permanent) in [
        ("unknown", Class::Gone, 550, true),
        ("greylisted", Class::Retry, 451, false),
        ("full", Class::Retry, 452, false),
        ("policy", Class::Payload, 550, true),
        ("big", Class::Payload, 552, true),
    ] {
        let refusal = send(&channels, to, &usual()).await.unwrap_err();
        assert_eq!((refusal.class, refusal.status), (expected, Some(status)), "{refusal}");
        assert_eq!(refusal.failure.is_permanent(), permanent, "{refusal}");
    }
    send(&channels, "ann", &usual()).await.expect("refused mails spoil no later one");
    send(&channels, "bob", &usual()).await.unwrap();
    assert_eq!(server.kept().len(), 2);
}

#[tokio::test]
async fn a_wrong_password_is_our_failure_and_no_address_pays_for_it() {
    let Some(server) = MailServer::start("a_wrong_password", &["tidings", "right"]) else { return };

    let wrong = server.channels("tidings:wrong-password@", "?tls=none");
    let refusal = send(&wrong, "ann", &usual()).await.unwrap_err();

    assert_eq!((refusal.class, refusal.status), (Class::Ours, Some(535)), "{refusal}");
    assert!(!refusal.failure.is_permanent());
    assert!(!format!("{refusal:?} {wrong:?}").contains("wrong-password"));
    assert_eq!(wrong.check_mail().await.unwrap_err().class, Class::Ours);
    send(&server.channels("tidings:right@", "?tls=none"), "ann", &usual()).await.unwrap();
    assert_eq!(send(&server.channels("", ""), "ann", &usual()).await.unwrap_err().class, Class::Ours);
}

#[tokio::test]
async fn no_password_leaves_without_encryption_unless_it_is_allowed_to() {
    let Some(server) = MailServer::start("no_password_leaves", &["tidings", "right"]) else { return };

    for query in ["", "?tls=required"] {
        let refusal = send(&server.channels("tidings:right@", query), "ann", &usual()).await.unwrap_err();
        assert_eq!((refusal.class, refusal.status), (Class::Ours, None), "{refusal}");
        assert!(refusal.to_string().contains("STARTTLS"), "{refusal}");
    }
    assert!(server.kept().is_empty());
}

#[tokio::test]
async fn a_mail_server_that_is_away_is_worth_another_try() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Secret::new(format!("smtp://{}", listener.local_addr().unwrap()));
    drop(listener);
    let mail = MailSettings::parse(&url, "tidings@sender.example").unwrap();
    let channels = Channels::new(Outbound::new(Guard::default(), None).unwrap(), Some(mail)).unwrap();

    let refusal = send(&channels, "ann", &usual()).await.unwrap_err();

    assert_eq!((refusal.class, refusal.failure.is_permanent()), (Class::Retry, false), "{refusal}");
}

#[tokio::test]
async fn a_monstrous_message_adds_no_header_and_stays_small() {
    let Some(server) = MailServer::start("a_monstrous_message", &[]) else { return };

    send(&server.channels("", ""), "ann", &monstrous()).await.unwrap();

    let mail = server.only_mail();
    assert_eq!((header(&mail, "Bcc"), &mail["defects"]), (None, &0.into()));
    assert!(header(&mail, "Subject").unwrap().chars().count() <= 200);
    let html = mail["parts"][1]["text"].as_str().unwrap();
    assert!(html.len() <= 80 * 1024, "{}", html.len());
    assert!(!html.contains("<!channel>") && html.contains("&lt;!channel&gt;"));
    assert!(html.trim_end().ends_with("</html>"));
}

#[tokio::test]
async fn without_a_subscription_of_ones_own_there_is_nothing_to_unsubscribe() {
    let Some(server) = MailServer::start("without_a_subscription", &[]) else { return };
    let message = Message { unsubscribe: None, thread: None, table: None, ..usual() };

    send(&server.channels("", ""), "ann", &message).await.unwrap();

    let mail = server.only_mail();
    for name in ["List-Unsubscribe", "List-Unsubscribe-Post", "List-Id", "References", "In-Reply-To"] {
        assert_eq!(header(&mail, name), None, "{name}");
    }
    assert!(!mail["parts"].to_string().contains("Unsubscribe"));
}
