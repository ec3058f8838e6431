//! The story, played from outside: what a user would ask the admin API for, and what then happens by itself.
//!
//! Each step is waited for within its time. One that does not come ends the story with its name and with what was seen
//! last instead.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::house::House;
use super::show::Show;
use crate::cli::client::Client;
use crate::cli::sandbox;
use crate::sandbox::world::{Caught, CaughtKind};

const STEP_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(40);
const READER: &str = "someone@example.com";
const QUERY: &str = "SELECT CustomerName,CustomerMarket,CustomerSegment,WorkloadName,Month,PaidAvailableUnits,\
                     MonthlyActiveUsers FROM OfficeUsage TIMESPAN LAST_MONTH";

/// The story and where it is played.
pub(super) struct Story<'a> {
    house: &'a House,
    show: &'a Show,
    api: Client,
}

/// What the story leaves behind.
pub(super) struct Told {
    /// The report file in the archive.
    pub(super) file: PathBuf,
}

/// What a look shows.
enum Seen<T> {
    /// It happened.
    Happened(T),
    /// Not yet; how far it is.
    NotYet(String),
}

#[derive(Deserialize)]
struct Made {
    id: String,
}

#[derive(Deserialize)]
struct Dataset {
    name: String,
}

#[derive(Deserialize)]
struct Report {
    id: String,
    state: String,
    remote_id: Option<String>,
    last_failure: Option<String>,
    start_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Callback {
    method: String,
    path: String,
    received_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Execution {
    id: String,
    remote_id: String,
    state: String,
    found_by: String,
    failure: Option<String>,
    file: Option<File>,
}

#[derive(Deserialize)]
struct File {
    location: String,
    size_bytes: u64,
    rows: u64,
    columns: Vec<String>,
}

#[derive(Deserialize)]
struct Delivery {
    event_kind: String,
    subscription_id: String,
    state: String,
    reason: Option<String>,
    finished_at: Option<DateTime<Utc>>,
}

impl<'a> Story<'a> {
    /// A story in an open house.
    pub(super) fn new(house: &'a House, show: &'a Show) -> anyhow::Result<Self> {
        Ok(Self { house, show, api: Client::new(&house.url, house.key.0.clone())? })
    }

    /// Plays it from the account to the last notification.
    pub(super) async fn tell(&self) -> anyhow::Result<Told> {
        let account = self.make_account().await.context("account made")?;
        let subscriptions = self.subscribe().await.context("subscribed")?;
        let report = self.order(&account).await.context("report ordered")?;
        self.registered(&report).await?;
        let callback = self.called_back(&report).await?;
        let execution = self.found(&report).await?;
        let told = self.archived(&execution).await?;
        self.notified(&subscriptions, &callback).await?;
        self.caught().await?;
        Ok(told)
    }

    async fn make_account(&self) -> anyhow::Result<Made> {
        let body = sandbox::account(&self.house.sandbox, "Contoso")?;
        let account: Made = self.api.post("accounts", &body).await?;
        self.show.step("account made", &format!("Contoso, at the sandbox {}", self.house.sandbox.url()));
        let datasets: Vec<Dataset> = self.api.list(&format!("accounts/{}/datasets", account.id)).await?;
        let names: Vec<&str> = datasets.iter().map(|dataset| dataset.name.as_str()).collect();
        self.show.step("datasets seen", &names.join(", "));
        Ok(account)
    }

    /// One subscription for each channel. The answer names them by their ids.
    async fn subscribe(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let catch = |path: &str| self.house.sandbox.url().join(&format!("catch/{path}"));
        let mut subscriptions = BTreeMap::new();
        for (name, endpoint) in [
            ("email", json!({"channel": "email", "to": READER})),
            ("Slack", json!({"channel": "slack", "url": catch("slack/services/T000/B000/demo")?})),
            ("Teams", json!({"channel": "teams", "url": catch("teams/workflows/demo")?})),
            ("webhook", json!({"channel": "webhook", "url": catch("webhook/demo")?})),
        ] {
            let body = json!({"name": format!("Demo by {name}"), "endpoint": endpoint, "first_rows": "masked"});
            let made: Made = self.api.post("subscriptions", &body).await?;
            subscriptions.insert(made.id, name.to_owned());
        }
        self.show.step("subscribed", &format!("{READER} by email, a Slack channel, a Teams channel, a signed webhook"));
        Ok(subscriptions)
    }

    async fn order(&self, account: &Made) -> anyhow::Result<Report> {
        let body: Value = json!({
            "account_id": account.id,
            "name": "Daily Office usage",
            "description": "Who uses what, each day",
            "query": QUERY,
            "interval_hours": 24,
        });
        let report: Report = self.api.post("reports", &body).await?;
        self.show.step("report ordered", "\"Daily Office usage\", every 24 hours");
        Ok(report)
    }

    async fn registered(&self, report: &Report) -> anyhow::Result<()> {
        let path = format!("reports/{}", report.id);
        let look = async || {
            let report: Report = self.api.get(&path).await?;
            let (state, why) = (&report.state, report.last_failure.as_deref().unwrap_or("no failure so far"));
            Ok(match &report.remote_id {
                Some(remote_id) if state == "registered" => Seen::Happened(remote_id.clone()),
                _ if state == "rejected" => bail!("\"report registered\" failed: {why}"),
                _ => Seen::NotYet(format!("the report is in state {state} ({why})")),
            })
        };
        let remote_id = until("report registered", STEP_WITHIN, look).await?;
        let first = report.start_at.map_or_else(String::new, |at| {
            format!("; first due {}, here in {:.1} s", at.format("%F %R UTC"), self.wait(at).as_secs_f64())
        });
        self.show.step("report registered", &format!("{remote_id}{first}"));
        Ok(())
    }

    /// How long the sandbox waits for an occurrence.
    fn wait(&self, at: DateTime<Utc>) -> Duration {
        let wait = (at - self.house.app.clock.now()).to_std().unwrap_or_default();
        wait.div_f64(self.house.sandbox.world.settings().speed)
    }

    async fn called_back(&self, report: &Report) -> anyhow::Result<Callback> {
        let path = format!("callbacks?report_id={}", report.id);
        let within = STEP_WITHIN + report.start_at.map_or(Duration::ZERO, |at| self.wait(at));
        let look = async || {
            let newest: Vec<Callback> = self.api.list(&path).await?;
            let sent = self.house.sandbox.world.counts().callbacks;
            let seen = || Seen::NotYet(format!("the sandbox has sent {sent} callbacks"));
            Ok(newest.into_iter().last().map_or_else(seen, Seen::Happened))
        };
        let callback = until("callback received", within, look).await?;
        self.show.step("callback received", &format!("{} /callbacks/…{}", callback.method, callback.path));
        Ok(callback)
    }

    async fn found(&self, report: &Report) -> anyhow::Result<Execution> {
        let path = format!("executions?report_id={}", report.id);
        let look = async || {
            let newest: Vec<Execution> = self.api.list(&path).await?;
            let seen = || Seen::NotYet("no execution is known".into());
            Ok(newest.into_iter().last().map_or_else(seen, Seen::Happened))
        };
        let execution = until("execution found", STEP_WITHIN, look).await?;
        let detail = format!("{}, found by {}", execution.remote_id, execution.found_by);
        self.show.step("execution found", &detail);
        Ok(execution)
    }

    async fn archived(&self, execution: &Execution) -> anyhow::Result<Told> {
        let path = format!("executions/{}", execution.id);
        let look = async || {
            let execution: Execution = self.api.get(&path).await?;
            Ok(match execution.file {
                Some(file) => Seen::Happened(file),
                None if execution.state == "failed" => {
                    bail!("\"file archived\" failed: {}", execution.failure.unwrap_or_default())
                }
                None => Seen::NotYet(format!("the execution is in state {}", execution.state)),
            })
        };
        let file = until("file archived", STEP_WITHIN, look).await?;
        let shape = format!("{} rows, {} columns, {} bytes", file.rows, file.columns.len(), file.size_bytes);
        self.show.step("file archived", &format!("{shape}, {}", file.location));
        Ok(Told { file: self.house.app.archive.path(&file.location) })
    }

    async fn notified(&self, subscriptions: &BTreeMap<String, String>, callback: &Callback) -> anyhow::Result<()> {
        let mut waiting = subscriptions.clone();
        let mut last = callback.received_at;
        let look = async || {
            let deliveries: Vec<Delivery> = self.api.list("deliveries").await?;
            let mut seen = Vec::new();
            for delivery in deliveries.iter().filter(|delivery| delivery.event_kind == "report.ready") {
                let Some(name) = waiting.get(&delivery.subscription_id) else { continue };
                match delivery.state.as_str() {
                    "delivered" => {
                        self.show.step("notification out", name);
                        last = last.max(delivery.finished_at.unwrap_or(last));
                        waiting.remove(&delivery.subscription_id);
                    }
                    state => {
                        seen.push(format!("{name} {state}: {}", delivery.reason.as_deref().unwrap_or("no reason")));
                    }
                }
            }
            let names: Vec<&str> = waiting.values().map(String::as_str).collect();
            let far = format!("waiting for {} ({})", names.join(", "), seen.join("; "));
            Ok(if names.is_empty() { Seen::Happened(()) } else { Seen::NotYet(far) })
        };
        until("notifications out", STEP_WITHIN, look).await?;
        let milliseconds = (last - callback.received_at).num_milliseconds();
        self.show.step("everyone told", &format!("{milliseconds} ms after the callback"));
        Ok(())
    }

    async fn caught(&self) -> anyhow::Result<()> {
        let look = async || {
            let kinds: Vec<&str> = self.house.sandbox.world.caught().iter().map(kind).collect();
            let missing: Vec<&str> = KINDS.into_iter().filter(|wanted| !kinds.contains(wanted)).collect();
            let far = format!("the sandbox caught no {}", missing.join(", no "));
            Ok(if missing.is_empty() { Seen::Happened(()) } else { Seen::NotYet(far) })
        };
        until("all caught", STEP_WITHIN, look).await?;
        let caught = self.house.sandbox.world.caught();
        let subject = caught.iter().find_map(|caught| match &caught.what {
            CaughtKind::Mail(mail) => Some(mail.subject.clone()),
            _ => None,
        });
        let detail = format!("mail \"{}\", {}", subject.unwrap_or_default(), KINDS[1..].join(", "));
        self.show.step("all caught", &detail);
        Ok(())
    }
}

const KINDS: [&str; 4] = ["mail", "Slack message", "Teams message", "signed webhook"];

fn kind(caught: &Caught) -> &'static str {
    match &caught.what {
        CaughtKind::Mail(_) => KINDS[0],
        CaughtKind::Slack(_) => KINDS[1],
        CaughtKind::Teams(_) => KINDS[2],
        CaughtKind::Webhook(posted) => {
            let is_signed = posted.headers.iter().any(|(name, _)| name == "webhook-signature");
            if is_signed { KINDS[3] } else { "unsigned webhook" }
        }
    }
}

/// Looks until it happened.
async fn until<T>(
    step: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Seen<T>>,
) -> anyhow::Result<T> {
    let began = Instant::now();
    loop {
        let last = match look().await? {
            Seen::Happened(what) => return Ok(what),
            Seen::NotYet(last) => last,
        };
        if began.elapsed() > within {
            bail!("\"{step}\" did not happen within {} s: {last}", within.as_secs());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_step_that_does_not_come_is_named_with_what_was_seen_last() {
        let look = async || Ok(Seen::<()>::NotYet("the execution is in state ready".into()));

        let error = until("file archived", Duration::ZERO, look).await.unwrap_err();

        let expected = "\"file archived\" did not happen within 0 s: the execution is in state ready";
        assert_eq!(error.to_string(), expected);
    }
}
