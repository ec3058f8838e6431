//! Compares, once a day and per account, what is there with what was sent.
//!
//! One list per account is asked for. What somebody changed is kept on the report as its drift and told once; it is mended on
//! request. What changed here, our own address, is sent by the register step, at a time when no run is lost by it. A report
//! that has run for the last time ends, or is made anew where that was asked for. Queries of no use are deleted on the way.
//! Only reports that are in line as far as we know are compared, and what was found counts only if nobody changed the row
//! meanwhile: a later comparison sees the rest.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use super::address::{Addresses, key_of};
use super::drift::{Difference, Finding, judge};
use super::limits::{LEAD, MARGIN};
use super::schedule::next_start;
use super::store::checks;
use super::store::comparisons::{self, Again, Claimed};
use super::{Report, Schedule, State, There, ending, tidy};
use crate::account;
use crate::account::session::{CallError, Sessions};
use crate::clock::Clock;
use crate::db::{StoreError, Stored, lease};
use crate::event::{self, About, Fact, Kind};
use crate::id::AccountId;
use crate::insights;
use crate::secret::{Secret, digest, hex};
use crate::wake::{Topic, Wake};

const EVERY: TimeDelta = TimeDelta::hours(24);
const AFTER_FAILURE: TimeDelta = TimeDelta::minutes(15);
/// A run has come, or is late, this long after its time.
const AFTER_RUN: TimeDelta = TimeDelta::minutes(30);

/// The step that compares.
#[derive(Debug, Clone)]
pub struct Compare {
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

impl Compare {
    /// Claims up to `limit` accounts whose comparison is due.
    pub async fn claim(&self, limit: i64) -> Stored<Vec<Claimed>> {
        comparisons::claim(&mut *self.pool.acquire().await?, self.clock.now(), limit).await
    }

    /// Compares the reports of one account, and says when to do it again.
    pub async fn perform(&self, claim: Claimed) -> Stored<()> {
        let renew = || async { comparisons::renew(&mut *self.pool.acquire().await?, &claim, self.clock.now()).await };
        let work = async {
            let next = self.look(claim.account_id).await?;
            tidy::delete_leftovers(&self.pool, &self.sessions, claim.account_id).await?;
            Ok(next)
        };
        let next = match lease::while_renewing(Box::pin(work), renew).await? {
            Ok(next) => next,
            Err(CallError::Store(error)) => return Err(error),
            Err(error) => {
                tracing::warn!(account = %claim.account_id, %error, "failed to compare the reports there");
                self.clock.now() + AFTER_FAILURE
            }
        };
        comparisons::finish(&mut *self.pool.acquire().await?, &claim, next).await
    }

    /// Gives an account back that was not finished with.
    pub async fn release(&self, claim: Claimed) -> Stored<()> {
        comparisons::release(&mut *self.pool.acquire().await?, &claim).await
    }

    /// Compares the reports of an account now; tells when to do it again.
    pub async fn look(&self, id: AccountId) -> Result<DateTime<Utc>, CallError> {
        let mut conn = self.pool.acquire().await.map_err(StoreError::from)?;
        let account = account::store::find(&mut conn, id).await?.ok_or(StoreError::Lost)?;
        let reports = comparisons::reports(&mut conn, id).await?;
        drop(conn);
        let mut next = self.clock.now() + EVERY;
        if reports.is_empty() {
            return Ok(next);
        }
        let there = self.sessions.call(id, |api| async move { api.reports().await }).await?;
        for report in &reports {
            let remote = there.iter().find(|remote| Some(&remote.id) == report.remote_id.as_ref());
            let address = self.addresses.for_report(report.id, &account.api_url);
            let finding = judge(report, remote, (&self.addresses, address.as_ref()), self.clock.now());
            next = self.note(report, remote, finding).await?.map_or(next, |at| at.min(next));
        }
        self.wake.hint(Topic::Reports);
        self.wake.hint(Topic::Events);
        Ok(next)
    }

    /// Records a finding; tells when to look again, if sooner than tomorrow.
    async fn note(
        &self,
        report: &Report,
        remote: Option<&insights::Report>,
        finding: Finding,
    ) -> Stored<Option<DateTime<Utc>>> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        let mut again = None;
        match finding {
            Finding::Unclear(at) => again = Some(at),
            Finding::InLine => {
                comparisons::found(&mut tx, report, (None, remote.and_then(There::of)), now).await?;
                if let Some(key) = unnamed_key(report, remote) {
                    comparisons::name_key(&mut tx, report, &key).await?;
                }
                checks::reopen(&mut tx, report.id).await?;
            }
            Finding::Moved => match avoidable_loss(report, now) {
                Some(run) => again = Some(run + AFTER_RUN),
                None => comparisons::settle_again(&mut tx, report, Again::Change, now).await?,
            },
            Finding::Drifted(differences) => again = self.drifted(&mut tx, report, (remote, differences)).await?,
            Finding::Over => match remote.filter(|_| report.recreate) {
                Some(remote) => again = ending::go_on(&mut tx, (report, remote), Again::Restart, now).await?,
                None => ending::over(&mut tx, &self.clock, report).await?,
            },
        }
        tx.commit().await?;
        Ok(again)
    }

    async fn drifted(
        &self,
        conn: &mut PgConnection,
        report: &Report,
        (remote, differences): (Option<&insights::Report>, Vec<Difference>),
    ) -> Stored<Option<DateTime<Utc>>> {
        let (there, now) = (remote.and_then(There::of), self.clock.now());
        let drift = json!(differences);
        let Some((since, is_news)) = comparisons::found(conn, report, (Some(&drift), there), now).await? else {
            return Ok(None);
        };
        let seen = hex(&digest(&Secret::new(drift.to_string()))[..8]);
        let fact = Fact {
            kind: Kind::ReportDrifted,
            key: format!("drifted:{}:{}:{seen}", report.id, since.timestamp_micros()),
            about: About { report_id: Some(report.id), account_id: Some(report.account_id), ..About::default() },
            data: json!({
                "report": { "id": report.id, "name": report.name },
                "since": since,
                "differences": differences.iter().map(told).collect::<Vec<_>>(),
            }),
        };
        if is_news {
            event::store::append(conn, &self.clock, fact).await?;
        }
        let ended = differences.iter().any(Difference::needs_a_new_one);
        match remote.filter(|_| ended && report.recreate) {
            Some(remote) => ending::go_on(conn, (report, remote), Again::Remake, now).await,
            None => Ok(None),
        }
    }
}

/// The key of the address there, where what an older version sent does not name it.
fn unnamed_key(report: &Report, remote: Option<&insights::Report>) -> Option<String> {
    report.sent.as_ref().filter(|sent| sent.callback.is_some() && sent.callback_key.is_none())?;
    key_of(remote?.callback_url.as_ref()?.expose())
}

/// A difference for the log of facts, which holds no address.
fn told(difference: &Difference) -> Value {
    if difference.field != "callback" {
        return json!(difference);
    }
    let word = |address: &Value, word: &str| if address.is_null() { "none" } else { word }.to_owned();
    json!({
        "field": "callback",
        "ours": word(&difference.ours, "our address"),
        "theirs": word(&difference.theirs, "another address"),
    })
}

/// The run that an update now would take away and one after that run would not.
fn avoidable_loss(report: &Report, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let runs = |schedule: &Schedule| report.state == State::Registered && schedule.interval > LEAD + MARGIN + AFTER_RUN;
    let schedule = report.schedule().filter(runs)?;
    let next = next_start(report.start_at?, report.interval_hours?, now);
    schedule.lost(now, next).first().copied()
}
