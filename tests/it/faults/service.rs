//! The real program as a process of its own, on a database that it reaches through a proxy.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tidings::secret::Secret;
use tokio::process::{Child, Command};

use super::proxy::Proxy;
use crate::support::app::ADMIN_KEY;
use crate::support::server::lasting_address;

/// One replica: it is started, killed and started again at the same address.
pub(super) struct Service {
    pub(super) address: SocketAddr,
    pub(super) proxy: Proxy,
    child: Option<Child>,
}

/// What all replicas have in common.
pub(super) struct Common<'a> {
    pub(super) folder: &'a Path,
    pub(super) key: &'a Secret,
    pub(super) public: SocketAddr,
}

impl Service {
    /// Chooses an address; nothing runs yet.
    pub(super) async fn on(database: PgConnectOptions) -> Self {
        let address = lasting_address().await;
        Self { address, proxy: Proxy::before(database).await, child: None }
    }

    /// Starts it.
    pub(super) fn start(&mut self, common: &Common<'_>) {
        let log = File::options().create(true).append(true).open(common.folder.join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tidings"))
            .arg("serve")
            .env("TIDINGS_DATABASE_URL", self.proxy.options().to_url_lossy().to_string())
            .env("TIDINGS_DATA_DIR", common.folder)
            .env("TIDINGS_LISTEN", self.address.to_string())
            .env("TIDINGS_PUBLIC_URL", format!("http://{}", common.public))
            .env("TIDINGS_SECRET_KEY", common.key.expose())
            .env("TIDINGS_ADMIN_KEY", ADMIN_KEY)
            .env("TIDINGS_ALLOW_NETWORKS", "127.0.0.0/8")
            .env("TIDINGS_CALLS_PER_SECOND", "1000")
            .env("TIDINGS_LOG", std::env::var("TIDINGS_FAULT_LOG").unwrap_or_else(|_| "error".into()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).unwrap()
    }

    /// Kills it, if nobody has yet, and waits until it is gone.
    pub(super) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }
}
