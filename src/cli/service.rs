//! The running service: edges and worker side by side, until told to stop.

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::http::{self, Listeners};
use crate::{telemetry, worker};

/// Serves and works. When one part ends, the others are told to stop; the first error is the answer.
pub async fn run(app: App, listeners: Listeners, stop: CancellationToken) -> anyhow::Result<()> {
    let mut parts: JoinSet<anyhow::Result<()>> = JoinSet::new();
    if let Some(metrics) = app.metrics.clone() {
        let stop = stop.clone();
        parts.spawn(async { Ok(telemetry::upkeep(metrics, stop).await) });
    }
    parts.spawn({
        let (app, stop) = (app.clone(), stop.clone());
        async { Ok(worker::run(app, stop).await) }
    });
    parts.spawn({
        let stop = stop.clone();
        async { http::serve(app, listeners, stop).await.map(drop).context("failed to serve") }
    });
    let mut result = Ok(());
    while let Some(ended) = parts.join_next().await {
        stop.cancel();
        let ended = ended.context("a part of the service broke").flatten();
        result = result.and(ended);
    }
    result
}
