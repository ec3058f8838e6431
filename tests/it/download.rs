//! Downloads: whole files and nothing else in the archive, measured right, and no link that outlives its use.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tidings::sandbox::Fault;
use tidings::secret::hex;

use crate::support::app::TestApp;
use crate::support::scene::{DAY, UNTIL_FIRST_RUN, client};
use crate::support::server::Server;

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn decoded(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut text).unwrap();
    text
}

/// A report whose first run is found and not yet downloaded.
async fn found(it: &TestApp) -> String {
    let report = it.registered().await;
    it.after(UNTIL_FIRST_RUN).await;
    discover(it).await;
    report
}

async fn discover(it: &TestApp) {
    for check in it.app.discover.claim(10).await.unwrap() {
        it.app.discover.perform(check).await.unwrap();
    }
}

async fn execution(it: &TestApp) -> Value {
    it.list("/executions").await.remove(0)
}

#[tokio::test]
async fn the_archive_holds_the_very_bytes_that_came_and_they_are_measured_right() {
    let it = TestApp::start().await;
    let link = Arc::<Mutex<Option<String>>>::default();
    let seen = link.clone();
    let between = Server::before(it.sandbox.url(), move |_, answer| {
        let body: Value = serde_json::from_slice(&answer.1).unwrap_or_default();
        if let Some(link) = body["value"][0]["reportAccessSecureLink"].as_str() {
            *seen.lock().unwrap() = Some(link.to_owned());
        }
        answer
    })
    .await;
    let account = it.account_through(&between).await;
    let report = it.report(&account).await;
    it.drain().await;
    it.after(UNTIL_FIRST_RUN).await;
    it.drain().await;

    let link = link.lock().unwrap().clone().unwrap();
    let sent = client().get(link).send().await.unwrap().bytes().await.unwrap();
    let file = execution(&it).await["file"].clone();
    let location = file["location"].as_str().unwrap();
    let short = report.replace('-', "")[24..].to_owned();
    assert!(location.starts_with(&format!("report=daily-usage-{short}/date=2026-01-05/")), "{location}");
    assert_eq!(std::fs::read(it.archive.path().join(location)).unwrap(), sent);
    assert_eq!(file["stored_bytes"], sent.len());
    let text = decoded(&sent);
    assert_eq!(file["size_bytes"], text.len());
    assert_eq!(file["sha256"], hex(&Sha256::digest(&text)));
    let mut reader = csv::Reader::from_reader(&*text);
    assert_eq!(file["columns"], json!(reader.headers().unwrap().iter().collect::<Vec<_>>()));
    assert_eq!(file["rows"], reader.records().count());
    assert_eq!(file["rows"], 1000);
}

#[tokio::test]
async fn an_expired_link_is_followed_by_a_fresh_one_at_once() {
    let it = TestApp::start().await;
    found(&it).await;
    let asked = it.questions();
    it.sandbox.world.fault(Fault::LinkExpired);

    it.drain().await;

    assert_eq!(execution(&it).await["state"], "stored");
    assert_eq!(it.questions() - asked, 2);
}

#[tokio::test]
async fn a_download_that_is_cut_is_tried_again_and_nothing_half_is_ever_there() {
    let it = TestApp::start().await;
    found(&it).await;
    it.sandbox.world.fault_times(Fault::DownloadCut, 2);

    it.drain().await;
    assert_eq!(execution(&it).await["state"], "ready");
    assert_eq!(files(it.archive.path()), Vec::<PathBuf>::new());
    it.after(5).await;
    it.drain().await;
    assert_eq!(files(it.archive.path()), Vec::<PathBuf>::new());
    it.after(10).await;
    it.drain().await;

    assert_eq!(execution(&it).await["state"], "stored");
    assert_eq!(files(it.archive.path()).len(), 1);
    assert_eq!(it.kinds().await, ["report.ready"]);
}

#[tokio::test]
async fn a_download_that_was_killed_is_done_by_the_next_and_leaves_nothing_aside() {
    let it = TestApp::start().await;
    found(&it).await;
    let killed = it.app.fetch.claim(1).await.unwrap().remove(0);
    let mut half = it.app.archive.begin(killed.id, killed.lease).unwrap();
    half.write(b"half").unwrap();
    std::mem::forget(half);

    it.drain().await;
    assert_eq!(execution(&it).await["state"], "ready");
    it.clock.advance(Duration::from_secs(31));
    it.drain().await;

    assert_eq!(execution(&it).await["state"], "stored");
    assert_eq!(files(it.archive.path()).len(), 1);
    assert_eq!(it.kinds().await, ["report.ready"]);
}

#[tokio::test]
async fn whoever_was_taken_over_stores_and_tells_nothing_more() {
    let it = TestApp::start().await;
    found(&it).await;
    let slow = it.app.fetch.claim(1).await.unwrap().remove(0);
    it.clock.advance(Duration::from_secs(31));
    it.drain().await;

    let result = it.app.fetch.perform(slow).await;

    assert!(matches!(result, Err(tidings::db::StoreError::Lost)), "{result:?}");
    assert_eq!(it.list("/files").await.len(), 1);
    assert_eq!(it.kinds().await, ["report.ready"]);
}

#[tokio::test]
async fn a_report_without_rows_is_told_as_empty_and_not_as_ready() {
    let it = TestApp::start().await;
    it.sandbox.world.set_rows(0);

    it.told().await;

    assert_eq!(it.kinds().await, ["report.empty"]);
    let file = execution(&it).await["file"].clone();
    assert_eq!((&file["rows"], file["columns"].as_array().unwrap().len()), (&json!(0), 3));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_secure_link_rests_in_no_row_and_no_line_of_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let it = TestApp::start().await;
    found(&it).await;
    it.sandbox.world.fault_times(Fault::LinkExpired, 2);
    it.sandbox.world.fault(Fault::DownloadCut);
    for _ in 0..4 {
        it.drain().await;
        assert!(!it.all_rows().await.contains("sig="));
        it.after(30).await;
    }

    assert_eq!(execution(&it).await["state"], "stored");
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.contains("failed to download"), "{log}");
    for part in ["sig=", "/blob/insights-reports"] {
        assert!(!log.contains(part), "the log shows {part}");
        assert!(!it.all_rows().await.contains(part), "a row holds {part}");
    }
}

#[tokio::test]
async fn what_fails_for_over_an_hour_is_told_as_failed_and_can_be_tried_again() {
    let it = TestApp::start().await;
    found(&it).await;
    it.sandbox.world.fault_times(Fault::DownloadCut, 100_000);
    for _ in 0..11 {
        it.drain().await;
        it.after(300).await;
        assert_eq!(execution(&it).await["state"], "ready");
    }
    for _ in 0..3 {
        it.drain().await;
        it.after(300).await;
    }

    let failed = execution(&it).await;
    assert_eq!(failed["state"], "failed");
    assert!(failed["failure"].is_string());
    assert_eq!(it.kinds().await, ["report.failed"]);

    it.sandbox.world.clear_faults();
    let retry = format!("/executions/{}/retry", failed["id"].as_str().unwrap());
    let (status, _) = it.call("POST", &retry, None).await;
    assert_eq!(status, 202);
    it.drain().await;
    assert_eq!(execution(&it).await["state"], "stored");
    assert_eq!(it.kinds().await, ["report.failed", "report.ready"]);
    assert_eq!(it.call("POST", &retry, None).await.0, 409);
}

#[tokio::test]
async fn a_shared_file_can_be_fetched_without_a_key_until_its_address_expires() {
    let it = TestApp::start().await;
    it.told().await;
    let file = execution(&it).await["file"].clone();
    let id = file["id"].as_str().unwrap();
    let stored = std::fs::read(it.archive.path().join(file["location"].as_str().unwrap())).unwrap();
    let text = decoded(&stored);
    let shared = it.post(&format!("/files/{id}/share"), json!({})).await;
    let url = shared["url"].as_str().unwrap();
    let get = |name: &'static str, value: &'static str| client().get(url).header(name, value).send();

    let plain = client().get(url).send().await.unwrap();
    assert_eq!(plain.headers()["content-type"], "text/csv; charset=utf-8");
    assert!(plain.headers().get("content-encoding").is_none());
    assert_eq!(plain.bytes().await.unwrap(), text);

    let gzip = get("accept-encoding", "br, gzip").await.unwrap();
    assert_eq!(gzip.headers()["content-encoding"], "gzip");
    assert_eq!(gzip.bytes().await.unwrap(), stored);

    let part = get("range", "bytes=10-19").await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], format!("bytes 10-19/{}", text.len()));
    assert_eq!(part.bytes().await.unwrap(), text[10..20]);
    assert_eq!(get("range", "bytes=99999999-").await.unwrap().status(), 416);

    let forged = url.replace("/files/", "/files/A");
    assert_eq!(client().get(forged).send().await.unwrap().status(), 404);
    it.clock.advance(Duration::from_secs(7 * DAY));
    assert_eq!(client().get(url).send().await.unwrap().status(), 410);
    let content = it.url.join(&format!("/api/v1/files/{id}/content")).unwrap();
    assert_eq!(client().get(content).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_file_with_other_columns_than_the_one_before_is_told_in_addition() {
    let it = TestApp::start().await;
    let report = it.registered().await;
    for columns in [&["Month", "Units", "Name"][..], &["Month", "Units", "Name"], &["Month", "Name", "Country"]] {
        it.sandbox.world.set_columns(columns.iter().copied());
        it.after(DAY).await;
        it.drain().await;
    }

    let told = it.list(&format!("/events?kind=report.schema_changed&report_id={report}")).await;
    assert_eq!(told.len(), 1);
    let expected = json!({ "added": ["Country"], "removed": ["Units"], "reordered": false });
    assert_eq!(told[0]["data"]["changes"], expected);
    assert_eq!(told[0]["data"]["file"]["columns"], json!(["Month", "Name", "Country"]));
    assert_eq!(it.list(&format!("/events?kind=report.ready&report_id={report}")).await.len(), 3);
}
