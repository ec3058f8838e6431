//! The callback door under what it must bear: too much, too slow, too large, in the other protocol, and by way of a proxy.

mod limits;
mod protocol;

use serde_json::Value;
use tidings::callback::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::support::app::TestApp;
use crate::support::scene::client;

/// A service with one registered report, and the address that is called for it.
struct Door {
    it: TestApp,
    address: Url,
}

impl Door {
    async fn open(settings: Settings) -> Self {
        let it = TestApp::with_door(settings).await;
        it.registered().await;
        let address = it.callback_address();
        Self { it, address }
    }

    /// The address of a report that is gone: genuine, and another one's.
    fn other(&self) -> Url {
        let gone = tidings::id::Id::at(self.it.clock.now());
        self.it.app.addresses.for_report(gone, &self.it.sandbox.url()).unwrap()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address.socket_addrs(|| None).unwrap()[0]).await.unwrap()
    }

    async fn post(&self, address: &Url, body: impl Into<reqwest::Body>) -> reqwest::Response {
        client().post(address.clone()).body(body).send().await.unwrap()
    }

    async fn recorded(&self) -> i64 {
        self.it.number("select count(*) from callbacks").await
    }

    /// The newest callback, whole.
    async fn newest(&self) -> Value {
        let listed = self.it.list("/callbacks?limit=1").await;
        self.it.get(&format!("/callbacks/{}", listed[0]["id"].as_str().unwrap())).await
    }
}

/// What comes until the end of a head.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            break;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Sends zeros until so many are sent or the other side has had enough; tells how many it took.
async fn send_zeros(stream: &mut (impl AsyncWriteExt + Unpin), most: usize) -> usize {
    let zeros = vec![b'0'; 64 * 1024];
    let mut sent = 0;
    while sent < most && stream.write_all(&zeros).await.is_ok() {
        sent += zeros.len();
    }
    sent
}
