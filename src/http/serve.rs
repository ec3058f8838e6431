//! Accepts connections and serves them.
//!
//! `axum::serve` is not used because a callback must be recorded even when its caller closed its side before we read
//! (`half_close`). Headers must come within 10 s, and the number of connections is bounded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const MOST_CONNECTIONS: usize = 8192;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MOST_HEADER_BYTES: usize = 64 * 1024;
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);
/// Connections get this long to end when the process stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves `router` on `listener` until told to stop; connections get ten seconds to end.
pub(super) async fn accept(listener: TcpListener, router: Router, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            Ok(place) = places.clone().acquire_owned() => place,
        };
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // Out of file descriptors, or a peer that is gone already.
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                    continue;
                }
            },
        };
        let watched = graceful.watcher();
        let router = router.clone();
        tokio::spawn(async move {
            serve(stream, peer, router, watched).await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were cut off");
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, watched: hyper_util::server::graceful::Watcher) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MOST_HEADER_BYTES)
        .half_close(true);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(200).keep_alive_interval(Some(HEADER_TIMEOUT));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    if let Err(error) = watched.watch(connection.into_owned()).await {
        tracing::debug!(%error, "a connection ended badly");
    }
}
