//! Taking over a report that exists at the API: it becomes ours as it is there, and an update gives it our address.
//!
//! What it made before is archived in silence. A report that carries an address with a token of ours was made by us (its rows
//! were lost): all it made is told. Nothing there changes before the register step sends the update, and whoever asks can see
//! first what that would change.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use url::Url;

use super::address::Addresses;
use super::schedule::{Schedule, next_start};
use super::store::adopted;
use super::terms::{Terms, print};
use super::{Difference, Draft, State};
use crate::clock::Clock;
use crate::db::Stored;
use crate::field::FieldErrors;
use crate::id::{AccountId, ReportId};
use crate::insights;

/// What the update of an adoption changes there.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Planned {
    /// `callback`, or a field of the report.
    pub field: String,
    /// What is there; of a callback address its host only.
    #[schema(value_type = Object)]
    pub from: Value,
    /// What would be there; of our callback address its tail only.
    #[schema(value_type = Object)]
    pub to: Value,
}

/// A report there that can be taken over, and how it shall be called.
#[derive(Debug)]
pub struct Adoption {
    pub(super) account_id: AccountId,
    pub(super) remote: insights::Report,
    /// The id it will have here: the one that its address names, if it was ours before.
    pub(super) id: ReportId,
    pub(super) was_ours: bool,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) state: State,
    address: Option<Url>,
    there: Terms,
}

impl Adoption {
    /// Checks what is asked for. `api` is where the API is, which tells whether it could call us.
    pub fn new(
        (account_id, api): (AccountId, &Url),
        remote: insights::Report,
        (name, description): (Option<String>, Option<String>),
        (addresses, clock): (&Addresses, &Clock),
    ) -> Result<Self, FieldErrors> {
        let owner = remote.callback_url.as_ref().and_then(|address| addresses.owner(address.expose()));
        let id = owner.unwrap_or_else(|| clock.new_id());
        let unsaid = Terms { format: "csv".into(), callback_method: "POST".into(), ..Terms::default() };
        let there = Terms::there(&remote, &unsaid);
        let name = name.unwrap_or_else(|| there.name.clone()).trim().to_owned();
        let description = description.or_else(|| there.description.clone());
        Draft::check_words(&name, description.as_deref())?;
        let state = match (remote.is_inactive(), remote.is_paused()) {
            (true, _) => State::Ended,
            (_, true) => State::Paused,
            _ => State::Registered,
        };
        let address = addresses.for_report(id, api);
        Ok(Self { account_id, remote, id, was_ours: owner.is_some(), name, description, state, address, there })
    }

    /// What the update would change there. A report that runs once, or has no run left, is not changed.
    pub fn changes(&self, addresses: &Addresses, now: DateTime<Utc>) -> Vec<Planned> {
        let goes_on = |schedule: &Schedule| self.state != State::Ended && self.has_a_run_left(schedule, now);
        let Some(schedule) = self.schedule().filter(goes_on) else { return Vec::new() };
        let current = self.address.as_ref().map(|address| print(address.as_str()));
        let mut wanted = Terms {
            name: self.name.clone(),
            description: self.description.clone(),
            callback: current.or_else(|| self.there.callback.clone()),
            ..self.there.clone()
        };
        if wanted == self.there {
            return Vec::new();
        }
        wanted.start_at = self.next_start(now);
        wanted.occurrences = schedule.occurrences.map(|count| count - schedule.passed(now));
        let mut differences = wanted.differences(&self.there);
        if wanted.callback != self.there.callback {
            differences.push(Difference::new("callback", addresses.tail(self.id), self.remote.callback_host()));
        }
        differences
            .into_iter()
            .map(|Difference { field, ours, theirs }| Planned { field, from: theirs, to: ours })
            .collect()
    }

    /// The runs that the update would take away.
    pub fn warnings(&self, addresses: &Addresses, now: DateTime<Utc>) -> Vec<String> {
        match (self.schedule(), self.next_start(now)) {
            (Some(schedule), Some(next)) if self.state == State::Registered => {
                let changes = !self.changes(addresses, now).is_empty();
                if changes { super::draft::lost(&schedule, next, now) } else { Vec::new() }
            }
            _ => Vec::new(),
        }
    }

    /// Makes it ours; the step sends the update. A report that was adopted meanwhile violates
    /// `registrations_remote_id_key`.
    pub async fn take(&self, conn: &mut PgConnection, clock: &Clock, addresses: &Addresses) -> Stored<ReportId> {
        let amend = !self.changes(addresses, clock.now()).is_empty();
        adopted::insert(conn, clock, self, (&self.there, amend)).await?;
        Ok(self.id)
    }

    pub(super) fn schedule(&self) -> Option<Schedule> {
        self.there.schedule()
    }

    fn has_a_run_left(&self, schedule: &Schedule, now: DateTime<Utc>) -> bool {
        let ends_before = schedule.end_at.zip(self.next_start(now)).is_some_and(|(end, next)| end < next);
        schedule.occurrences.is_none_or(|count| count > schedule.passed(now)) && !ends_before
    }

    fn next_start(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        Some(next_start(self.there.start_at?, self.there.interval_hours?, now))
    }
}
