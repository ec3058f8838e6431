//! Brings the API into line with what we want of a report.
//!
//! A creation is not safe to repeat blindly, so each try first looks there for a report that carries our address for this
//! one (or, where we have no address, its exact name and query), and takes that. The quotas are counted before. A refusal ends
//! the try: the report is `rejected` with the API's own words, and `resume` or a change tries again. A change that comes while
//! a step is at work takes its claim away; what the step made there is found by its address and made anew.

use chrono::TimeDelta;
use sqlx::PgPool;
use url::Url;

use super::address::Addresses;
use super::limits::Quotas;
use super::quota::{self, Room};
use super::store::settle::{self, Left};
use super::store::{self, Claimed, checks, queries};
use super::{Report, State, Terms, There, amend, lifecycle, tidy};
use crate::account;
use crate::account::session::{CallError, Sessions};
use crate::clock::Clock;
use crate::db::{StoreError, Stored, lease};
use crate::insights;
use crate::retry::Backoff;
use crate::wake::{Topic, Wake};

/// What is there and was refused a change is asked for again: what stood in its way may have gone.
const AFTER_REFUSAL: TimeDelta = TimeDelta::hours(1);
/// The API's clock is at most this far behind ours.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(5);

const NO_RUN_LEFT: &str = "no run of it is left: give it more occurrences, a later end_at or none, and resume it";

/// The step that registers, changes, pauses, resumes and deletes there.
#[derive(Debug, Clone)]
pub struct Register {
    /// Where our rows are.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// The door to Microsoft.
    pub sessions: Sessions,
    /// Our callback addresses.
    pub addresses: Addresses,
    /// Who is to be woken.
    pub wake: Wake,
    /// How much an account may have there.
    pub quotas: Quotas,
}

impl Register {
    /// Claims up to `limit` reports that are not as we want them.
    pub async fn claim(&self, limit: i64) -> Stored<Vec<Claimed>> {
        settle::claim(&mut *self.pool.acquire().await?, self.clock.now(), limit).await
    }

    /// Does one thing for one report, and records what came of it.
    pub async fn perform(&self, claim: Claimed) -> Stored<()> {
        let renew = || async { settle::renew(&mut *self.pool.acquire().await?, &claim, self.clock.now()).await };
        match lease::while_renewing(Box::pin(self.act(&claim)), renew).await? {
            Ok(()) => tidy::delete_leftovers(&self.pool, &self.sessions, claim.account_id).await?,
            Err(CallError::Store(error)) => return Err(error),
            Err(CallError::Waiting(why)) => {
                let mut conn = self.pool.acquire().await?;
                settle::later(&mut conn, &claim, Some(&why), self.clock.now(), false).await?;
            }
            Err(CallError::Api(error)) => self.failed(&claim, &error).await?,
        }
        // More may be left to do: a report made anew is deleted first, then created.
        self.wake.hint(Topic::Reports);
        self.wake.hint(Topic::Checks);
        Ok(())
    }

    /// Gives a report back that was not finished with.
    pub async fn release(&self, claim: Claimed) -> Stored<()> {
        settle::release(&mut *self.pool.acquire().await?, &claim).await
    }

    async fn act(&self, claim: &Claimed) -> Result<(), CallError> {
        let report = self.report(claim).await?;
        match (report.state, report.there, &report.remote_id) {
            (State::Draft, There::None, _) => self.register(claim, &report).await,
            (State::Retired, There::None, _) => self.leave_nothing(claim, &report).await,
            (State::Retired | State::Rejected, There::Active | There::Paused, Some(remote)) => {
                lifecycle::delete(self, claim, &report, remote).await
            }
            // It is over there, and goes on.
            (State::Draft | State::Paused, There::Active | There::Paused, Some(remote)) if report.remake => {
                lifecycle::replace(self, claim, &report, remote).await
            }
            (_, There::Active | There::Paused, Some(remote)) if report.remake => {
                lifecycle::delete(self, claim, &report, remote).await
            }
            (State::Registered | State::Paused, There::Active | There::Paused, Some(remote)) if report.amend => {
                amend::amend(self, claim, &report, remote).await
            }
            (State::Paused, There::Active, Some(remote)) => lifecycle::pause(self, claim, &report, remote).await,
            (State::Registered, There::Paused, Some(remote)) => lifecycle::resume(self, claim, &report, remote).await,
            _ => Ok(self.settled(claim, &report).await?),
        }
    }

    async fn settled(&self, claim: &Claimed, report: &Report) -> Stored<()> {
        settle::settled(&mut *self.pool.acquire().await?, claim, report).await
    }

    async fn report(&self, claim: &Claimed) -> Stored<Report> {
        store::find(&mut *self.pool.acquire().await?, claim.id).await?.ok_or(StoreError::Lost)
    }

    async fn register(&self, claim: &Claimed, report: &Report) -> Result<(), CallError> {
        let address = self.address(report).await?;
        let Some(wanted) = Terms::wanted(report, address.as_ref(), self.clock.now()) else {
            return Ok(self.refused(claim, NO_RUN_LEFT).await?);
        };
        let (query_id, origin) = self.query(claim, report).await?;
        let there = self.sessions.call(claim.account_id, |api| async move { api.reports().await }).await?;
        let ours = self.ours(&there, report, Some(&query_id)).await?;
        if ours.is_none() && !self.has_room(claim, report, &there).await? {
            return Ok(());
        }
        let (remote, terms, left) = match ours {
            Some(remote) => {
                // One that runs at once is never changed there.
                let there = if report.execute_now { wanted.clone() } else { Terms::there(remote, &wanted) };
                let left = if wanted.differs(&there) { Left::Changes } else { Left::WhatWas };
                (remote.id.clone(), there, left)
            }
            None => match self.create(claim, report, (&query_id, address.as_ref())).await {
                Err(CallError::Api(insights::Error::Refused { .. } | insights::Error::NotFound(_)))
                    if origin == Origin::Before && self.forget_if_gone(claim, report, &query_id).await? =>
                {
                    return Err(CallError::Waiting("its query was gone there and is made anew".into()));
                }
                created => match created? {
                    Some((remote, terms)) => (remote, terms, Left::Nothing),
                    None => return Ok(self.refused(claim, NO_RUN_LEFT).await?),
                },
            },
        };
        let mut tx = self.pool.begin().await.map_err(StoreError::from)?;
        settle::registered(&mut tx, &self.clock, claim, &remote, &terms, left).await?;
        checks::expect(&mut tx, report.id, false, self.clock.now()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        tracing::info!(report = %report.id, callback = terms.callback.is_some(), "registered");
        Ok(())
    }

    /// Whether the quotas allow one more; records it where they don't.
    async fn has_room(&self, claim: &Claimed, report: &Report, there: &[insights::Report]) -> Stored<bool> {
        let mut conn = self.acquire().await?;
        match quota::room(&mut conn, claim, report, there, self.quotas, self.clock.now()).await? {
            Room::Free => return Ok(true),
            Room::From(at, why) => settle::later(&mut conn, claim, Some(&why), at, false).await?,
            Room::None(why) => self.refused(claim, &why).await?,
        }
        Ok(false)
    }

    /// Creates it with a start that is right now, and tells with what terms; none if no run is left.
    async fn create(
        &self,
        claim: &Claimed,
        report: &Report,
        (query, address): (&insights::QueryId, Option<&Url>),
    ) -> Result<Option<(insights::ReportId, Terms)>, CallError> {
        let Some(terms) = Terms::wanted(report, address, self.clock.now()) else { return Ok(None) };
        let send = terms.to_send(address, (report.query_start_at, report.query_end_at));
        let create = |api: insights::Api| {
            let send = send.clone();
            async move { api.create_report(query, &send).await }
        };
        let id = self.sessions.call(claim.account_id, create).await?.id;
        Ok(Some((id, terms)))
    }

    /// Deletes there what a creation left that was never recorded.
    async fn leave_nothing(&self, claim: &Claimed, report: &Report) -> Result<(), CallError> {
        let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
        let query = queries::of(&mut conn, report.query_id).await?.remote_id.map(insights::QueryId);
        drop(conn);
        let there = self.sessions.call(claim.account_id, |api| async move { api.reports().await }).await?;
        match self.ours(&there, report, query.as_ref()).await? {
            Some(left) => lifecycle::delete(self, claim, report, &left.id).await,
            None => Ok(self.settled(claim, report).await?),
        }
    }

    async fn acquire(&self) -> Stored<sqlx::pool::PoolConnection<sqlx::Postgres>> {
        Ok(self.pool.acquire().await?)
    }

    /// The report there that is this one, from a try whose outcome was not recorded.
    async fn ours<'a>(
        &self,
        there: &'a [insights::Report],
        report: &Report,
        query: Option<&insights::QueryId>,
    ) -> Stored<Option<&'a insights::Report>> {
        let past = settle::past_registrations(&mut *self.acquire().await?, report.id).await?;
        Ok(there.iter().find(|remote| !past.contains(&remote.id) && self.is_ours(remote, report, query)))
    }

    /// Forgets the id of a query that is not there any more: somebody deleted it.
    async fn forget_if_gone(
        &self,
        claim: &Claimed,
        report: &Report,
        id: &insights::QueryId,
    ) -> Result<bool, CallError> {
        let there = self.sessions.call(claim.account_id, |api| async move { api.all_queries().await }).await?;
        if there.iter().any(|query| query.id == *id) {
            return Ok(false);
        }
        Ok(queries::forget_remote(&mut *self.acquire().await?, report.query_id, id).await?)
    }

    /// The id of the report's query there; looks for one of the same name and text before it creates one.
    async fn query(&self, claim: &Claimed, report: &Report) -> Result<(insights::QueryId, Origin), CallError> {
        let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
        let query = queries::of(&mut conn, report.query_id).await?;
        drop(conn);
        if let Some(remote) = query.remote_id {
            return Ok((insights::QueryId(remote), Origin::Before));
        }
        let there = self.sessions.call(claim.account_id, |api| async move { api.queries().await }).await?;
        let leftovers = queries::leftovers(&mut *self.acquire().await?, claim.account_id).await?;
        let (name, text) = (safe_name(&query), query.text.as_str());
        let is_same = |remote: &&insights::Query| {
            remote.name == name && remote.text.trim() == text.trim() && !leftovers.contains(&remote.id)
        };
        let same = there.iter().find(is_same).cloned();
        let remote = match same {
            Some(remote) => remote,
            None if there.len() >= self.quotas.queries => {
                let why = format!(
                    "there are {} queries there already, as many as a user may have: delete some of them",
                    there.len()
                );
                return Err(CallError::Api(insights::Error::Quota(why)));
            }
            None => {
                let name = name.as_str();
                let create = |api: insights::Api| async move { api.create_query(name, text).await };
                self.sessions.call(claim.account_id, create).await?
            }
        };
        let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
        if queries::set_remote(&mut conn, &query, claim.account_id, &remote.id).await? {
            return Ok((remote.id, Origin::Now));
        }
        Err(CallError::Waiting("its query was changed or registered meanwhile".into()))
    }

    /// Our address for a report, if its API could reach us there.
    pub(super) async fn address(&self, report: &Report) -> Stored<Option<Url>> {
        Ok(self.addresses.for_report(report.id, &self.account(report).await?.api_url))
    }

    /// The program of a report's account.
    pub(super) async fn program(&self, report: &Report) -> Stored<account::ProgramName> {
        Ok(self.account(report).await?.program)
    }

    async fn account(&self, report: &Report) -> Stored<account::Account> {
        let account = account::store::find(&mut *self.pool.acquire().await?, report.account_id).await?;
        account.ok_or(StoreError::Lost)
    }

    fn is_ours(&self, remote: &insights::Report, report: &Report, query: Option<&insights::QueryId>) -> bool {
        match &remote.callback_url {
            // Our own, even if it has run for the last time since: its executions are to be told.
            Some(address) => self.addresses.is_ours(address.expose(), report.id),
            None => {
                let same = query.is_some() && remote.query_id.as_ref() == query;
                // One that runs at once may have done so before the next try: it is as young as ours.
                let since = report.created_at - CLOCKS_DIFFER;
                let has_run = report.execute_now && remote.created_at.is_some_and(|at| at >= since);
                (has_run || !remote.is_inactive()) && same && remote.name == report.name.trim()
            }
        }
    }

    /// Records that it can't be done as it stands, and why; it is tried again later.
    pub(super) async fn refused(&self, claim: &Claimed, why: &str) -> Stored<()> {
        let now = self.clock.now();
        let later = now + AFTER_REFUSAL;
        settle::refused(&mut *self.pool.acquire().await?, claim, why, later, now).await
    }

    async fn failed(&self, claim: &Claimed, error: &insights::Error) -> Stored<()> {
        let (failure, now) = (error.failure(), self.clock.now());
        if quota::is_of_those_at_once(error) {
            return settle::later(&mut *self.acquire().await?, claim, Some(&failure.text), now + quota::FREES, false)
                .await;
        }
        if failure.is_permanent() {
            tracing::warn!(report = %claim.id, why = %failure, "the API refused the report");
            return self.refused(claim, &failure.text).await;
        }
        let mut conn = self.pool.acquire().await?;
        let attempt = u32::try_from(claim.tries + 1).unwrap_or(1);
        let wait = failure.after.unwrap_or_else(|| Backoff::MICROSOFT.wait(attempt));
        settle::later(&mut conn, claim, Some(&failure.text), now + wait, true).await
    }
}

/// When we learned the id of a query there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Some time ago: it may be gone meanwhile.
    Before,
    /// A moment ago.
    Now,
}

/// Letters, digits and blanks: what the API was seen to take in the name of a query. Where nothing of it is left, its id.
fn safe_name(query: &queries::Query) -> String {
    let safe: String = query.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' }).collect();
    let safe = safe.split_whitespace().collect::<Vec<_>>().join(" ");
    if safe.is_empty() { query.id.0.simple().to_string() } else { safe }
}
