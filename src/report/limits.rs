//! The documented limits of the API, in one place (reference of the API).

use std::ops::RangeInclusive;

use chrono::TimeDelta;

/// A scheduled report can start this long after it is sent at the soonest.
pub const LEAD: TimeDelta = TimeDelta::hours(4);
/// For the way there, and for clocks that differ: a start that we choose is this much later than it need be.
pub const MARGIN: TimeDelta = TimeDelta::minutes(5);
/// A start chosen a moment ago is still sent with this much of the margin left: another would be an interval later.
pub(super) const LEAST_MARGIN: TimeDelta = TimeDelta::minutes(1);
/// Hours between runs.
pub(super) const INTERVALS: RangeInclusive<i32> = 4..=2160;
/// Our own: hours after which a report is late.
pub(super) const GRACES: RangeInclusive<i32> = 1..=2160;
/// Our own: the same where nothing is said.
pub const GRACE: i32 = 2;
/// Characters of a name or a description.
pub(super) const MOST_TEXT: usize = 256;
/// Our own: runs of a report; with the longest interval that is thousands of years.
pub(super) const MOST_RUNS: i32 = 100_000;
/// Our own: bytes of a query.
pub(super) const LONGEST_QUERY: usize = 20_000;
/// See [`Quotas::at_once`].
pub(super) const AT_ONCE_WINDOW: TimeDelta = TimeDelta::minutes(60);

/// How much the API lets one account have. The default is what the marketplace documents; nothing public says whether Partner
/// Insights keeps to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Active reports.
    pub reports: usize,
    /// Reports that run at once, made within 60 minutes.
    pub at_once: usize,
    /// Queries, without the system's.
    pub queries: usize,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { reports: 50, at_once: 5, queries: 100 }
    }
}
