//! What is counted of the door.
//!
//! A number is found by its name, which takes longer than to check a call. So those of a call that is recorded are found once.

use std::time::Duration;

use metrics::{Counter, Histogram};

/// The numbers of calls that are recorded.
pub struct Numbers {
    recorded: Counter,
    seconds: Histogram,
}

impl Numbers {
    /// Counts in whatever collects the numbers of this process by now.
    pub(super) fn find() -> Self {
        Self { recorded: of("recorded"), seconds: metrics::histogram!("tidings_callback_seconds") }
    }

    /// A call was recorded.
    pub fn recorded(&self) {
        self.recorded.increment(1);
    }

    /// A call, whatever became of it, has its answer after so long.
    pub fn took(&self, time: Duration) {
        self.seconds.record(time.as_secs_f64());
    }
}

/// How many calls there were with this outcome.
pub fn of(outcome: &'static str) -> Counter {
    metrics::counter!("tidings_callbacks_total", "verdict" => outcome)
}
