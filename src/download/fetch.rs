//! Fetches the file of one execution.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::mpsc;
use url::{Host, Url};

use super::archive::{Archive, Incoming, location};
use super::compare::{self, Changes};
use super::profile::{Profile, Profiler};
use super::store::{self, Claimed};
use crate::account::session::{CallError, Sessions};
use crate::clock::Clock;
use crate::db::{LEASE, StoreError, Stored, lease};
use crate::event::{self, About, Fact, Kind};
use crate::execution::{self, Execution};
use crate::insights;
use crate::outbound::{self, Outbound};
use crate::report::{self, Report, expectation};
use crate::retry::{Backoff, Failure};
use crate::wake::{Topic, Wake};

/// What may pass is not declared failed within this time.
const PATIENCE: TimeDelta = TimeDelta::hours(1);
/// Nor after fewer tries: the process may have been down for most of that time.
const LEAST_TRIES: i32 = 5;
const FIRST_ANSWER: Duration = Duration::from_secs(60);
const NEXT_BYTES: Duration = Duration::from_secs(60);
/// For the questions to the API, a renewal of the token among them; the bytes may take as long as they come.
const LINK_TIME: Duration = Duration::from_secs(300);
const CHUNKS_AHEAD: usize = 16;
/// A link that is refused is asked for anew this often before the download waits.
const LINKS: usize = 2;

/// Which hosts secure links may name.
#[derive(Debug, Clone)]
pub struct DownloadHosts(pub Arc<[String]>);

impl Default for DownloadHosts {
    fn default() -> Self {
        let suffixes = [
            ".blob.core.windows.net",
            ".blob.core.usgovcloudapi.net",
            ".blob.core.chinacloudapi.cn",
            ".blob.storage.azure.net",
        ];
        Self(suffixes.map(str::to_owned).into())
    }
}

impl DownloadHosts {
    fn allow(&self, link: &Url, outbound: &Outbound) -> bool {
        let named = match link.host() {
            Some(Host::Domain(name)) => self.0.iter().any(|suffix| {
                name.strip_suffix(suffix.trim_start_matches('.'))
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }),
            _ => false,
        };
        named || outbound.guard.is_inside(link)
    }
}

/// The step that downloads.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// Where our rows are.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// The door to Microsoft.
    pub sessions: Sessions,
    /// Makes the clients.
    pub outbound: Outbound,
    /// Which hosts links may name.
    pub hosts: DownloadHosts,
    /// Where files rest.
    pub archive: Archive,
    /// Who is to be woken.
    pub wake: Wake,
}

enum Trouble {
    /// The link is refused or expired; a fresh one may work.
    Link(String),
    Failure(Failure),
    Call(CallError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Call(error.into())
    }
}

struct Fetched {
    profile: Profile,
    location: String,
    stored_bytes: u64,
}

impl Fetch {
    /// Claims up to `limit` downloads that are due.
    pub async fn claim(&self, limit: i64) -> Stored<Vec<Claimed>> {
        let mut conn = self.pool.acquire().await?;
        store::find_work(&mut conn, &self.clock, limit).await?;
        store::claim(&mut conn, self.clock.now(), limit).await
    }

    /// Fetches one file, and records what came of it.
    pub async fn perform(&self, claim: Claimed) -> Stored<()> {
        let mut conn = self.pool.acquire().await?;
        let execution = execution::store::find(&mut conn, claim.execution_id).await?.ok_or(StoreError::Lost)?;
        let report = report::store::find(&mut conn, claim.report_id).await?.ok_or(StoreError::Lost)?;
        drop(conn);
        let renew = || async { store::renew(&mut *self.pool.acquire().await?, &claim, self.clock.now()).await };
        match lease::while_renewing(Box::pin(self.fetch(&claim, &report, &execution)), renew).await? {
            Ok(fetched) => lease::in_time(LEASE, self.stored(&claim, &report, &execution, fetched)).await?,
            Err(Trouble::Call(CallError::Store(error))) => return Err(error),
            Err(Trouble::Call(CallError::Waiting(why))) => {
                let mut conn = self.pool.acquire().await?;
                store::later(&mut conn, &claim, &why, self.clock.now(), false).await?;
            }
            Err(Trouble::Call(error)) => self.failed(&claim, &error.failure()).await?,
            Err(Trouble::Failure(failure)) => self.failed(&claim, &failure).await?,
            Err(Trouble::Link(why)) => self.failed(&claim, &Failure::transient(why)).await?,
        }
        self.wake.hint(Topic::Events);
        Ok(())
    }

    /// Gives a download back that was not finished.
    pub async fn release(&self, claim: Claimed) -> Stored<()> {
        store::release(&mut *self.pool.acquire().await?, &claim).await
    }

    async fn fetch(&self, claim: &Claimed, report: &Report, execution: &Execution) -> Result<Fetched, Trouble> {
        let mut last = Trouble::Link("the API gave no link".into());
        for _ in 0..LINKS {
            let link = self.link(claim, execution).await?;
            match self.stream(claim, report, execution, &link).await {
                Err(Trouble::Link(why)) => last = Trouble::Link(why),
                done => return done,
            }
        }
        Err(last)
    }

    async fn link(&self, claim: &Claimed, execution: &Execution) -> Result<Url, Trouble> {
        let ask =
            |api: insights::Api| async move { api.execution(&execution.remote_report_id, &execution.remote_id).await };
        let asked = async { Ok(self.sessions.call(claim.account_id, ask).await) };
        let told = lease::in_time(LINK_TIME, asked).await?.map_err(Trouble::Call)?;
        let none = || Trouble::Failure(Failure::transient("the API shows no link for this execution"));
        let link = told.and_then(|told| told.link).ok_or_else(none)?;
        if !self.hosts.allow(link.expose(), &self.outbound) {
            let host = link.expose().host_str().unwrap_or("?").to_owned();
            return Err(Trouble::Failure(Failure::transient(format!(
                "the secure link names the host {host}, which TIDINGS_DOWNLOAD_HOSTS does not allow"
            ))));
        }
        Ok(link.expose().clone())
    }

    async fn stream(
        &self,
        claim: &Claimed,
        report: &Report,
        execution: &Execution,
        link: &Url,
    ) -> Result<Fetched, Trouble> {
        let refused = |refused: outbound::Refused| Failure::transient(format!("the secure link {refused}"));
        let client = self.outbound.client(link).map_err(|error| Trouble::Failure(refused(error)))?;
        // No credentials of ours go to the storage host.
        let request = client.get(link.clone()).send();
        let slow = |_| Trouble::Failure(Failure::transient("the storage did not answer in time"));
        let cut = |error: reqwest::Error| Trouble::Failure(Failure::transient(outbound::describe(&error)));
        let mut answer = tokio::time::timeout(FIRST_ANSWER, request).await.map_err(slow)?.map_err(cut)?;
        judge(answer.status(), answer.headers())?;
        let gzip = answer.headers().get("content-encoding").is_some_and(|value| value == "gzip");
        let incoming = self.archive.begin(claim.id, claim.lease).map_err(disk)?;
        let target = Target {
            slug: report.slug.clone(),
            report: report.id,
            date: execution.archive_date,
            execution: execution.id,
            format: report.format.clone(),
        };
        let (chunks, received) = mpsc::channel(CHUNKS_AHEAD);
        let keeper = tokio::task::spawn_blocking(move || keep(received, incoming, gzip, &target));
        let arrived = async {
            loop {
                let slow = |_| Trouble::Failure(Failure::transient("the download stalled for 60 s"));
                match tokio::time::timeout(NEXT_BYTES, answer.chunk()).await.map_err(slow)?.map_err(cut)? {
                    None => return Ok(()),
                    // The keeper has given up; it says why.
                    Some(chunk) => {
                        if chunks.send(Piece::Bytes(chunk)).await.is_err() {
                            return Ok(());
                        }
                    }
                }
            }
        };
        let result: Result<(), Trouble> = arrived.await;
        if result.is_ok() {
            let _ = chunks.send(Piece::End).await;
        }
        drop(chunks);
        let kept =
            keeper.await.map_err(|_| Trouble::Failure(Failure::transient("writing the file was interrupted")))?;
        result?;
        kept
    }

    async fn stored(&self, claim: &Claimed, report: &Report, execution: &Execution, fetched: Fetched) -> Stored<()> {
        let now = self.clock.now();
        let profile = &fetched.profile;
        let stored_bytes = i64::try_from(fetched.stored_bytes).unwrap_or(i64::MAX);
        let mut tx = self.pool.begin().await?;
        let file = (fetched.location.as_str(), report.format.as_str(), stored_bytes);
        store::stored(&mut tx, claim, file, profile, now).await?;
        execution::store::stored(&mut tx, execution.id, now).await?;
        let generated_at = execution.generated_at.unwrap_or(now);
        let ids = (execution.id, claim.id);
        expectation::fulfilled(&mut tx, &self.clock, report.id, ids, generated_at).await?;
        if !execution.silent {
            let arrival = arrival(claim, report, execution, profile, stored_bytes);
            let before = store::columns_before(&mut tx, (report.id, execution.id), generated_at).await?;
            let changed = compare::columns(&before, &profile.columns).map(|changes| schema_changed(&arrival, &changes));
            event::store::append(&mut tx, &self.clock, arrival).await?;
            if let Some(fact) = changed {
                event::store::append(&mut tx, &self.clock, fact).await?;
            }
        }
        tx.commit().await?;
        tracing::info!(report = %report.id, file = %claim.id, rows = profile.rows, bytes = profile.size_bytes, "stored");
        Ok(())
    }

    async fn failed(&self, claim: &Claimed, failure: &Failure) -> Stored<()> {
        let now = self.clock.now();
        tracing::warn!(file = %claim.id, why = %failure, "failed to download");
        let mut tx = self.pool.begin().await?;
        let patient = now - claim.since < PATIENCE || claim.tries < LEAST_TRIES;
        if patient && !failure.is_permanent() {
            let attempt = u32::try_from(claim.tries + 1).unwrap_or(1);
            let wait = failure.after.unwrap_or_else(|| Backoff::MICROSOFT.wait(attempt));
            store::later(&mut tx, claim, &failure.text, now + wait, true).await?;
        } else {
            store::failed(&mut tx, claim, &failure.text).await?;
            execution::fail::give_up(&mut tx, &self.clock, claim.execution_id, &failure.text).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// The two facts that a stored file can give: exactly one of them.
fn arrival(claim: &Claimed, report: &Report, execution: &Execution, profile: &Profile, stored_bytes: i64) -> Fact {
    let (kind, word) = if profile.rows == 0 { (Kind::ReportEmpty, "empty") } else { (Kind::ReportReady, "ready") };
    Fact {
        kind,
        key: format!("{word}:{}", execution.id),
        about: About {
            account_id: Some(claim.account_id),
            report_id: Some(report.id),
            execution_id: Some(execution.id),
            file_id: Some(claim.id),
            ..About::default()
        },
        data: json!({
            "report": { "id": report.id, "name": report.name },
            "execution": execution.snapshot(),
            "file": {
                "id": claim.id,
                "format": report.format,
                "size_bytes": profile.size_bytes,
                "stored_bytes": stored_bytes,
                "sha256": profile.sha256,
                "rows": profile.rows,
                "columns": profile.columns,
            },
        }),
    }
}

/// The fact that comes in addition where a file has other columns than the one before.
fn schema_changed(arrival: &Fact, changes: &Changes) -> Fact {
    let mut data = arrival.data.clone();
    data["changes"] = json!(changes);
    let execution = arrival.about.execution_id.map(|id| id.to_string()).unwrap_or_default();
    Fact { kind: Kind::ReportSchemaChanged, key: format!("schema:{execution}"), about: arrival.about, data }
}

fn judge(status: StatusCode, headers: &reqwest::header::HeaderMap) -> Result<(), Trouble> {
    match status.as_u16() {
        200 => Ok(()),
        401 | 403 | 404 | 410 => Err(Trouble::Link(format!("the storage refused the secure link ({status})"))),
        _ => {
            let failure = Failure::transient(format!("the storage answered {status}"));
            Err(Trouble::Failure(failure.after(outbound::retry_after(headers))))
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "stands where map_err wants a function")]
fn disk(error: std::io::Error) -> Trouble {
    Trouble::Failure(Failure::transient(format!("failed to write to the archive: {error}")))
}

enum Piece {
    Bytes(Bytes),
    /// Everything came; without it the download was cut.
    End,
}

struct Target {
    slug: String,
    report: crate::id::ReportId,
    date: chrono::NaiveDate,
    execution: crate::id::ExecutionId,
    format: String,
}

/// Writes, decodes, hashes and counts, on a thread of its own. Publishes only what came whole.
fn keep(
    mut received: mpsc::Receiver<Piece>,
    mut incoming: Incoming,
    gzip: bool,
    target: &Target,
) -> Result<Fetched, Trouble> {
    let broken = |error| Trouble::Failure(Failure::transient(format!("the file came broken: {error}")));
    let mut profiler = Profiler::new(&target.format, gzip);
    loop {
        match received.blocking_recv() {
            Some(Piece::Bytes(bytes)) => {
                incoming.write(&bytes).map_err(disk)?;
                profiler.take(&bytes).map_err(broken)?;
            }
            Some(Piece::End) => break,
            None => return Err(Trouble::Failure(Failure::transient("the download was cut"))),
        }
    }
    let profile = profiler.finish().map_err(broken)?;
    let place = (target.slug.as_str(), target.report);
    let location = location(place, target.date, target.execution, &target.format, profile.encoding);
    let stored_bytes = incoming.publish(&location).map_err(disk)?;
    Ok(Fetched { profile, location, stored_bytes })
}
