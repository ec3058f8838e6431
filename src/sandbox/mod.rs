//! An imitation of the Partner Insights API, its sign-in and its blob store, with a catcher for mail and chat beside them.
//!
//! It stands in for Microsoft in tests and in the demo, and is as strict as the documentation says that the real one is.
//! It shares no type with the client: the two meet on the wire only, or both would make the same mistake and agree on it.
//! Everything is in memory and bounded; it ends with the process. It checks credentials but protects nothing: its pages
//! and switches are open to whoever reaches its address, which is why it listens on this machine alone unless told.
//!
//! | path | what |
//! |---|---|
//! | `/{tenant}/oauth2/token`, `/{tenant}/oauth2/v2.0/token`, `/{tenant}/oauth2/v2.0/devicecode` | sign-in |
//! | `/insights/v1/mpn`, `/insights/v1/cmp`, `/insights/v1.1/cmp`, `/analytics/cmp` | the API |
//! | `/blob/…` | files behind secure links |
//! | `/catch/slack/…`, `/catch/teams/…`, `/catch/webhook/…` | the catcher |
//! | `/sandbox`, `/sandbox/device` | the page, and where a person confirms a device code |

mod address;
mod api;
mod blob;
mod callback;
mod catcher;
mod clockwork;
mod control;
mod datasets;
pub mod fault;
pub mod handle;
mod ids;
mod language;
mod page;
mod rows;
mod rules;
pub mod settings;
mod sign_in;
mod smtp;
pub mod world;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Redirect;
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Router, ServiceExt};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

pub use fault::{Fault, Planned, UnknownFault};
pub use handle::Handle;
pub use page::router;
pub use settings::{Account, Audience, Casing, DefaultExecutions, Encoding, NextLinks, Settings};

use crate::clock::Clock;
use crate::secret::{Keyring, Secret, digest};

const STOP_WITHIN: Duration = Duration::from_secs(1);

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

/// Starts a sandbox. Fails when an address is taken, the speed or the time is not sensible or a certificate can't be read.
pub async fn start(settings: Settings, clock: Clock) -> io::Result<Sandbox> {
    check(&settings).map_err(|text| io::Error::new(io::ErrorKind::InvalidInput, text))?;
    let listener = TcpListener::bind(settings.listen).await?;
    let smtp_listener = match settings.smtp_listen {
        Some(address) => Some(TcpListener::bind(address).await?),
        None => None,
    };
    let smtp_address = smtp_listener.as_ref().map(TcpListener::local_addr).transpose()?;
    let url = Url::parse(&format!("http://{}/", listener.local_addr()?)).map_err(io::Error::other)?;
    let keys = keys(&settings.accounts[0].client_secret);
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

fn check(settings: &Settings) -> Result<(), &'static str> {
    if !(1e-3..=1e9).contains(&settings.speed) {
        return Err("the speed must be between 0.001 and 1000000000");
    }
    if settings.now.is_some_and(|now| !handle::time_range().contains(&now)) {
        return Err("the time must be between 1970 and 9000");
    }
    let is_bad = |account: &Account| account.certificate.as_deref().is_some_and(|pem| !sign_in::is_certificate(pem));
    if settings.accounts.is_empty() {
        return Err("somebody must be able to sign in");
    }
    if settings.accounts.iter().any(is_bad) {
        return Err("a certificate must be one of an RSA key, as PEM");
    }
    Ok(())
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
    let routes = tower::ServiceExt::<Request>::map_request(routes, address::straightened);
    let routes = ServiceExt::<Request>::into_make_service(routes);
    let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the sandbox stopped serving");
    }
}
