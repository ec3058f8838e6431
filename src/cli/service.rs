//! The running service: edges and worker side by side, until told to stop.

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::http::{self, Listeners};
use crate::{telemetry, worker};

/// Serves and works. When one part ends, whatever the reason, the others are told to stop.
pub(super) async fn run(app: App, listeners: Listeners, stop: CancellationToken) -> anyhow::Result<()> {
    let mut parts = JoinSet::new();
    if let Some(metrics) = app.metrics.clone() {
        parts.spawn(telemetry::upkeep(metrics, stop.clone()));
    }
    parts.spawn(worker::run(app.clone(), stop.clone()));
    parts.spawn(http::serve(app, listeners, stop.clone()));
    let mut result = Ok(());
    while let Some(ended) = parts.join_next().await {
        stop.cancel();
        result = result.and(ended.context("a part of the service broke"));
    }
    result
}
