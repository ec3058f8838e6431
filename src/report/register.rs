//! Brings the API into line with what we want of a report.
//!
//! A creation is not safe to repeat blindly, so each try first looks there for a report that carries our address for this
//! one (or, where we have no address, its exact name and query), and takes that. A refusal ends the try: the report is
//! `rejected` with the API's own words, and `resume` or a change tries again. A change that comes while a step is at work
//! takes its claim away; what the step made there is found by its address and made anew.

use sqlx::PgPool;

use super::address::Addresses;
use super::draft::next_start;
use super::store::{self, Claimed, checks, queries};
use super::{Report, State, There, lifecycle, tidy};
use crate::account::session::{CallError, Sessions};
use crate::clock::Clock;
use crate::db::{StoreError, Stored, lease};
use crate::insights::{self, NewReport, When};
use crate::retry::Backoff;
use crate::wake::{Topic, Wake};

/// The API's limit per user.
const MOST_QUERIES: usize = 100;

/// The step that registers, pauses, resumes and deletes there.
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
}

impl Register {
    /// Claims up to `limit` reports that are not as we want them.
    pub async fn claim(&self, limit: i64) -> Stored<Vec<Claimed>> {
        store::claim(&mut *self.pool.acquire().await?, self.clock.now(), limit).await
    }

    /// Does one thing for one report, and records what came of it.
    pub async fn perform(&self, claim: Claimed) -> Stored<()> {
        let renew = || async { store::renew(&mut *self.pool.acquire().await?, &claim, self.clock.now()).await };
        match lease::while_renewing(Box::pin(self.act(&claim)), renew).await? {
            Ok(()) => tidy::delete_leftovers(&self.pool, &self.sessions, claim.account_id).await?,
            Err(CallError::Store(error)) => return Err(error),
            Err(CallError::Waiting(why)) => {
                let mut conn = self.pool.acquire().await?;
                store::later(&mut conn, &claim, &why, self.clock.now(), false).await?;
            }
            Err(CallError::Api(error)) => self.failed(&claim, &error).await?,
        }
        // More may be left to do: a report made anew is deleted first, then created.
        self.wake.hint(Topic::Reports);
        self.wake.hint(Topic::Checks);
        Ok(())
    }

    async fn act(&self, claim: &Claimed) -> Result<(), CallError> {
        let report = self.report(claim).await?;
        match (report.state, report.there, &report.remote_id) {
            (State::Draft, There::None, _) => self.register(claim, &report).await,
            (State::Retired, There::None, _) => self.leave_nothing(claim, &report).await,
            (State::Retired | State::Rejected, There::Active | There::Paused, Some(remote)) => {
                lifecycle::delete(self, claim, remote).await
            }
            (_, There::Active | There::Paused, Some(remote)) if report.remake => {
                lifecycle::delete(self, claim, remote).await
            }
            (State::Paused, There::Active, Some(remote)) => lifecycle::pause(self, claim, remote).await,
            (State::Registered, There::Paused, Some(remote)) => lifecycle::resume(self, claim, &report, remote).await,
            _ => Ok(self.settled(claim, &report).await?),
        }
    }

    async fn settled(&self, claim: &Claimed, report: &Report) -> Stored<()> {
        store::settled(&mut *self.pool.acquire().await?, claim, report).await
    }

    async fn report(&self, claim: &Claimed) -> Stored<Report> {
        store::find(&mut *self.pool.acquire().await?, claim.id).await?.ok_or(StoreError::Lost)
    }

    async fn register(&self, claim: &Claimed, report: &Report) -> Result<(), CallError> {
        let query_id = self.query(claim, report).await?;
        let api_url = self.api_url(report).await?;
        let address = self.addresses.for_report(report.id, &api_url);
        let ours = self.ours_there(claim, report, Some(&query_id)).await?;
        let start_at = report.start_at.zip(report.interval_hours);
        let start_at = start_at.map(|(start, interval)| next_start(start, interval, self.clock.now()));
        let (remote, start_at) = match ours {
            Some(remote) => (remote.id, remote.start_at.or(start_at)),
            None => {
                let when = match (start_at, report.interval_hours) {
                    (Some(start_at), Some(interval_hours)) => {
                        When::Every { start_at, interval_hours, occurrences: report.occurrences }
                    }
                    _ => When::Now(report.query_start_at, report.query_end_at),
                };
                let new = NewReport {
                    name: &report.name,
                    description: report.description.as_deref(),
                    query_id: &query_id,
                    when,
                    format: &report.format,
                    callback: address.as_ref().map(|address| (address, report.callback_method.as_str())),
                };
                let create = |api: insights::Api| {
                    let new = new.clone();
                    async move { api.create_report(&new).await }
                };
                (self.sessions.call(claim.account_id, create).await?.id, start_at)
            }
        };
        let start_at = if report.execute_now { None } else { start_at };
        let mut tx = self.pool.begin().await.map_err(StoreError::from)?;
        store::registered(&mut tx, &self.clock, claim, &remote, start_at).await?;
        checks::expect(&mut tx, report.id, false, self.clock.now()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        tracing::info!(report = %report.id, callback = address.is_some(), "registered");
        Ok(())
    }

    /// Deletes there what a creation left that was never recorded.
    async fn leave_nothing(&self, claim: &Claimed, report: &Report) -> Result<(), CallError> {
        let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
        let query = queries::of(&mut conn, report.query_id).await?.remote_id.map(insights::QueryId);
        drop(conn);
        match self.ours_there(claim, report, query.as_ref()).await? {
            Some(left) => lifecycle::delete(self, claim, &left.id).await,
            None => Ok(self.settled(claim, report).await?),
        }
    }

    async fn acquire(&self) -> Stored<sqlx::pool::PoolConnection<sqlx::Postgres>> {
        Ok(self.pool.acquire().await?)
    }

    async fn ours_there(
        &self,
        claim: &Claimed,
        report: &Report,
        query: Option<&insights::QueryId>,
    ) -> Result<Option<insights::Report>, CallError> {
        let there = self.sessions.call(claim.account_id, |api| async move { api.reports().await }).await?;
        let past = store::past_registrations(&mut *self.acquire().await?, report.id).await?;
        Ok(there.into_iter().find(|remote| !past.contains(&remote.id) && self.is_ours(remote, report, query)))
    }

    /// The id of the report's query there; looks for one of the same name and text before it creates one.
    async fn query(&self, claim: &Claimed, report: &Report) -> Result<insights::QueryId, CallError> {
        let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
        let query = queries::of(&mut conn, report.query_id).await?;
        drop(conn);
        if let Some(remote) = query.remote_id {
            return Ok(insights::QueryId(remote));
        }
        let there = self.sessions.call(claim.account_id, |api| async move { api.queries().await }).await?;
        let leftovers = queries::leftovers(&mut *self.acquire().await?, claim.account_id).await?;
        let (name, text) = (safe_name(&query.name), query.text.as_str());
        let is_same = |remote: &&insights::Query| {
            remote.name == name && remote.text.trim() == text.trim() && !leftovers.contains(&remote.id)
        };
        let same = there.iter().find(is_same).cloned();
        let remote = match same {
            Some(remote) => remote,
            None if there.len() >= MOST_QUERIES => {
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
            return Ok(remote.id);
        }
        Err(CallError::Waiting("its query was changed or registered meanwhile".into()))
    }

    async fn api_url(&self, report: &Report) -> Stored<url::Url> {
        let mut conn = self.pool.acquire().await?;
        let account = crate::account::store::find(&mut conn, report.account_id).await?;
        Ok(account.ok_or(StoreError::Lost)?.api_url)
    }

    fn is_ours(&self, remote: &insights::Report, report: &Report, query: Option<&insights::QueryId>) -> bool {
        match &remote.callback_url {
            // Our own, even if it has run for the last time since: its executions are to be told.
            Some(address) => self.addresses.is_ours(address.expose(), report.id),
            None => {
                let runs = !remote.status.eq_ignore_ascii_case("inactive");
                let same = query.is_some() && remote.query_id.as_ref() == query;
                runs && same && remote.name == report.name.trim()
            }
        }
    }

    async fn failed(&self, claim: &Claimed, error: &insights::Error) -> Stored<()> {
        let (failure, now) = (error.failure(), self.clock.now());
        let mut conn = self.pool.acquire().await?;
        if failure.is_permanent() {
            tracing::warn!(report = %claim.id, why = %failure, "the API refused the report");
            return store::refused(&mut conn, claim, &failure.text, now + Backoff::MICROSOFT.longest, now).await;
        }
        let attempt = u32::try_from(claim.tries + 1).unwrap_or(1);
        let wait = failure.after.unwrap_or_else(|| Backoff::MICROSOFT.wait(attempt));
        store::later(&mut conn, claim, &failure.text, now + wait, true).await
    }
}

/// Letters, digits and blanks: what the API was seen to take in the name of a query.
fn safe_name(name: &str) -> String {
    let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' }).collect();
    safe.split_whitespace().collect::<Vec<_>>().join(" ")
}
