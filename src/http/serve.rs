//! Accepts connections and serves them, by HTTP/1.1.
//!
//! `axum::serve` is not used because a callback must be recorded even when its caller closed its side before we read
//! (`half_close`). The number of connections is bounded; one that says nothing for 10 s, at first or between two requests,
//! is closed, so that silence can't hold all places. HTTP/2 is left to the proxy in front: telling the two apart would wait
//! for the first bytes without a limit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const MOST_CONNECTIONS: usize = 8192;
/// Half of the open files are for connections; the rest is for the database, the archive and what we call.
const OPEN_FILES: u64 = 2 * MOST_CONNECTIONS as u64;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MOST_HEADER_BYTES: usize = 64 * 1024;
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);
/// Connections get this long to end when the process stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves `router` on `listener` until told to stop; connections get ten seconds to end.
pub async fn accept(listener: TcpListener, router: Router, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(connections()));
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
            serve(stream, peer, router, watched, HEADER_TIMEOUT).await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were cut off");
    }
}

/// How many connections there may be. Each is an open file, and an ordinary user's process begins with a thousand of them:
/// as many as are allowed are asked for.
fn connections() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return MOST_CONNECTIONS };
    let wanted = OPEN_FILES.min(hard).max(soft);
    let files = if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() { wanted } else { soft };
    usize::try_from(files / 2).unwrap_or(MOST_CONNECTIONS).min(MOST_CONNECTIONS)
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, watched: Watcher, header_timeout: Duration) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MOST_HEADER_BYTES)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watched.watch(connection).await {
        tracing::debug!(%error, "a connection ended badly");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_says_nothing_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let graceful = GracefulShutdown::new();
        tokio::spawn(serve(stream, peer, Router::new(), graceful.watcher(), Duration::from_millis(20)));

        let end = tokio::time::timeout(Duration::from_secs(5), silent.read_to_end(&mut Vec::new())).await;

        assert!(end.is_ok(), "still open");
    }
}
