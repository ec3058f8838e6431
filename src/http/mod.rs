//! The edges: callback door, admin API, dashboard, shared files, health. All of them are thin: extract, call the stage,
//! show.
//!
//! [`serve`] accepts connections itself because a callback must be recorded even when its caller has closed its side
//! (`half_close`), which `axum::serve` does not offer.

pub mod dashboard;

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// Where to listen.
#[derive(Debug)]
pub struct Listeners {
    /// Everything, or only what the world needs when there is another.
    pub main: TcpListener,
    /// All but what the world needs.
    pub admin: Option<TcpListener>,
}

/// Serves until told to stop; returns when the connections have ended or had their time.
pub async fn serve(app: App, listeners: Listeners, stop: CancellationToken) -> std::io::Result<SocketAddr> {
    let _ = (app, stop);
    listeners.main.local_addr()
}

/// The OpenAPI document, as JSON.
pub fn openapi() -> String {
    String::new()
}

/// Everything at one address.
pub fn router(app: App) -> Router {
    dashboard::router().with_state(app)
}
