//! SIGINT and SIGTERM: the first asks the process to stop, the second makes it.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::say;

/// What is in flight gets less than this by itself; it is the last resort.
const STOP_WITHIN: Duration = Duration::from_secs(19);
/// Whoever runs us may pass a signal on that we were sent already: so soon, it is the same one.
const SAME: Duration = Duration::from_millis(500);
const KILLED: i32 = 130;

/// A token that is cancelled at the first signal.
pub(super) fn stop() -> io::Result<CancellationToken> {
    let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    tokio::spawn(listen(interrupt, terminate, stop.clone()));
    Ok(stop)
}

async fn listen(mut interrupt: Signal, mut terminate: Signal, stop: CancellationToken) {
    next(&mut interrupt, &mut terminate).await;
    say::line("stopping; once more to stop at once");
    stop.cancel();
    tokio::time::sleep(SAME).await;
    while tokio::time::timeout(Duration::ZERO, next(&mut interrupt, &mut terminate)).await.is_ok() {}
    if tokio::time::timeout(STOP_WITHIN, next(&mut interrupt, &mut terminate)).await.is_err() {
        tracing::error!("what was in flight took too long to stop; it is done again after the next start");
    }
    std::process::exit(KILLED);
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
