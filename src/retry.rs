//! What may succeed later and what never will, and how long to wait in between.
//!
//! Whoever knows decides: `insights` and `channel` make a [`Failure`]; nobody above looks at its text to find out.

use std::time::Duration;

use rand::RngExt;

/// What failed is never repeated in the same moment.
const LEAST_WAIT: Duration = Duration::from_millis(100);

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// May succeed later.
    Transient,
    /// Never will, as things are.
    Permanent,
}

/// Why something failed, in words that an admin may read: no secret, no address with a token in it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// Whether trying again can help.
    pub kind: Kind,
    /// How long the other side asked us to wait.
    pub after: Option<Duration>,
    /// A lower-case fragment that fits after "failed: ".
    pub text: String,
}

impl Failure {
    /// A failure that may pass.
    pub fn transient(text: impl Into<String>) -> Self {
        Self { kind: Kind::Transient, after: None, text: text.into() }
    }

    /// A failure that stays.
    pub fn permanent(text: impl Into<String>) -> Self {
        Self { kind: Kind::Permanent, after: None, text: text.into() }
    }

    /// The same, with the wait that the other side asked for.
    #[must_use]
    pub fn after(mut self, after: Option<Duration>) -> Self {
        self.after = after;
        self
    }

    /// Whether it stays.
    pub fn is_permanent(&self) -> bool {
        self.kind == Kind::Permanent
    }
}

/// Waits anywhere between nothing and a bound that doubles up to a longest one: what failed together comes back spread out.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The longest wait after the first failure.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
}

impl Backoff {
    /// Calls to Microsoft, and downloads.
    pub const MICROSOFT: Self = Self { first: Duration::from_secs(5), longest: Duration::from_secs(300) };

    /// How long to wait after failure number `attempt` (1 is the first).
    pub fn wait(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(20);
        let bound = self.first.saturating_mul(1 << doublings).min(self.longest);
        bound.mul_f64(rand::rng().random_range(0.0..=1.0)).max(LEAST_WAIT)
    }
}

/// The wait shortened by up to a quarter, so that what failed together does not come back together.
pub fn with_jitter(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.75..=1.0))
}

/// A duration that comes from another's `Retry-After`, kept within what is sane.
pub fn bounded(after: Duration, least: Duration, most: Duration) -> Duration {
    after.clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_from_nothing_to_a_bound_that_doubles_from_five_seconds_to_five_minutes() {
        for (attempt, bound) in [(1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (30, 300)] {
            let waits: Vec<Duration> = (0..1000).map(|_| Backoff::MICROSOFT.wait(attempt)).collect();
            let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            let bound = Duration::from_secs(bound);
            assert!(*most <= bound && *most > bound.mul_f64(0.9), "{attempt}: at most {most:?}");
            assert!(*least >= LEAST_WAIT && *least < bound.mul_f64(0.1), "{attempt}: at least {least:?}");
        }
    }
}
