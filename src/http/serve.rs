//! Accepts connections and serves them, by HTTP/1.1 and by HTTP/2 without TLS, as a proxy in front speaks it.
//!
//! `axum::serve` is not used because a callback must be recorded even when its caller closed its side before we read
//! (`half_close`). The number of connections is bounded, and so is what each may make us hold. One that says nothing for 10 s,
//! at first or between two requests, is closed, so that silence can't hold all places.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const MOST_CONNECTIONS: usize = 8192;
/// Half of the open files are for connections; the rest is for the database, the archive and what we call.
const OPEN_FILES: u64 = 2 * MOST_CONNECTIONS as u64;
/// No longer silence; and a request's head must be there by then.
const PATIENCE: Duration = Duration::from_secs(10);
/// The head of a request; what is larger is answered 431.
const MOST_HEADER_BYTES: usize = 16 * 1024;
/// Requests that are under way together on one connection of HTTP/2, and what each may have sent unread.
const MOST_STREAMS: u32 = 100;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;
/// What HTTP/2 begins with; no request of HTTP/1 does. It is waited for as a whole, as hyper would wait for the rest for ever.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Twice as long each time.
const PREFACE_PAUSE: Duration = Duration::from_millis(5);
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);
/// Connections get this long to end when the process stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves `router` on `listener` until told to stop; connections get ten seconds to end.
pub async fn accept(listener: TcpListener, router: Router, stop: CancellationToken) {
    let most = connections();
    let places = Arc::new(Semaphore::new(most));
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
        let (router, stop) = (router.clone(), stop.clone());
        tokio::spawn(async move {
            serve(stream, peer, router, stop, PATIENCE).await;
            drop(place);
        });
    }
    drop(listener);
    // All places are free when all connections have ended.
    let all = places.acquire_many(u32::try_from(most).unwrap_or(u32::MAX));
    if tokio::time::timeout(DRAIN, all).await.is_err() {
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

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken, patience: Duration) {
    let _ = stream.set_nodelay(true);
    let told_apart = stop.run_until_cancelled(tokio::time::timeout(patience, is_http2(&stream))).await;
    let Some(Ok(Ok(is_http2))) = told_apart else { return };
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        counted.fetch_add(1, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(Body::new))
    });
    let stream = TokioIo::new(stream);
    if is_http2 {
        let connection = http2(patience).serve_connection(stream, service);
        let enough = async {
            stop.run_until_cancelled(silence(&requests, patience)).await;
        };
        converse(connection, enough).await;
    } else {
        converse(http1(patience).serve_connection(stream, service), stop.cancelled()).await;
    }
}

/// Looks at what comes first and leaves it there. Looking again is on a timer, for what was seen once can't be awaited; it is
/// rare that a connection begins with a part of the preface.
async fn is_http2(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    let mut pause = PREFACE_PAUSE;
    loop {
        let length = stream.peek(&mut first).await?;
        if length == 0 || !PREFACE.starts_with(&first[..length]) {
            return Ok(false);
        }
        if length == PREFACE.len() {
            return Ok(true);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

fn http1(patience: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(MOST_HEADER_BYTES).half_close(true);
    builder
}

fn http2(patience: Duration) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(patience)
        .keep_alive_timeout(patience)
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(u32::try_from(MOST_HEADER_BYTES).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(STREAM_WINDOW as usize);
    builder
}

/// Ends when no request came for so long.
async fn silence(requests: &AtomicUsize, patience: Duration) {
    let mut before = usize::MAX;
    while before != requests.load(Ordering::Relaxed) {
        before = requests.load(Ordering::Relaxed);
        tokio::time::sleep(patience).await;
    }
}

/// Serves a connection until it ends, or until `enough` and what is under way then.
async fn converse<C>(connection: C, enough: impl Future<Output = ()>)
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = enough => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What is read until the end from a connection that was sent `first` and then nothing.
    async fn after(first: &[u8]) -> Vec<u8> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        tokio::spawn(serve(stream, peer, Router::new(), CancellationToken::new(), Duration::from_millis(50)));
        silent.write_all(first).await.unwrap();
        let mut answer = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(5), silent.read_to_end(&mut answer)).await;
        assert!(end.is_ok(), "still open");
        answer
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_more_is_closed_in_either_protocol() {
        after(b"").await;
        after(b"P").await;
        after(b"PRI * HT").await;
        after(b"POST / HTTP/1.1\r\nHost: ").await;
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let answer = after(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat()).await;
        assert_eq!(answer.get(3), Some(&4), "the other side's settings come first: {answer:?}");
    }

    #[tokio::test]
    async fn a_connection_that_was_not_told_apart_yet_does_not_hold_up_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let stop = CancellationToken::new();
        let accepting = tokio::spawn(accept(listener, Router::new(), stop.clone()));
        silent.writable().await.unwrap();

        stop.cancel();

        assert!(tokio::time::timeout(Duration::from_secs(5), accepting).await.is_ok());
    }
}
