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
/// Characters of a name or a description.
pub(super) const MOST_TEXT: usize = 256;
/// Our own: runs of a report; with the longest interval that is thousands of years.
pub(super) const MOST_RUNS: i32 = 100_000;
/// Our own: bytes of a query.
pub(super) const LONGEST_QUERY: usize = 20_000;
/// Queries of a user, without the system's.
pub(super) const MOST_QUERIES: usize = 100;
/// Active reports of an account.
pub(super) const MOST_ACTIVE: usize = 50;
/// Reports of an account that run at once, made within [`AT_ONCE_WINDOW`].
pub(super) const MOST_AT_ONCE: usize = 5;
/// See [`MOST_AT_ONCE`].
pub(super) const AT_ONCE_WINDOW: TimeDelta = TimeDelta::minutes(60);
