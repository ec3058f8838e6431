//! How often an account calls: so many calls a second, with a few at once after a rest.
//!
//! Each call passes here first and waits for its turn, in the order in which they came. Turns are counted by the timer that
//! also ends the wait, not by the [`crate::clock::Clock`]: a clock that stands still would let nobody pass.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many calls may follow each other at once after a rest.
const BURST: u32 = 40;

/// The pace of one account in this process.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    /// When all turns that were given are paid for.
    paid_until: Mutex<Option<Instant>>,
}

impl Pace {
    /// At most so many calls a second; at least one.
    pub fn new(calls_per_second: u32) -> Self {
        Self { interval: Duration::from_secs(1) / calls_per_second.max(1), paid_until: Mutex::default() }
    }

    /// Waits for the next turn.
    pub async fn turn(&self) {
        let turn = self.take(Instant::now());
        tokio::time::sleep_until(turn).await;
    }

    fn take(&self, now: Instant) -> Instant {
        let mut paid_until = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        let until = paid_until.map_or(now, |until| until.max(now)) + self.interval;
        *paid_until = Some(until);
        until.checked_sub(self.interval * BURST).map_or(now, |turn| turn.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_rest_a_few_calls_pass_at_once_and_the_others_at_the_pace() {
        let (pace, began) = (Pace::new(10), Instant::now());

        for _ in 0..BURST {
            pace.turn().await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        for _ in 0..20 {
            pace.turn().await;
        }
        assert!((1900..=2100).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());

        tokio::time::sleep(Duration::from_secs(60)).await;
        let rested = Instant::now();
        for _ in 0..BURST {
            pace.turn().await;
        }
        assert_eq!(rested.elapsed(), Duration::ZERO);
    }
}
