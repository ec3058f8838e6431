//! The settings: flags and environment in one definition, whose comments are the help and the reference.
//!
//! Two levels: [`Given`] is what was typed, [`Settings`] is what was found right. A wrong setting is refused at start, all
//! wrong ones in one error; each is named with the shape of its value, never with the text of a secret. An empty value
//! counts as not given.

mod check;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::EnvFilter;
use url::Url;

use crate::callback;
use crate::channel::MailSettings;
use crate::download::fetch::DownloadHosts;
use crate::outbound::Guard;
use crate::report::limits::Quotas;
use crate::retention::Keep;
use crate::secret::{Keyring, Secret};

/// The settings of the service, as they were typed.
#[derive(clap::Args)]
pub struct Given {
    /// Address of everything; 127.0.0.1:8080 when not given
    #[arg(long, env = "TIDINGS_LISTEN", value_name = "ADDRESS")]
    listen: Option<String>,

    /// When set, TIDINGS_LISTEN serves only what the world needs, and the rest is here
    #[arg(long, env = "TIDINGS_ADMIN_LISTEN", value_name = "ADDRESS")]
    admin_listen: Option<String>,

    /// How the world reaches us: base of callback, share and unsubscribe addresses; http://{listen} when not given. The
    /// real API calls a public https address only
    #[arg(long, env = "TIDINGS_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,

    #[command(flatten)]
    database: GivenDatabase,

    /// Where report files rest: file://{folder}; {data_dir}/archive when not given
    #[arg(long, env = "TIDINGS_ARCHIVE_URL", value_name = "URL")]
    archive_url: Option<String>,

    /// What signs and seals: 32 bytes base64; several with commas between them: the first signs and seals, the others
    /// still verify and open. Generated once into the data directory when not given
    #[arg(long, env = "TIDINGS_SECRET_KEY", value_name = "KEYS", hide_env_values = true)]
    secret_key: Option<Secret>,

    /// A file that holds the secret key
    #[arg(long, env = "TIDINGS_SECRET_KEY_FILE", value_name = "FILE")]
    secret_key_file: Option<String>,

    /// An admin API key that exists from the start, of at least 24 characters
    #[arg(long, env = "TIDINGS_ADMIN_KEY", value_name = "KEY", hide_env_values = true)]
    admin_key: Option<Secret>,

    /// A file that holds the admin key
    #[arg(long, env = "TIDINGS_ADMIN_KEY_FILE", value_name = "FILE")]
    admin_key_file: Option<String>,

    /// The mail server: smtp://user:password@host:587 (STARTTLS when offered), smtps://…, or ?tls=required or ?tls=none
    /// behind it; email is off when not given
    #[arg(long, env = "TIDINGS_SMTP_URL", value_name = "URL", hide_env_values = true)]
    smtp_url: Option<Secret>,

    /// A file that holds the address of the mail server
    #[arg(long, env = "TIDINGS_SMTP_URL_FILE", value_name = "FILE")]
    smtp_url_file: Option<String>,

    /// Sender of mails, such as "Tidings <tidings@example.com>"
    #[arg(long, env = "TIDINGS_MAIL_FROM", value_name = "SENDER")]
    mail_from: Option<String>,

    /// Private networks that outgoing calls may reach, there by plain http too, such as 10.0.0.0/8,127.0.0.0/8; none when
    /// not given
    #[arg(long, env = "TIDINGS_ALLOW_NETWORKS", value_name = "CIDR,…")]
    allow_networks: Option<String>,

    /// Hosts that secure links may name, with all below them; those of Azure Blob Storage when not given
    #[arg(long, env = "TIDINGS_DOWNLOAD_HOSTS", value_name = "HOST,…")]
    download_hosts: Option<String>,

    /// No account calls the API more often than so many times a second, in this process: 1 to 1000; 10 when not given
    #[arg(long, env = "TIDINGS_CALLS_PER_SECOND", value_name = "CALLS")]
    calls_per_second: Option<String>,

    /// How much the API lets one account have, such as reports=50,at-once=5,queries=100, which are documented: active
    /// reports, reports that run at once within an hour, and queries
    #[arg(long, env = "TIDINGS_QUOTAS", value_name = "NAME=NUMBER,…")]
    quotas: Option<String>,
    /// No report is called back more often than so many times a second, in this process; what is above is answered 429: 1
    /// to 1000000; 1000 when not given
    #[arg(long, env = "TIDINGS_CALLBACKS_PER_SECOND", value_name = "CALLS")]
    callbacks_per_second: Option<String>,

    /// Networks of proxies in front of us, such as 10.0.0.0/8: who called is read from their X-Forwarded-For, or Forwarded;
    /// none when not given
    #[arg(long, env = "TIDINGS_TRUSTED_PROXIES", value_name = "CIDR,…")]
    trusted_proxies: Option<String>,

    /// HTTP proxy for API, sign-in and downloads; none when not given
    #[arg(long, env = "TIDINGS_PROXY", value_name = "URL", hide_env_values = true)]
    proxy: Option<Secret>,

    #[command(flatten)]
    keep: GivenKeep,
}

/// For how long what is kept, as it was typed.
#[derive(clap::Args)]
struct GivenKeep {
    /// Callbacks are removed after so many days: 1 to 3650; 90 when not given. Executions and files stay
    #[arg(long = "keep-callbacks-days", env = "TIDINGS_KEEP_CALLBACKS_DAYS", value_name = "DAYS")]
    callbacks: Option<String>,

    /// Attempts of deliveries that are done with are removed after so many days: 1 to 3650; 90 when not given
    #[arg(long = "keep-attempts-days", env = "TIDINGS_KEEP_ATTEMPTS_DAYS", value_name = "DAYS")]
    attempts: Option<String>,

    /// Deliveries that are done with are removed after so many days, once their attempts are: 1 to 3650; 90 when not given
    #[arg(long = "keep-deliveries-days", env = "TIDINGS_KEEP_DELIVERIES_DAYS", value_name = "DAYS")]
    deliveries: Option<String>,

    /// Events are removed after so many days, once their deliveries are: 30 to 3650; 400 when not given
    #[arg(long = "keep-events-days", env = "TIDINGS_KEEP_EVENTS_DAYS", value_name = "DAYS")]
    events: Option<String>,

    /// Lines of the audit log are removed after so many days: 1 to 3650; 400 when not given
    #[arg(long = "keep-audit-days", env = "TIDINGS_KEEP_AUDIT_DAYS", value_name = "DAYS")]
    audit: Option<String>,
}

/// Where our rows are, as it was typed.
#[derive(clap::Args)]
pub struct GivenDatabase {
    /// Postgres 15 or newer, postgres://user:password@host/database, direct or through a session pooler (DATABASE_URL
    /// counts too); a private Postgres when not given
    #[arg(long, env = "TIDINGS_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<Secret>,

    /// A file that holds the address of the database
    #[arg(long, env = "TIDINGS_DATABASE_URL_FILE", value_name = "FILE")]
    database_url_file: Option<String>,

    #[command(flatten)]
    home: GivenHome,
}

/// What lies on this machine, as it was typed.
#[derive(clap::Args)]
pub struct GivenHome {
    /// Holds the private Postgres, generated keys and the local archive; ./tidings-data when not given
    #[arg(long, env = "TIDINGS_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<String>,

    /// Folder of the server programs for the private Postgres; looked for where they usually are when not given
    #[arg(long, env = "TIDINGS_PG_BIN", value_name = "FOLDER")]
    pg_bin: Option<String>,

    /// Never fetch the server programs of the private Postgres
    #[arg(long, env = "TIDINGS_NO_DOWNLOAD", value_parser = FalseyValueParser::new())]
    no_download: bool,
}

/// What is logged and how, as it was typed.
#[derive(clap::Args)]
pub struct GivenLog {
    /// What is logged, such as info or tidings=debug,warn; info when not given (warn for all but serve)
    #[arg(long, env = "TIDINGS_LOG", value_name = "FILTER", global = true, display_order = 100)]
    log: Option<String>,

    /// text or json; text on a terminal, else json when not given
    #[arg(long, env = "TIDINGS_LOG_FORMAT", value_name = "FORMAT", global = true, display_order = 101)]
    log_format: Option<String>,
}

/// How to reach the service from outside, as it was typed.
#[derive(clap::Args)]
pub struct GivenReach {
    /// Where the service is: https, or http within private networks; http://{listen} when not given
    #[arg(long, env = "TIDINGS_URL", value_name = "URL", global = true, display_order = 90)]
    url: Option<String>,

    /// A file that holds an API key. TIDINGS_ADMIN_KEY may hold the key itself; the one that serve wrote to
    /// {data_dir}/admin.key when neither is given
    #[arg(long, env = "TIDINGS_ADMIN_KEY_FILE", value_name = "FILE", global = true, display_order = 91)]
    admin_key_file: Option<String>,

    /// The data directory of the service; ./tidings-data when not given
    #[arg(long, env = "TIDINGS_DATA_DIR", value_name = "FOLDER", global = true, display_order = 92)]
    data_dir: Option<String>,
}

/// How to reach the service from outside.
#[derive(Debug)]
pub struct Reach {
    /// Where it is.
    pub url: Url,
    /// An API key, if one was given.
    pub key: Option<Secret>,
    /// Where its data is, and a key in it.
    pub data_dir: PathBuf,
}

/// Settings that were found right.
#[derive(Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where to listen for all but what the world needs.
    pub admin_listen: Option<SocketAddr>,
    /// How the world reaches us, if that was said.
    pub public_url: Option<Url>,
    /// Where our rows are.
    pub database: Database,
    /// What lies on this machine.
    pub home: Home,
    /// The folder of the archive, if one was named.
    pub archive: Option<PathBuf>,
    /// Seals and signs, if it was given.
    pub keyring: Option<Keyring>,
    /// A key that may do everything.
    pub admin_key: Option<Secret>,
    /// How mails go out.
    pub mail: Option<MailSettings>,
    /// Private networks that may be called.
    pub guard: Guard,
    /// Hosts that secure links may name.
    pub download_hosts: DownloadHosts,
    /// No account calls the API more often.
    pub calls_per_second: u32,
    /// How much an account may have at the API.
    pub quotas: Quotas,
    /// Of the callback door.
    pub door: callback::Settings,
    /// For API, sign-in and downloads.
    pub proxy: Option<Url>,
    /// For how long what is kept.
    pub keep: Keep,
}

/// What lies on this machine.
#[derive(Debug, Clone)]
pub struct Home {
    /// Holds the private Postgres, generated keys and the local archive.
    pub data_dir: PathBuf,
    /// The only folder to look for server programs in.
    pub pg_bin: Option<PathBuf>,
    /// Whether server programs may be fetched.
    pub download: bool,
}

/// Which database.
#[derive(Debug)]
pub enum Database {
    /// One that runs already. Boxed, as it is so much larger than the other.
    Given(Box<PgConnectOptions>),
    /// Our own, under the data directory.
    Private,
}

/// What is logged and how.
#[derive(Debug)]
pub struct Log {
    /// What is logged, if that was said.
    pub filter: Option<EnvFilter>,
    /// JSON or text, if that was said.
    pub json: Option<bool>,
}

/// One setting that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its name in the environment.
    pub variable: &'static str,
    /// The shape of its value; of a secret no more than its length.
    pub found: String,
    /// What would be right.
    pub expected: String,
}

/// All settings that are wrong.
#[derive(Debug, thiserror::Error)]
pub struct Wrong(pub Vec<Problem>);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, verb) = (self.0.len(), if self.0.len() == 1 { "setting is" } else { "settings are" });
        write!(f, "{count} {verb} wrong")?;
        self.0.iter().try_for_each(|Problem { variable, found, expected }| {
            write!(f, "\n  {variable}: found {found}, expected {expected}")
        })
    }
}

/// How this machine reaches what listens at an address.
pub fn local_url(listening: SocketAddr) -> Url {
    check::local_url(listening)
}

/// Two checks in one: what either found wrong is told together.
pub fn both<A, B>(one: Result<A, Wrong>, other: Result<B, Wrong>) -> Result<(A, B), Wrong> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(wrong), Ok(_)) | (Ok(_), Err(wrong)) => Err(wrong),
        (Err(one), Err(other)) => Err(Wrong([one.0, other.0].concat())),
    }
}

impl Given {
    /// Checks every setting.
    pub fn check(self) -> Result<Settings, Wrong> {
        check::all(self)
    }
}

impl GivenDatabase {
    /// Checks what names the database.
    pub fn check(self) -> Result<(Database, Home), Wrong> {
        check::database_alone(self)
    }
}

impl GivenHome {
    /// Nothing here can be wrong by itself.
    pub fn home(self) -> Home {
        check::home(self)
    }
}

impl GivenReach {
    /// Checks how the service is reached.
    pub fn check(self) -> Result<Reach, Wrong> {
        check::reach(self)
    }
}

impl GivenLog {
    /// Checks what is said about the log.
    pub fn check(self) -> Result<Log, Wrong> {
        check::log(self)
    }
}
