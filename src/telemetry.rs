//! What can be watched from outside: the log on standard error, and the numbers behind `/metrics`.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Upper ends, in seconds: fixed buckets can be added up over replicas.
const BUCKETS: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0];
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Starts the log; a second start in the same process changes nothing.
pub fn start_log(filter: EnvFilter, json: bool) {
    let log = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // The only failure is that somebody else set up a log already.
    let _ = if json { log.json().flatten_event(true).try_init() } else { log.with_target(false).try_init() };
}

/// Starts to collect numbers; every call in the same process gives the same ones.
pub fn metrics() -> PrometheusHandle {
    let start = || {
        let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).expect("there are buckets");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("somebody else collects the numbers of this process; /metrics stays empty");
        }
        handle
    };
    METRICS.get_or_init(start).clone()
}

/// Puts what was measured into its buckets now and then; without it, it would pile up until somebody asks.
pub async fn upkeep(metrics: PrometheusHandle, stop: CancellationToken) {
    let mut timer = tokio::time::interval(UPKEEP_EVERY);
    while stop.run_until_cancelled(timer.tick()).await.is_some() {
        metrics.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_counted_shows_and_a_second_start_keeps_it() {
        let first = super::metrics();
        metrics::counter!("telemetry_test_total").increment(2);
        metrics::histogram!("telemetry_test_seconds").record(0.02);

        let second = super::metrics();

        for shown in [first.render(), second.render()] {
            assert!(shown.contains("telemetry_test_total 2"), "{shown}");
            assert!(shown.contains("telemetry_test_seconds_bucket{le=\"0.025\"} 1"), "{shown}");
        }
    }
}
