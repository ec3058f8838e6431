//! What the story is played in: the service and, instead of Microsoft and of everyone who is told, the sandbox.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use url::Url;

use super::show::Show;
use super::store;
use crate::app::{self, App};
use crate::callback;
use crate::channel::MailSettings;
use crate::cli::database::Server;
use crate::cli::{home, say};
use crate::clock::Clock;
use crate::config::local_url;
use crate::download::fetch::DownloadHosts;
use crate::http::Listeners;
use crate::outbound::Guard;
use crate::report::limits::Quotas;
use crate::retention::Keep;
use crate::sandbox::{self, Sandbox};
use crate::secret::{Keyring, Secret};
use crate::telemetry;

const LISTEN: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 8080);
const SENDER: &str = "Tidings <tidings@example.com>";
const ROWS: u64 = 5_000;
const RUN_TIME: Duration = Duration::from_millis(500);

/// Everything that runs beside the database.
pub(super) struct House {
    pub(super) app: App,
    pub(super) sandbox: Sandbox,
    /// Taken by whoever serves.
    pub(super) listeners: Option<Listeners>,
    /// Where the service is.
    pub(super) url: Url,
    /// An admin key, and the file that holds it.
    pub(super) key: (Secret, PathBuf),
}

/// Takes the usual port or, where nobody asked for one, any.
pub(super) async fn listen(wanted: Option<SocketAddr>, show: &Show) -> anyhow::Result<TcpListener> {
    let address = wanted.unwrap_or_else(|| LISTEN.into());
    match TcpListener::bind(address).await {
        Err(error) if wanted.is_none() && error.kind() == io::ErrorKind::AddrInUse => {
            show.note(&format!("{address} is taken; a free port takes its place"));
            TcpListener::bind((LISTEN.0, 0)).await.context("failed to find a free port")
        }
        bound => bound.with_context(|| format!("failed to listen at {address}; give --listen an address that is free")),
    }
}

impl House {
    /// Empties the rooms and opens the house. Only the owner of the server may do this: nobody else lives there then.
    pub(super) async fn open(server: &Server, dir: &Path, listener: TcpListener, speed: f64) -> anyhow::Result<Self> {
        let archive = dir.join("archive");
        empty(&archive).with_context(|| format!("failed to empty {}", archive.display()))?;
        store::empty(&server.options).await.context("failed to empty the demo's database")?;
        let pool = server.migrated().await?;
        let sandbox = sandbox::Settings { speed, rows: ROWS, run_time: RUN_TIME, ..sandbox::Settings::default() };
        let sandbox = sandbox::start(sandbox, Clock::system()).await.context("failed to start the sandbox")?;
        let url = local_url(listener.local_addr()?);
        let key = home::admin_key(dir)?;
        let settings = app::Settings {
            public_url: url.clone(),
            dashboard_is_public: true,
            guard: Guard::new(&["127.0.0.0/8".parse()?, listener.local_addr()?.ip().into()]),
            proxy: None,
            download_hosts: DownloadHosts::default(),
            // The sandbox minds no haste.
            calls_per_second: 1000,
            quotas: Quotas::default(),
            keep: Keep::default(),
            door: callback::Settings::default(),
            // With an empty database there is nothing that an older key would have to open.
            keyring: Keyring::parse(&Keyring::generate())?,
            admin_key: None,
            local_key: Some(key.0.clone()),
            mail: mail(&sandbox)?,
            archive,
            sandbox_page: Some(sandbox.url().join("sandbox")?),
            metrics: Some(telemetry::metrics()),
        };
        let app = App::build(pool, Clock::system(), settings).await?;
        Ok(Self { app, sandbox, listeners: Some(Listeners { main: listener, admin: None }), url, key })
    }

    /// Says where to look while the house is open.
    pub(super) async fn say_places(&self) -> anyhow::Result<()> {
        let link = self.app.access.sign_in_link().await?;
        let dashboard = self.url.join("sign-in/")?.join(link.expose())?;
        say::about("dashboard", &format!("{dashboard}  (signs you in, once)"));
        say::about(
            "sandbox",
            &format!("{}  (what was called, mailed and posted)", self.sandbox.url().join("sandbox")?),
        );
        say::about("API", &format!("{}  (the key is in {})", self.url.join("api/v1")?, self.key.1.display()));
        Ok(())
    }

    /// Ends what runs beside the service.
    pub(super) async fn close(self) {
        self.sandbox.stop().await;
        self.app.pool.close().await;
    }
}

fn mail(sandbox: &Sandbox) -> anyhow::Result<Option<MailSettings>> {
    let address = sandbox.smtp_address().context("the sandbox catches no mails")?;
    let server = Secret::new(format!("smtp://{address}?tls=none"));
    MailSettings::parse(&server, SENDER).map(Some).map_err(anyhow::Error::msg)
}

fn empty(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
