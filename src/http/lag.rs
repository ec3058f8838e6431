//! How far behind each stage is: for the admin API, and for Prometheus.
//!
//! Read from the database, so that every replica tells the same. What piles up is counted no further than a limit, and each
//! query goes by an index or a table that has a row per report, so that asking stays cheap however much there is. The stages
//! are the only labels.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::db::{Due, Stored};
use crate::notification::store::{behind, deliveries};
use crate::{download, report};

/// What piles up is counted no further.
pub(super) const MOST_COUNTED: i64 = 10_000;

/// How far behind everything is.
#[derive(Debug)]
pub(super) struct Lag {
    /// Reports that were called and whose call no finished check covers, and the first of these calls.
    pub(super) unresolved: Due,
    /// What is due of each stage.
    pub(super) stages: [(&'static str, Due); 5],
}

impl Lag {
    pub(super) async fn read(conn: &mut PgConnection, now: DateTime<Utc>) -> Stored<Self> {
        Ok(Self {
            unresolved: report::store::lag::unresolved(conn).await?,
            stages: [
                ("register", report::store::lag::to_settle(conn, now, MOST_COUNTED).await?),
                ("discover", report::store::lag::to_check(conn, now, MOST_COUNTED).await?),
                ("download", download::store::due(conn, now, MOST_COUNTED).await?),
                ("fan_out", behind(conn, MOST_COUNTED).await?),
                ("deliver", deliveries::due(conn, now, MOST_COUNTED).await?),
            ],
        })
    }

    /// In the words of Prometheus. An age of nothing is 0.
    pub(super) fn render(&self, now: DateTime<Utc>) -> String {
        let age = |due: &Due| due.oldest_at.map_or(0.0, |at| (now - at).as_seconds_f64().max(0.0));
        let mut text = String::new();
        let mut gauge = |name: &str, about: &str, lines: &[(&str, f64)]| {
            // Writing to a text can't fail.
            let _ = writeln!(text, "# HELP {name} {about}\n# TYPE {name} gauge");
            for (label, value) in lines {
                let _ = writeln!(text, "{name}{label} {value}");
            }
        };
        let called = "Reports that were called and whose call no finished check covers.";
        gauge("tidings_unresolved_reports", called, &[("", count(&self.unresolved))]);
        let first = "Age of the oldest callback that no finished check covers.";
        gauge("tidings_oldest_unresolved_callback_seconds", first, &[("", age(&self.unresolved))]);
        let labels = self.stages.each_ref().map(|(stage, due)| (format!("{{stage=\"{stage}\"}}"), due));
        let each = |of: &dyn Fn(&Due) -> f64| labels.each_ref().map(|(label, due)| (label.as_str(), of(due)));
        gauge("tidings_due", "Pieces of work that are due, counted up to a limit.", &each(&count));
        gauge("tidings_oldest_due_seconds", "For how long the oldest of them is due.", &each(&age));
        text
    }
}

#[allow(clippy::cast_precision_loss, reason = "it is counted no further than some thousands, or per report")]
fn count(due: &Due) -> f64 {
    due.count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_shows_by_stage_with_its_age() {
        let now: DateTime<Utc> = "2026-01-05T08:00:00Z".parse().unwrap();
        let due = |count, seconds: i64| Due { count, oldest_at: Some(now - chrono::TimeDelta::seconds(seconds)) };
        let stages = [("register", due(1, 2)), ("discover", due(3, 90)), ("download", Due::default())];
        let [register, discover, download] = stages;
        let stages = [register, discover, download, ("fan_out", Due::default()), ("deliver", due(4, -5))];

        let text = Lag { unresolved: due(7, 30), stages }.render(now);

        for line in [
            "tidings_unresolved_reports 7",
            "tidings_oldest_unresolved_callback_seconds 30",
            "tidings_due{stage=\"discover\"} 3",
            "tidings_oldest_due_seconds{stage=\"discover\"} 90",
            "tidings_oldest_due_seconds{stage=\"download\"} 0",
            "tidings_oldest_due_seconds{stage=\"deliver\"} 0",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
    }
}
