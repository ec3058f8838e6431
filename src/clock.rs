//! The only place that asks for the time.
//!
//! SQL gets its times as parameters from here, so that a test sets one clock and everything follows.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};

use crate::id::{Id, Sequence};

/// Tells the time, in microseconds as Postgres keeps them.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    set: Option<Arc<Hands>>,
}

/// Of a clock that is moved. It has ids of its own: it does not go along with the machine's clock, nor with another one.
#[derive(Debug)]
struct Hands {
    micros: AtomicI64,
    ids: Sequence,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands still until it is moved; its clones move with it.
    pub fn set_at(at: DateTime<Utc>) -> Self {
        let hands = Hands { micros: AtomicI64::new(at.timestamp_micros()), ids: Sequence::default() };
        Self { set: Some(Arc::new(hands)) }
    }

    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.set {
            None => Utc::now().trunc_subsecs(6),
            Some(hands) => {
                DateTime::from_timestamp_micros(hands.micros.load(Ordering::SeqCst)).unwrap_or(DateTime::UNIX_EPOCH)
            }
        }
    }

    /// Moves a clock that was made by [`Clock::set_at`]; the machine's clock can't be moved and ignores it.
    pub fn advance(&self, by: Duration) {
        if let Some(hands) = &self.set {
            let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            hands.micros.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// Sets back a clock that was made by [`Clock::set_at`], as an operator or a time server would.
    pub fn set_back(&self, by: Duration) {
        if let Some(hands) = &self.set {
            let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            hands.micros.fetch_sub(by, Ordering::SeqCst);
        }
    }

    /// A fresh id that sorts after all ids made before now.
    pub fn new_id<I: Id>(&self) -> I {
        match &self.set {
            None => I::at(self.now()),
            Some(hands) => I::of(&hands.ids, self.now()),
        }
    }
}
