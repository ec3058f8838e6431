//! How a sandbox is to be, and the accounts that may sign in to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use chrono::{DateTime, Utc};
use url::Url;

use super::fault::{Fault, Planned};
use crate::secret::Secret;

/// One identity that may sign in. Several may share a directory and an application: the user tells them apart.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    pub tenant: String,
    pub client_id: String,
    pub client_secret: Secret,
    /// From then on the secret is refused as expired.
    #[serde(default)]
    pub secret_expires_at: Option<DateTime<Utc>>,
    /// The certificate (PEM) that an assertion in the secret's place must be signed for.
    #[serde(default)]
    pub certificate: Option<String>,
    pub username: String,
    pub password: Secret,
    /// The first refresh token, which was got with a second factor; each answer of the sign-in brings a newer one.
    pub refresh_token: Secret,
}

/// That of a sample tenant.
impl Default for Account {
    fn default() -> Self {
        Self {
            tenant: "5a4d8f0e-1111-4c6b-9b8e-000000000001".to_owned(),
            client_id: "5a4d8f0e-2222-4c6b-9b8e-000000000002".to_owned(),
            client_secret: Secret::new("sandbox-client-secret"),
            secret_expires_at: None,
            certificate: None,
            username: "reports@contoso.example".to_owned(),
            password: Secret::new("sandbox-password"),
            refresh_token: Secret::new("sandbox-refresh-token"),
        }
    }
}

/// How the keys of answers are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Casing {
    /// As in the worked examples: camel case, but `CallbackMethod`.
    #[default]
    Documented,
    /// Camel case without exception.
    Camel,
    /// As on the pages of the single calls: a capital first, and keys with stray blanks.
    Pascal,
}

/// Which executions are told to one who names no status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DefaultExecutions {
    /// Completed ones.
    Documented,
    /// Completed ones; of a report that runs at once also those that aren't yet, as pending until they are.
    #[default]
    Observed,
    /// Whatever their status.
    Any,
}

/// Whom a token is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Audience {
    /// Partner Center alone.
    #[default]
    PartnerCenter,
    /// Also the Graph of old, as Microsoft's samples and clients of 2021 to 2023 ask.
    Any,
}

/// How a file is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Encoding {
    /// Gzip with its header.
    #[default]
    Gzip,
    /// Gzip without the header that says so.
    Unmarked,
    Plain,
}

/// How the address of the next page is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NextLinks {
    #[default]
    Absolute,
    Relative,
}

/// How a sandbox is to be. The defaults are a sample tenant on ports of this machine that happen to be free.
#[derive(Debug, Clone)]
pub struct Settings {
    pub listen: SocketAddr,
    /// None: no mail is caught.
    pub smtp_listen: Option<SocketAddr>,
    /// How others reach it, for secure links; none: by the address that it listens on.
    pub public_url: Option<Url>,
    /// Everyone who may sign in; at least one.
    pub accounts: Vec<Account>,
    /// Whether the first use of a new refresh token revokes the older ones of its chain; else all stay good.
    pub strict_refresh: bool,
    /// How long a refresh token may lie unused.
    pub refresh_idle: Duration,
    /// How long to wait between two questions whether a device code was confirmed.
    pub device_interval: Duration,
    /// Whether an application without a user may speak to mpn.
    pub app_only_mpn: bool,
    pub audience: Audience,
    pub casing: Casing,
    pub default_executions: DefaultExecutions,
    /// The most items of one answer; none: all of them.
    pub page_size: Option<NonZeroUsize>,
    pub next_links: NextLinks,
    /// Whether a date that can't be read is told to be one, rather than answered with an internal error.
    pub date_messages: bool,
    /// Whether a report that runs at once calls back, too.
    pub callback_execute_now: bool,
    /// What a failed execution is called; no name is documented.
    pub failure_status: String,
    /// How long the next test of a query takes under [`Fault::SlowTest`], by the real clock.
    pub slow_test: Duration,
    /// How long a callback is held back under [`Fault::CallbackDelayed`].
    pub callback_delay: Duration,
    /// The most rows that the test of a query answers; both 100 and 10 are documented.
    pub test_rows: u64,
    /// Whether a completed execution tells its `reportLocation`, which Microsoft's samples demand.
    pub report_location: bool,
    pub encoding: Encoding,
    /// Whether files begin with a byte order mark.
    pub byte_order_mark: bool,
    /// Whether lines end without a carriage return.
    pub unix_lines: bool,
    /// How long a secure link is good.
    pub link_lifetime: Duration,
    /// Whether executions tell when their link ends.
    pub tell_expiry: bool,
    /// How many times sooner than scheduled an occurrence is due.
    pub speed: f64,
    /// From the start of an execution to its end.
    pub run_time: Duration,
    /// How much of that it only waits; none: a quarter.
    pub pending_time: Option<Duration>,
    /// Rows of each file.
    pub rows: u64,
    /// Each happens once; one that is listed twice happens twice.
    pub faults: Vec<Fault>,
    /// More faults, each with its count or its rate.
    pub planned_faults: Vec<Planned>,
    /// The sandbox's time at its start; none: that of the clock it is given.
    pub now: Option<DateTime<Utc>>,
    /// Whether time passes by itself; else only when [`Handle::tick`](super::Handle::tick) is called.
    pub ticking: bool,
    /// The same seed gives the same rows, and to the same calls in the same order the same ids.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: anywhere,
            smtp_listen: Some(anywhere),
            public_url: None,
            accounts: vec![Account::default()],
            strict_refresh: false,
            refresh_idle: Duration::from_hours(24 * 90),
            device_interval: Duration::from_secs(5),
            app_only_mpn: false,
            audience: Audience::default(),
            casing: Casing::default(),
            default_executions: DefaultExecutions::default(),
            page_size: None,
            next_links: NextLinks::default(),
            date_messages: false,
            callback_execute_now: false,
            failure_status: "Failed".to_owned(),
            slow_test: Duration::from_secs(105),
            callback_delay: Duration::from_mins(1),
            test_rows: 100,
            report_location: false,
            encoding: Encoding::default(),
            byte_order_mark: false,
            unix_lines: false,
            link_lifetime: Duration::from_hours(1),
            tell_expiry: false,
            speed: 1.0,
            run_time: Duration::from_secs(2),
            pending_time: None,
            rows: 1_000,
            faults: Vec::new(),
            planned_faults: Vec::new(),
            now: None,
            ticking: true,
            seed: 1,
        }
    }
}
