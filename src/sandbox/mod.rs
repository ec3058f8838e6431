//! An imitation of the Partner Insights API, its sign-in and its blob store, with a catcher for mail and chat beside them.
//!
//! It stands in for Microsoft in tests and in the demo, and is as strict as the documentation says that the real one is.
//! It shares no type with the client: the two meet on the wire only, or both would make the same mistake and agree on it.
//! Everything is in memory and bounded; it ends with the process. It checks credentials but protects nothing: its pages
//! and switches are open to whoever reaches its address, which is why it listens on this machine alone unless told.
//!
//! | path | what |
//! |---|---|
//! | `/{tenant}/oauth2/token`, `/{tenant}/oauth2/v2.0/token` | sign-in |
//! | `/insights/v1/mpn`, `/insights/v1/cmp`, `/insights/v1.1/cmp` | the API |
//! | `/blob/…` | files behind secure links |
//! | `/catch/slack/…`, `/catch/teams/…`, `/catch/webhook/…` | the catcher |
//! | `/sandbox` | the page |

mod api;
mod blob;
mod catcher;
mod clockwork;
mod datasets;
pub mod fault;
pub mod handle;
mod page;
mod rows;
mod rules;
mod sign_in;
mod smtp;
pub mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use axum::serve::ListenerExt;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

pub use fault::{Fault, UnknownFault};
pub use handle::Handle;
pub use page::router;

use crate::clock::Clock;
use crate::secret::{Keyring, Secret, digest};

const STOP_WITHIN: Duration = Duration::from_secs(1);

/// How a sandbox is to be. The defaults are a sample tenant on ports of this machine that happen to be free.
#[derive(Debug, Clone)]
pub struct Settings {
    pub listen: SocketAddr,
    /// None: no mail is caught.
    pub smtp_listen: Option<SocketAddr>,
    /// How others reach it, for secure links; none: by the address that it listens on.
    pub public_url: Option<Url>,
    pub tenant: String,
    pub client_id: String,
    pub client_secret: Secret,
    /// The first refresh token; each answer of the sign-in brings a newer one, and all of them stay good.
    pub refresh_token: Secret,
    pub username: String,
    pub password: Secret,
    /// How many times sooner than scheduled an occurrence is due.
    pub speed: f64,
    /// From the start of an execution to its end.
    pub run_time: Duration,
    /// Rows of each file.
    pub rows: u64,
    /// Each happens once; one that is listed twice happens twice.
    pub faults: Vec<Fault>,
    /// Whether time passes by itself; else only when [`Handle::tick`] is called.
    pub ticking: bool,
    /// The same seed gives the same rows.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: anywhere,
            smtp_listen: Some(anywhere),
            public_url: None,
            tenant: "5a4d8f0e-1111-4c6b-9b8e-000000000001".to_owned(),
            client_id: "5a4d8f0e-2222-4c6b-9b8e-000000000002".to_owned(),
            client_secret: Secret::new("sandbox-client-secret"),
            refresh_token: Secret::new("sandbox-refresh-token"),
            username: "reports@contoso.example".to_owned(),
            password: Secret::new("sandbox-password"),
            speed: 1.0,
            run_time: Duration::from_secs(2),
            rows: 1_000,
            faults: Vec::new(),
            ticking: true,
            seed: 1,
        }
    }
}

/// A running sandbox; it ends when it is stopped or dropped.
#[derive(Debug)]
pub struct Sandbox {
    /// The means to look into it and to change it.
    pub world: Handle,
    url: Url,
    smtp_address: Option<SocketAddr>,
    tasks: JoinSet<()>,
    stop: DropGuard,
}

impl Sandbox {
    /// Where it listens, with a slash at the end.
    pub fn url(&self) -> Url {
        self.url.clone()
    }

    /// Where mails are caught.
    pub fn smtp_address(&self) -> Option<SocketAddr> {
        self.smtp_address
    }

    /// Ends it: nothing listens when this returns, and what was under way had a second to finish.
    pub async fn stop(mut self) {
        drop(self.stop);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_WITHIN, ended).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

/// Starts a sandbox. Fails when an address is taken or the speed is no sensible number.
pub async fn start(settings: Settings, clock: Clock) -> io::Result<Sandbox> {
    if !(1e-3..=1e9).contains(&settings.speed) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the speed must be between 0.001 and 1000000000"));
    }
    let listener = TcpListener::bind(settings.listen).await?;
    let smtp_listener = match settings.smtp_listen {
        Some(address) => Some(TcpListener::bind(address).await?),
        None => None,
    };
    let smtp_address = smtp_listener.as_ref().map(TcpListener::local_addr).transpose()?;
    let url = Url::parse(&format!("http://{}/", listener.local_addr()?)).map_err(io::Error::other)?;
    let keys = keys(&settings.client_secret);
    let public_url = settings.public_url.clone().unwrap_or_else(|| url.clone());
    let world = Handle::new(settings, clock, public_url, keys).map_err(io::Error::other)?;

    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, all_routes(&world), stop.clone()));
    if let Some(listener) = smtp_listener {
        tasks.spawn(smtp::serve(listener, world.clone(), stop.clone()));
    }
    if world.settings().ticking {
        tasks.spawn(clockwork::keep_ticking(world.clone(), stop.clone()));
    }
    Ok(Sandbox { world, url, smtp_address, tasks, stop: stop.drop_guard() })
}

/// Keys that follow from the client's secret, so that tokens outlive a restart as the real ones outlive ours.
fn keys(client_secret: &Secret) -> Keyring {
    let key = Secret::new(STANDARD.encode(digest(client_secret)));
    Keyring::parse(&key).expect("a SHA-256 digest has the length of a key")
}

fn all_routes(world: &Handle) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/sandbox") }))
        .merge(sign_in::router(world.clone()))
        .merge(api::router(world.clone()))
        .merge(blob::router(world.clone()))
        .merge(catcher::router(world.clone()))
        .merge(router(world.clone()))
}

async fn serve(listener: TcpListener, routes: Router, stop: CancellationToken) {
    // Without it, small answers on a kept connection may wait for a delayed acknowledgement.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the sandbox stopped serving");
    }
}
