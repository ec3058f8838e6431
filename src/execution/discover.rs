//! Asks the API for executions of the reports whose check is due, and inserts those never seen.
//!
//! `Completed` is asked for always: all of the last 90 days, or the latest only where one run is expected and was asked for
//! before, nobody called or asked, and the last good answer is younger than one interval. While a run is expected or under way, `Pending` and
//! `Running` too; and where one that was under way has left those lists, or one that was called or asked for shows in none,
//! `Failed`: the default answer never shows a failure. A 404 means that there are none yet. What a report made before it was
//! adopted is archived in silence.

use chrono::TimeDelta;
use sqlx::PgPool;

use super::store::{self, Told};
use super::{FoundBy, State, fail};
use crate::account::session::{CallError, Sessions};
use crate::clock::Clock;
use crate::db::{StoreError, Stored, lease};
use crate::insights::{self, ExecutionFilter, Progress};
use crate::report::check::{self, Check};
use crate::wake::{Topic, Wake};

/// The step that discovers.
#[derive(Debug, Clone)]
pub struct Discover {
    /// Where our rows are.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// The door to Microsoft.
    pub sessions: Sessions,
    /// Who is to be woken.
    pub wake: Wake,
}

impl Discover {
    /// Claims up to `limit` due checks.
    pub async fn claim(&self, limit: i64) -> Stored<Vec<Check>> {
        check::claim(&self.pool, self.clock.now(), limit).await
    }

    /// Asks for the executions of one report, and records what is new.
    pub async fn perform(&self, check: Check) -> Stored<()> {
        let renew = || check::renew(&self.pool, &check, self.clock.now());
        let answer = lease::while_renewing(Box::pin(self.ask(&check)), renew).await?;
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        match answer {
            Ok(told) => self.record(&mut tx, &check, &told).await?,
            Err(CallError::Store(error)) => return Err(error),
            Err(CallError::Waiting(_)) => check::unanswered(&mut tx, &check, None, now).await?,
            Err(CallError::Api(error)) => {
                tracing::warn!(report = %check.report_id, %error, "failed to ask for executions");
                check::unanswered(&mut tx, &check, Some(&error.failure()), now).await?;
            }
        }
        tx.commit().await?;
        self.wake.hint(Topic::Executions);
        self.wake.hint(Topic::Events);
        Ok(())
    }

    /// Gives a check back that was not finished.
    pub async fn release(&self, check: Check) -> Stored<()> {
        check::release(&self.pool, &check).await
    }

    async fn ask(&self, check: &Check) -> Result<Vec<insights::Execution>, CallError> {
        let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
        let open = store::open(&mut conn, check.report_id).await?;
        drop(conn);
        let interval = TimeDelta::hours(check.interval_hours.unwrap_or(1).into());
        let recent = check.good_at.is_some_and(|at| self.clock.now() - at < interval);
        // Several may have ended since the last question; only the many questions for one expected run ask for one.
        let only_expected = check.expected && !check.first && !check.called && !check.manual && !check.closes;
        let latest = recent && only_expected;
        let mut told = self.list(check, "Completed", latest).await?;
        if check.called || check.expected || check.manual || !open.is_empty() {
            for status in ["Pending", "Running"] {
                told.extend(self.list(check, status, false).await?);
            }
            let vanished = open.iter().any(|id| !told.iter().any(|execution| execution.id == *id));
            let is_asked = check.called || check.manual;
            if vanished || (is_asked && !self.shows_anything_new(check, &told).await?) {
                told.extend(self.list(check, "Failed", false).await?);
            }
        }
        Ok(told)
    }

    async fn shows_anything_new(&self, check: &Check, told: &[insights::Execution]) -> Stored<bool> {
        let ids: Vec<&str> = told.iter().map(|execution| execution.id.0.as_str()).collect();
        let ended = store::ended(&mut *self.pool.acquire().await?, check.report_id, &ids).await?;
        Ok(ended < ids.len())
    }

    async fn list(
        &self,
        check: &Check,
        status: &'static str,
        latest: bool,
    ) -> Result<Vec<insights::Execution>, CallError> {
        let ask = |api: insights::Api| async move {
            api.executions(&check.remote_id, ExecutionFilter { status, latest }).await
        };
        match self.sessions.call(check.account_id, ask).await {
            // Only the documented words are sure to be taken.
            Err(CallError::Api(insights::Error::Refused { .. })) if status == "Failed" => Ok(Vec::new()),
            answer => answer,
        }
    }

    async fn record(&self, conn: &mut sqlx::PgConnection, check: &Check, told: &[insights::Execution]) -> Stored<()> {
        let found_by = match (check.called, check.manual) {
            (true, _) => FoundBy::Callback,
            (false, true) => FoundBy::Manual,
            (false, false) => FoundBy::Schedule,
        };
        let (mut found, mut open) = (false, false);
        for remote in told {
            let state = match remote.progress() {
                Progress::Completed => State::Ready,
                Progress::Failed => State::Failed,
                Progress::Open => State::Pending,
            };
            open |= state == State::Pending;
            let why = format!("the API says {}", remote.status);
            let failure = (state == State::Failed).then_some(why.as_str());
            let told = Told { remote, state, failure, silent: is_old(check, remote, state) };
            let names = (check.report_id, &check.remote_id);
            let Some((id, _)) = store::note(conn, &self.clock, names, &told, found_by).await? else { continue };
            found |= state != State::Pending;
            tracing::info!(report = %check.report_id, execution = %id, ?state, ?found_by, "found an execution");
            if state == State::Failed {
                fail::tell(conn, &self.clock, id, &why).await?;
            }
        }
        check::answered(conn, check, found, open, self.clock.now()).await
    }
}

/// Whether it is from before we knew the report. Where the API does not say when it was made, all that had ended when we first
/// asked is.
fn is_old(check: &Check, remote: &insights::Execution, state: State) -> bool {
    let had_ended = check.good_at.is_none() && state != State::Pending;
    check.adopted_at.is_some_and(|adopted| remote.generated_at.map_or(had_ended, |at| at < adopted))
}
