//! Downloads from a blob store that is not ours: Azurite, with links signed as Azure signs them.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use url::Url;

use crate::support::app::TestApp;
use crate::support::peers::{npm, or_skip};
use crate::support::scene::{UNTIL_FIRST_RUN, client, until};
use crate::support::server::Server;

/// The account that every Azurite has, with its published key.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const VERSION: &str = "2018-11-09";
const REPORT: &str = "Month,Seats\nJAN-2026,3\nFEB-2026,4\n";

struct Azurite {
    process: Child,
    url: Url,
    _folder: tempfile::TempDir,
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Azurite {
    async fn start(package: &std::path::Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("node")
            .arg(package.join("node_modules/azurite/dist/src/blob/main.js"))
            .args(["--silent", "--skipApiVersionCheck", "--disableTelemetry", "--blobHost", "127.0.0.1"])
            .args(["--blobPort", &port.to_string(), "--location"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url: Url = format!("http://127.0.0.1:{port}/{ACCOUNT}/").parse().unwrap();
        let azurite = Self { process, url, _folder: folder };
        until("Azurite answers", || async { client().get(azurite.url.clone()).send().await.is_ok() }).await;
        azurite
    }

    /// An address with a shared access signature of the whole account.
    fn signed(&self, path: &str, may: &str, until: &str) -> Url {
        let text = format!("{ACCOUNT}\n{may}\nb\nsco\n\n{until}\n\n\n{VERSION}\n");
        let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(KEY).unwrap()).unwrap();
        mac.update(text.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let mut url = self.url.join(path).unwrap();
        let known = [("sv", VERSION), ("ss", "b"), ("srt", "sco"), ("sp", may), ("se", until), ("sig", &signature)];
        url.query_pairs_mut().extend_pairs(known);
        url
    }

    /// Puts a report there, compressed as the API's own are.
    async fn put(&self, path: &str, text: &str) -> Vec<u8> {
        let (container, _) = path.split_once('/').unwrap();
        let mut create = self.signed(container, "rwc", "2099-01-01T00:00:00Z");
        create.query_pairs_mut().append_pair("restype", "container");
        let created = client().put(create).send().await.unwrap();
        assert_eq!(created.status(), 201, "{}", created.text().await.unwrap());
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        let bytes = encoder.finish().unwrap();
        let put = client()
            .put(self.signed(path, "rwc", "2099-01-01T00:00:00Z"))
            .header("x-ms-blob-type", "BlockBlob")
            .header("x-ms-blob-content-type", "text/csv")
            .header("x-ms-blob-content-encoding", "gzip")
            .body(bytes.clone());
        assert_eq!(put.send().await.unwrap().status(), 201);
        bytes
    }
}

#[tokio::test]
async fn a_file_is_fetched_from_azurite_and_an_expired_signature_leads_to_a_fresh_link() {
    let Some(package) = or_skip("azurite::a_file_is_fetched_from_azurite", npm("azurite", "3.35.0")) else { return };
    let azurite = Azurite::start(&package).await;
    let stored = azurite.put("reports/2026-01.csv", REPORT).await;
    let expired = azurite.signed("reports/2026-01.csv", "r", "2020-01-01T00:00:00Z");
    let good = azurite.signed("reports/2026-01.csv", "r", "2099-01-01T00:00:00Z");
    assert_eq!(client().get(expired.clone()).send().await.unwrap().status(), 403);
    let it = TestApp::start().await;
    let given = Arc::<Mutex<Vec<&str>>>::default();
    let kept = given.clone();
    let between = Server::before(it.sandbox.url(), move |taken, (status, body)| {
        let asks_for_one = taken.uri.query().is_some_and(|query| query.contains("executionId="));
        if !asks_for_one {
            return (status, body);
        }
        let mut given = kept.lock().unwrap();
        let (name, link) = if given.is_empty() { ("expired", &expired) } else { ("good", &good) };
        given.push(name);
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        body["value"][0]["reportAccessSecureLink"] = link.as_str().into();
        (status, body.to_string().into())
    })
    .await;
    let account = it.account_through(&between).await;
    it.report(&account).await;
    it.drain().await;

    it.after(UNTIL_FIRST_RUN).await;
    it.drain().await;

    assert_eq!(*given.lock().unwrap(), ["expired", "good"]);
    let file = it.list("/executions").await[0]["file"].clone();
    assert_eq!((&file["rows"], &file["size_bytes"]), (&2.into(), &REPORT.len().into()));
    assert_eq!(std::fs::read(it.archive.path().join(file["location"].as_str().unwrap())).unwrap(), stored);
    assert_eq!(it.kinds().await, ["report.ready"]);
}
