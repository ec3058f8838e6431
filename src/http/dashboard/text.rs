//! Numbers, sizes, durations and times as people read them.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::notification::message::bytes;

/// A moment: exact for machines, readable and relative for people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Moment {
    exact: String,
    shown: String,
    day: String,
    clock: String,
    ago: String,
    /// Whether it is not ahead any more.
    is_past: bool,
}

impl Moment {
    /// A moment as seen from `now`.
    pub(super) fn new(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            exact: at.to_rfc3339_opts(SecondsFormat::Millis, true),
            shown: at.format("%Y-%m-%d %H:%M:%S").to_string(),
            day: at.format("%Y-%m-%d").to_string(),
            clock: at.format("%H:%M:%S").to_string(),
            ago: ago(at, now),
            is_past: at <= now,
        }
    }
}

/// `12,431`.
pub(super) fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut shown = String::from(if number < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// The same as in messages.
pub(super) fn size(count: i64) -> String {
    bytes(u64::try_from(count).unwrap_or(0))
}

/// `84 ms`, `2.5 s`, `4 min`, `3 h`, `2 d`; what is negative counts as nothing.
pub(super) fn duration(duration: TimeDelta) -> String {
    let millis = duration.num_milliseconds().max(0);
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..10_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        10_000..120_000 => format!("{} s", millis / 1000),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        7_200_000..172_800_000 => format!("{} h", millis / 3_600_000),
        _ => format!("{} d", number(millis / 86_400_000)),
    }
}

fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let whole_seconds = |span: TimeDelta| TimeDelta::seconds(span.num_seconds());
    match (now - at).num_seconds() {
        0 => "just now".into(),
        1.. => format!("{} ago", short(whole_seconds(now - at))),
        _ => format!("in {}", short(whole_seconds(at - now))),
    }
}

fn short(span: TimeDelta) -> String {
    if span.num_seconds() < 10 { format!("{} s", span.num_seconds()) } else { duration(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_sizes_carry_their_unit() {
        let numbers = [0, 999, 1000, -12_431, 1_234_567].map(number);
        assert_eq!(numbers, ["0", "999", "1,000", "-12,431", "1,234,567"]);
        assert_eq!([0, 999, 3_449_999].map(size), ["0 bytes", "999 bytes", "3.3 MiB"]);
    }

    #[test]
    fn durations_are_as_exact_as_they_need_to_be() {
        let shown =
            [-5, 84, 2540, 59_000, 240_000, 10_800_000, 200_000_000].map(|ms| duration(TimeDelta::milliseconds(ms)));
        assert_eq!(shown, ["0 ms", "84 ms", "2.5 s", "59 s", "4 min", "3 h", "2 d"]);
    }

    #[test]
    fn a_moment_tells_how_long_ago_or_ahead_it_is() {
        let now: DateTime<Utc> = "2026-01-05T08:00:00Z".parse().unwrap();
        let ago = |seconds: i64| Moment::new(now - TimeDelta::milliseconds(seconds * 1000), now).ago;

        assert_eq!(
            [0_i64, 5, 90, 7200, -5, -90_000].map(ago),
            ["just now", "5 s ago", "90 s ago", "2 h ago", "in 5 s", "in 25 h"]
        );
        let moment = Moment::new(now, now);
        assert_eq!((moment.exact.as_str(), moment.shown.as_str()), ("2026-01-05T08:00:00.000Z", "2026-01-05 08:00:00"));
    }
}
