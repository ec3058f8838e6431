//! The quotas of the API, counted right before a report is created.
//!
//! Too many active reports only a person can mend: the report is refused with what to do. Too many that run at once is a matter
//! of time: the report waits until the window frees. What other steps are creating at this moment counts too, in the order of
//! ids, so that a burst is not refused there for what could have waited.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::Report;
use super::limits::{AT_ONCE_WINDOW, Quotas};
use super::store::{Claimed, settle};
use crate::db::Stored;
use crate::insights;

/// When those that are being created have ended.
const SOON: TimeDelta = TimeDelta::seconds(30);

/// The API counts those that others made as well, and does not say when one more is taken.
pub(super) const FREES: TimeDelta = TimeDelta::minutes(10);

/// Whether a report may be created.
#[derive(Debug, PartialEq)]
pub(super) enum Room {
    /// It may.
    Free,
    /// Not before this time, for this reason.
    From(DateTime<Utc>, String),
    /// Not before somebody makes room.
    None(String),
}

/// Counts what there is.
pub(super) async fn room(
    conn: &mut PgConnection,
    claim: &Claimed,
    report: &Report,
    there: &[insights::Report],
    quotas: Quotas,
    now: DateTime<Utc>,
) -> Stored<Room> {
    let rivals = settle::rivals(conn, claim, now).await?;
    let active = there.iter().filter(|remote| remote.is_active()).count();
    let made = if report.execute_now {
        settle::made_at_once(conn, claim, now - AT_ONCE_WINDOW, quotas.at_once).await?
    } else {
        Vec::new()
    };
    Ok(judge(quotas, active, report.execute_now.then_some(&made), rivals, now))
}

/// Whether the API refused a report because too many run at once already: a matter of time.
pub(super) fn is_of_those_at_once(error: &insights::Error) -> bool {
    matches!(error, insights::Error::Refused { message, .. }
        if message.to_ascii_lowercase().contains("executenow report creation quota"))
}

/// `made`: when reports were made that ran at once, newest first. `rivals`: of all kinds, and that run at once.
fn judge(
    quotas: Quotas,
    active: usize,
    made: Option<&Vec<DateTime<Utc>>>,
    rivals: (usize, usize),
    now: DateTime<Utc>,
) -> Room {
    let Quotas { reports, at_once, .. } = quotas;
    if active >= reports {
        return Room::None(format!(
            "the account has {active} active reports, and the API takes {reports}: pause or delete one of them, then resume \
             this one"
        ));
    }
    if let Some(made) = made
        && made.len() + rivals.1 >= at_once
    {
        let frees_at = made.get(at_once - 1).map_or(now + SOON, |oldest| *oldest + AT_ONCE_WINDOW);
        let why =
            format!("the API takes {at_once} reports that run at once in 60 minutes; this one waits for its turn");
        return Room::From(frees_at, why);
    }
    if active + rivals.0 >= reports {
        return Room::From(now + SOON, format!("others are being created, and the API takes {reports} active reports"));
    }
    Room::Free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_being_created_count_but_refuse_nothing() {
        let now: DateTime<Utc> = "2026-01-05T08:00:00Z".parse().unwrap();
        let ago = |minutes| now - TimeDelta::minutes(minutes);
        let documented = Quotas::default();

        assert_eq!(judge(documented, 49, None, (0, 0), now), Room::Free);
        assert_eq!(judge(Quotas { reports: 51, ..documented }, 50, None, (0, 0), now), Room::Free);
        assert!(matches!(judge(documented, 50, None, (0, 0), now), Room::None(_)));
        assert!(matches!(judge(documented, 48, None, (2, 0), now), Room::From(at, _) if at == now + SOON));
        assert_eq!(judge(documented, 0, Some(&vec![ago(1)]), (3, 3), now), Room::Free);
        assert!(
            matches!(judge(documented, 0, Some(&vec![ago(1)]), (4, 4), now), Room::From(at, _) if at == now + SOON)
        );
        let five = [1, 2, 3, 4, 50].map(ago).to_vec();
        assert!(
            matches!(judge(documented, 5, Some(&five), (0, 0), now), Room::From(at, _) if at == now + TimeDelta::minutes(10))
        );
    }
}
