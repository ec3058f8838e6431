//! `tidings sandbox`: the imitation API alone, for anyone's tests.

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::json;
use url::Url;

use super::{given, say, signals};
use crate::clock::Clock;
use crate::sandbox::{
    self, Account, Audience, Casing, DefaultExecutions, Encoding, NextLinks, Planned, Sandbox, Settings,
};
use crate::secret::{Secret, random_bytes};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Where to catch mails; any free port beside the other address when not given
    #[arg(long, value_name = "ADDRESS")]
    smtp_listen: Option<SocketAddr>,
    /// How others reach it, for secure links; the address that it listens on when not given
    #[arg(long, value_name = "URL")]
    public_url: Option<Url>,
    /// Something that goes wrong: NAME once, NAME=3 so many times, NAME:0.1 at this part of its occasions; may be given again
    #[arg(long = "fault", value_name = "NAME")]
    faults: Vec<Planned>,
    #[command(flatten)]
    time: Time,
    #[command(flatten)]
    answers: Answers,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    sign_in: SignIn,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Time")]
struct Time {
    /// How many times sooner than scheduled an occurrence is due
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    speed: f64,
    /// Seconds that an execution waits before it runs
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    pending_seconds: u16,
    /// Seconds that an execution runs
    #[arg(long, value_name = "SECONDS", default_value_t = 4)]
    running_seconds: u16,
    /// The sandbox's time at its start
    #[arg(long, value_name = "TIME", value_parser = given::time)]
    now: Option<DateTime<Utc>>,
    /// Makes ids, rows and rates the same for the same calls in the same order; any number when not given
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Answers of the API")]
struct Answers {
    /// How the keys of answers are written
    #[arg(long, value_enum, default_value = "documented")]
    casing: Casing,
    /// Which executions are told to one who names no status
    #[arg(long, value_enum, default_value = "observed")]
    default_executions: DefaultExecutions,
    /// The most items of one answer; all of them when not given
    #[arg(long, value_name = "ITEMS")]
    page_size: Option<NonZeroUsize>,
    /// Write the address of the next page without its host
    #[arg(long)]
    relative_next_links: bool,
    /// Answer a start time that can't be read with a message instead of an internal error
    #[arg(long)]
    date_messages: bool,
    /// Call back for reports that run at once, too
    #[arg(long)]
    callback_execute_now: bool,
    /// The most rows that the test of a query answers; both 100 and 10 are documented
    #[arg(long, value_name = "ROWS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    test_rows: u64,
    /// Fill `reportLocation` of completed executions, as Microsoft's samples demand
    #[arg(long)]
    report_location: bool,
    /// What a failed execution is called; no name is documented
    #[arg(long, value_name = "NAME", default_value = "Failed")]
    failure_status: String,
    /// Seconds that the fault slow-test takes
    #[arg(long, value_name = "SECONDS", default_value_t = 105)]
    slow_test_seconds: u16,
    /// Seconds that the fault callback-delayed holds a callback back
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    callback_delay_seconds: u16,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Files")]
struct Files {
    /// Rows of each file
    #[arg(long, default_value_t = 1_000)]
    rows: u64,
    /// How files are sent
    #[arg(long, value_enum, default_value = "gzip")]
    encoding: Encoding,
    /// Begin files with a byte order mark
    #[arg(long)]
    byte_order_mark: bool,
    /// End lines without a carriage return
    #[arg(long)]
    unix_lines: bool,
    /// Seconds that a secure link is good
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    link_seconds: u32,
    /// Tell in each execution when its link ends
    #[arg(long)]
    tell_expiry: bool,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Sign-in")]
struct SignIn {
    /// The directory that is signed in to; a sample one when not given, like all that follow
    #[arg(long)]
    tenant: Option<String>,
    /// The application's id
    #[arg(long)]
    client_id: Option<String>,
    /// The application's secret
    #[arg(long)]
    client_secret: Option<Secret>,
    /// From when on the secret is refused as expired; never when not given
    #[arg(long, value_name = "TIME", value_parser = given::time)]
    secret_expires_at: Option<DateTime<Utc>>,
    /// The application's certificate (PEM), for assertions in the secret's place; none when not given
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The first refresh token
    #[arg(long)]
    refresh_token: Option<Secret>,
    /// A user for the password grant and for device codes
    #[arg(long)]
    username: Option<String>,
    /// That user's password
    #[arg(long)]
    password: Option<Secret>,
    /// More accounts: a JSON list of objects with tenant, client_id, client_secret, username, password, refresh_token and,
    /// where wanted, certificate and secret_expires_at
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
    /// The first use of a new refresh token revokes the older ones of its chain
    #[arg(long)]
    strict_refresh: bool,
    /// Let applications without a user speak to mpn
    #[arg(long)]
    app_only_mpn: bool,
    /// Whom a token may be asked for
    #[arg(long, value_enum, default_value = "partner-center")]
    audience: Audience,
    /// Seconds to wait between two questions whether a device code was confirmed
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    device_interval_seconds: u16,
}

impl Arguments {
    fn settings(self) -> anyhow::Result<Settings> {
        let Self { time, answers, files, .. } = self;
        let run_time = Duration::from_secs(u64::from(time.pending_seconds) + u64::from(time.running_seconds));
        let settings = Settings {
            listen: self.listen,
            smtp_listen: Some(self.smtp_listen.unwrap_or_else(|| SocketAddr::new(self.listen.ip(), 0))),
            public_url: self.public_url,
            planned_faults: self.faults,
            speed: time.speed,
            pending_time: Some(seconds(time.pending_seconds)),
            run_time,
            now: time.now,
            // Ids that repeat would look like old ones to a client that remembers the last sandbox.
            seed: time.seed.unwrap_or_else(|| u64::from_be_bytes(random_bytes())),
            casing: answers.casing,
            default_executions: answers.default_executions,
            page_size: answers.page_size,
            next_links: if answers.relative_next_links { NextLinks::Relative } else { NextLinks::Absolute },
            date_messages: answers.date_messages,
            callback_execute_now: answers.callback_execute_now,
            test_rows: answers.test_rows,
            report_location: answers.report_location,
            failure_status: answers.failure_status,
            slow_test: seconds(answers.slow_test_seconds),
            callback_delay: seconds(answers.callback_delay_seconds),
            rows: files.rows,
            encoding: files.encoding,
            byte_order_mark: files.byte_order_mark,
            unix_lines: files.unix_lines,
            link_lifetime: seconds(files.link_seconds),
            tell_expiry: files.tell_expiry,
            ..Settings::default()
        };
        self.sign_in.put_into(settings)
    }
}

impl SignIn {
    fn put_into(self, settings: Settings) -> anyhow::Result<Settings> {
        let certificate = self.certificate.as_deref().map(read).transpose()?;
        let more: Vec<Account> = match self.accounts.as_deref() {
            Some(path) => serde_json::from_str(&read(path)?)
                .with_context(|| format!("{} is no JSON list of accounts", path.display()))?,
            None => Vec::new(),
        };
        let sample = Account::default();
        let first = Account {
            tenant: self.tenant.unwrap_or(sample.tenant),
            client_id: self.client_id.unwrap_or(sample.client_id),
            client_secret: self.client_secret.unwrap_or(sample.client_secret),
            secret_expires_at: self.secret_expires_at,
            certificate,
            refresh_token: self.refresh_token.unwrap_or(sample.refresh_token),
            username: self.username.unwrap_or(sample.username),
            password: self.password.unwrap_or(sample.password),
        };
        Ok(Settings {
            accounts: std::iter::once(first).chain(more).collect(),
            strict_refresh: self.strict_refresh,
            app_only_mpn: self.app_only_mpn,
            audience: self.audience,
            device_interval: seconds(self.device_interval_seconds),
            ..settings
        })
    }
}

fn seconds(seconds: impl Into<u64>) -> Duration {
    Duration::from_secs(seconds.into())
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

/// Runs until told to stop.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let stop = signals::stop()?;
    let settings = arguments.settings()?;
    let listen = settings.listen;
    let sandbox = sandbox::start(settings, Clock::system()).await;
    let sandbox = sandbox.with_context(|| format!("failed to start the sandbox at {listen}"))?;
    describe(&sandbox)?;
    stop.cancelled().await;
    sandbox.stop().await;
    Ok(())
}

fn describe(sandbox: &Sandbox) -> anyhow::Result<()> {
    let url = sandbox.world.url();
    say::line("The sandbox imitates the Partner Insights API. It protects nothing; its credentials are samples.");
    for (name, path) in [
        ("sign-in", format!("{}/oauth2/token", sandbox.world.account(0).tenant)),
        ("api mpn", "insights/v1/mpn".into()),
        ("api cmp", "insights/v1.1/cmp".into()),
        ("device", "sandbox/device".into()),
        ("slack", "catch/slack/anything".into()),
        ("teams", "catch/teams/anything".into()),
        ("webhook", "catch/webhook/anything".into()),
        ("page", "sandbox".into()),
    ] {
        say::about(name, url.join(&path)?.as_str());
    }
    if let Some(address) = sandbox.smtp_address() {
        say::about("mail", &format!("smtp://{address}?tls=none"));
    }
    for account in sandbox.world.accounts() {
        for (name, text) in [
            ("tenant", account.tenant.as_str()),
            ("client", &account.client_id),
            ("secret", account.client_secret.expose()),
            ("refresh", account.refresh_token.expose()),
            ("user", &account.username),
            ("password", account.password.expose()),
        ] {
            say::about(name, text);
        }
    }
    say::line("An account for `POST /api/v1/accounts` of a tidings that has TIDINGS_ALLOW_NETWORKS=127.0.0.0/8:");
    say::line(&serde_json::to_string_pretty(&account(sandbox, "Sandbox")?)?);
    say::line("Runs until ^C.");
    Ok(())
}

/// What an account at this sandbox is made with.
pub(super) fn account(sandbox: &Sandbox, name: &str) -> anyhow::Result<serde_json::Value> {
    let (user, url) = (sandbox.world.account(0), sandbox.world.url());
    Ok(json!({
        "name": name,
        "program": "mpn",
        "tenant_id": user.tenant,
        "client_id": user.client_id,
        "client_secret": user.client_secret.expose(),
        "grant": "refresh_token",
        "refresh_token": user.refresh_token.expose(),
        "login_url": url.as_str().trim_end_matches('/'),
        "api_url": url.join("insights/v1/mpn")?,
    }))
}
