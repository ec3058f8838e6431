//! Pausing, resuming and deleting a report: what we want of it, and doing it there.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::register::Register;
use super::store::checks::{self, Closing};
use super::store::{self, Claimed, settle};
use super::{Report, State, There};
use crate::account::session::CallError;
use crate::db::{StoreError, Stored};
use crate::id::ReportId;
use crate::insights;

/// A run that is under way there takes minutes.
const NEXT_LOOK: TimeDelta = TimeDelta::minutes(1);

/// What can be wanted of a report.
#[derive(Debug, Clone, Copy)]
pub enum Want {
    /// That it does not run.
    Paused,
    /// That it runs again, is tried again after it was rejected, or made anew after it has ended.
    Resumed,
    /// That it is gone there; its files stay here.
    Retired,
}

impl Want {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Retired => "retired",
        }
    }
}

/// Notes what is wanted of a report. [`StoreError::Lost`]: in its state that makes no sense.
pub async fn want(conn: &mut PgConnection, id: ReportId, want: Want, now: DateTime<Utc>) -> Stored<()> {
    let report = store::find(conn, id).await?.ok_or(StoreError::Lost)?;
    let (from, to): (&[State], _) = match want {
        Want::Paused => (&[State::Registered, State::Paused], State::Paused),
        Want::Resumed => {
            // What runs there no more is expected no more either, until it is made anew.
            let is_anew = report.there == There::None || matches!(report.state, State::Draft | State::Ended);
            let to = if is_anew { State::Draft } else { State::Registered };
            (&[State::Paused, State::Rejected, State::Registered, State::Draft, State::Ended], to)
        }
        Want::Retired => {
            let from = &[State::Draft, State::Registered, State::Paused, State::Rejected, State::Ended];
            (from, State::Retired)
        }
    };
    store::want(conn, id, from, to, now).await
}

pub(super) async fn pause(
    step: &Register,
    claim: &Claimed,
    report: &Report,
    remote: &insights::ReportId,
) -> Result<(), CallError> {
    match step.sessions.call(claim.account_id, |api| async move { api.pause(remote).await }).await {
        Ok(()) => is_there(step, claim, report, There::Paused).await,
        // Somebody deleted it there; it is made anew when it shall run.
        Err(CallError::Api(insights::Error::NotFound(_))) => is_there(step, claim, report, There::None).await,
        Err(error) => Err(error),
    }
}

pub(super) async fn resume(
    step: &Register,
    claim: &Claimed,
    report: &Report,
    remote: &insights::ReportId,
) -> Result<(), CallError> {
    match step.sessions.call(claim.account_id, |api| async move { api.resume(remote).await }).await {
        Ok(()) => is_there(step, claim, report, There::Active).await,
        Err(CallError::Api(insights::Error::NotFound(_))) => is_there(step, claim, report, There::None).await,
        Err(error) => Err(error),
    }
}

pub(super) async fn delete(
    step: &Register,
    claim: &Claimed,
    report: &Report,
    remote: &insights::ReportId,
) -> Result<(), CallError> {
    step.sessions.call(claim.account_id, |api| async move { api.delete_report(remote).await }).await?;
    is_there(step, claim, report, There::None).await
}

/// Deletes what is over and to be made anew, once all that it made is here: with it its executions and their links are gone.
pub(super) async fn replace(
    step: &Register,
    claim: &Claimed,
    report: &Report,
    remote: &insights::ReportId,
) -> Result<(), CallError> {
    let now = step.clock.now();
    let mut conn = step.pool.acquire().await.map_err(StoreError::from)?;
    let why = match checks::close(&mut conn, report.id, now).await? {
        Closing::Closed => {
            drop(conn);
            return delete(step, claim, report, remote).await;
        }
        Closing::Open => Some("a run of it is still to be fetched before it is made anew"),
        // Answered in a moment; whoever waits for what comes of it waits for that.
        Closing::Asked => None,
    };
    Ok(settle::later(&mut conn, claim, why, now + NEXT_LOOK, false).await?)
}

/// Records what the API has now. One that is active again is expected at its next run.
pub(super) async fn is_there(step: &Register, claim: &Claimed, report: &Report, there: There) -> Result<(), CallError> {
    let now = step.clock.now();
    let next = report.schedule().filter(|_| there == There::Active).and_then(|schedule| schedule.next(now));
    let mut tx = step.pool.begin().await.map_err(StoreError::from)?;
    settle::is_there(&mut tx, claim, there, (next, report.runs(now)), now).await?;
    if let Some(at) = next {
        checks::due_by(&mut tx, claim.id, at).await?;
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}
