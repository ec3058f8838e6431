//! The edges: callback door, admin API, dashboard, shared files, health. All of them are thin: extract, call the stage,
//! show.

pub mod api;
mod callback;
mod content;
pub mod dashboard;
mod docs;
mod error;
mod extract;
mod gate;
mod health;
mod lag;
mod public;
mod serve;
mod source;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::HeaderValue;
use axum::http::header::{REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::map_request;
use axum::response::IntoResponse;
use axum::routing::{any, get};
use futures_util::{StreamExt, stream};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::app::App;

pub use serve::accept;

/// The whole body of a request must be there by then; the callback door takes what came in a shorter time.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Where to listen.
#[derive(Debug)]
pub struct Listeners {
    /// Everything, or only what the world needs when there is another.
    pub main: TcpListener,
    /// All but what the world needs.
    pub admin: Option<TcpListener>,
}

/// Serves until told to stop; returns when the connections have ended or had their time.
pub async fn serve(app: App, listeners: Listeners, stop: CancellationToken) {
    let (told, stopping) = (stop.clone(), app.stopping.clone());
    tokio::spawn(async move {
        told.cancelled().await;
        stopping.cancel();
    });
    match listeners.admin {
        None => serve::accept(listeners.main, router(app), stop).await,
        Some(admin) => {
            let world =
                serve::accept(listeners.main, finish(world(), app.clone()).merge(door(app.clone())), stop.clone());
            let inside = inside(app.clone()).route("/healthz", get(health::live));
            let inside = serve::accept(admin, finish(inside, app), stop);
            tokio::join!(world, inside);
        }
    }
}

/// Everything at one address.
pub fn router(app: App) -> Router {
    finish(world().merge(inside(app.clone())), app.clone()).merge(door(app))
}

/// The OpenAPI document, as JSON.
pub fn openapi() -> String {
    api::document().to_pretty_json().expect("the document is made of plain values")
}

/// The callback door, without the layers around the rest: it bounds what it reads by itself, and each layer costs.
fn door(app: App) -> Router {
    Router::new().route("/callbacks/{*rest}", any(callback::take)).with_state(app)
}

fn world() -> Router<App> {
    Router::new()
        .route("/files/{signed}", get(public::shared))
        .route("/unsubscribe/{signed}", get(public::ask_unsubscribe).post(public::unsubscribe))
        .route("/healthz", get(health::live))
}

fn inside(app: App) -> Router<App> {
    Router::new()
        .nest("/api/v1", api::router(app))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/docs", get(docs::page))
        .route("/openapi.json", get(docs::document))
        .merge(dashboard::router())
}

fn finish(router: Router<App>, app: App) -> Router {
    router
        .layer(DefaultBodyLimit::max(gate::MOST_BODY))
        .layer(map_request(|request: Request| async { request.map(|body| in_time(body, BODY_TIMEOUT)) }))
        .layer(CatchPanicLayer::custom(|_| error::ApiError::Internal.into_response()))
        .layer(SetResponseHeaderLayer::if_not_present(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .layer(SetResponseHeaderLayer::if_not_present(REFERRER_POLICY, HeaderValue::from_static("no-referrer")))
        .with_state(app)
}

/// A body that breaks off when it takes longer than `most`, however steadily it trickles.
fn in_time(body: Body, most: Duration) -> Body {
    let until = tokio::time::Instant::now() + most;
    Body::from_stream(stream::unfold(body.into_data_stream(), move |mut body| async move {
        let chunk = tokio::time::timeout_at(until, body.next()).await;
        Some((chunk.unwrap_or_else(|late| Some(Err(axum::Error::new(late))))?, body))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_trickles_breaks_off_and_one_in_time_is_whole() {
        let trickle = stream::repeat(()).then(|()| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok::<_, std::io::Error>("x")
        });
        let late = in_time(Body::from_stream(trickle), Duration::from_millis(40));
        let late = tokio::time::timeout(Duration::from_secs(5), axum::body::to_bytes(late, 1 << 20)).await;
        let whole = axum::body::to_bytes(in_time(Body::from("whole"), Duration::from_secs(5)), 1 << 20).await;

        assert!(late.unwrap().is_err());
        assert_eq!(whole.unwrap(), "whole");
    }
}
