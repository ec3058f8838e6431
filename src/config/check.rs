//! What makes a setting right, and what is said of a wrong one.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ipnet::IpNet;
use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::{
    Database, Given, GivenDatabase, GivenHome, GivenKeep, GivenLog, GivenReach, Home, Log, Problem, Reach, Settings,
    Wrong,
};
use crate::callback;
use crate::channel::MailSettings;
use crate::download::fetch::DownloadHosts;
use crate::outbound::Guard;
use crate::report::limits::Quotas;
use crate::retention::Keep;
use crate::secret::{Keyring, Secret};

const DEFAULT_LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 8080);
const DEFAULT_DATA_DIR: &str = "./tidings-data";
const DEFAULT_CALLS_PER_SECOND: u32 = 10;
/// The comparison reads so many reports of an account, at the most.
const QUOTA: RangeInclusive<usize> = 1..=1000;
const CALLS_PER_SECOND: RangeInclusive<u32> = 1..=1000;
const CALLBACKS_PER_SECOND: RangeInclusive<u32> = 1..=1_000_000;
const SHORTEST_ADMIN_KEY: usize = 24;
const LONGEST_SHOWN: usize = 60;
const LARGEST_FILE: u64 = 64 * 1024;
const MAIL_SERVER: &str = "smtp://user:password@host:587, smtps://…, or ?tls=required or ?tls=none behind it";
const SENDER: &str = "a sender such as Tidings <tidings@example.com>";

pub(super) fn all(given: Given) -> Result<Settings, Wrong> {
    let mut problems = Problems::default();
    let (database, home) = (database(&mut problems, &given.database), home(given.database.home));
    let settings = Settings {
        listen: problems
            .text("TIDINGS_LISTEN", given.listen, address)
            .unwrap_or_else(|| SocketAddr::from(DEFAULT_LISTEN)),
        admin_listen: problems.text("TIDINGS_ADMIN_LISTEN", given.admin_listen, address),
        public_url: problems.text("TIDINGS_PUBLIC_URL", given.public_url, public_url),
        archive: problems.text("TIDINGS_ARCHIVE_URL", given.archive_url, archive),
        keyring: problems.secret(
            ("TIDINGS_SECRET_KEY", given.secret_key),
            ("TIDINGS_SECRET_KEY_FILE", given.secret_key_file),
            |secret| {
                Keyring::parse(secret).map_err(|_| "32 bytes as base64, or several with commas between them".into())
            },
        ),
        admin_key: problems.secret(
            ("TIDINGS_ADMIN_KEY", given.admin_key),
            ("TIDINGS_ADMIN_KEY_FILE", given.admin_key_file),
            admin_key,
        ),
        mail: mail(&mut problems, given.smtp_url, given.smtp_url_file, given.mail_from),
        guard: problems.text("TIDINGS_ALLOW_NETWORKS", given.allow_networks, networks).unwrap_or_default(),
        download_hosts: problems.text("TIDINGS_DOWNLOAD_HOSTS", given.download_hosts, hosts).unwrap_or_default(),
        calls_per_second: problems
            .text("TIDINGS_CALLS_PER_SECOND", given.calls_per_second, |text| whole_number(text, &CALLS_PER_SECOND))
            .unwrap_or(DEFAULT_CALLS_PER_SECOND),
        quotas: problems.text("TIDINGS_QUOTAS", given.quotas, quotas).unwrap_or_default(),
        door: door(&mut problems, given.callbacks_per_second, given.trusted_proxies),
        proxy: problems.secret(("TIDINGS_PROXY", given.proxy), NO_FILE, proxy),
        keep: keep(&mut problems, given.keep),
        database,
        home,
    };
    problems.result(settings)
}

pub(super) fn database_alone(given: GivenDatabase) -> Result<(Database, Home), Wrong> {
    let mut problems = Problems::default();
    let database = database(&mut problems, &given);
    problems.result((database, home(given.home)))
}

pub(super) fn home(given: GivenHome) -> Home {
    let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty()).map(PathBuf::from);
    Home {
        data_dir: filled(given.data_dir).unwrap_or_else(|| DEFAULT_DATA_DIR.into()),
        pg_bin: filled(given.pg_bin),
        download: !given.no_download,
    }
}

pub(super) fn reach(given: GivenReach) -> Result<Reach, Wrong> {
    let mut problems = Problems::default();
    // A key on the command line would be seen by everyone on the machine.
    let key = std::env::var("TIDINGS_ADMIN_KEY").ok().map(Secret::new);
    let file = ("TIDINGS_ADMIN_KEY_FILE", given.admin_key_file);
    let url = problems.text("TIDINGS_URL", given.url, public_url);
    let reach = Reach {
        url: url.unwrap_or_else(|| listening(&mut problems)),
        key: problems.secret(("TIDINGS_ADMIN_KEY", key), file, |key| Ok(key.clone())),
        data_dir: given.data_dir.filter(|text| !text.trim().is_empty()).unwrap_or(DEFAULT_DATA_DIR.into()).into(),
    };
    problems.result(reach)
}

/// Where a service with the same environment serves the admin API.
fn listening(problems: &mut Problems) -> Url {
    let mut set = |variable| problems.text(variable, std::env::var(variable).ok(), address);
    let (admin, main) = (set("TIDINGS_ADMIN_LISTEN"), set("TIDINGS_LISTEN"));
    local_url(admin.or(main).unwrap_or_else(|| SocketAddr::from(DEFAULT_LISTEN)))
}

/// How this machine reaches what listens at an address.
pub(super) fn local_url(mut listening: SocketAddr) -> Url {
    if listening.ip().is_unspecified() {
        listening.set_ip(if listening.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    format!("http://{listening}").parse().expect("an address and a port make a URL")
}

pub(super) fn log(given: GivenLog) -> Result<Log, Wrong> {
    let mut problems = Problems::default();
    let filter = problems.text("TIDINGS_LOG", given.log, |text| {
        EnvFilter::try_new(text).map_err(|_| "a filter such as info or tidings=debug,warn".into())
    });
    let json = problems.text("TIDINGS_LOG_FORMAT", given.log_format, |text| match text {
        "text" => Ok(false),
        "json" => Ok(true),
        _ => Err("text or json".into()),
    });
    problems.result(Log { filter, json })
}

/// The second way to give a secret, where there is none.
const NO_FILE: (&str, Option<String>) = ("", None);

/// Collects what is wrong. A reader tells what it expected when it does not take a value.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, variable: &'static str, found: impl Into<String>, expected: impl Into<String>) {
        self.0.push(Problem { variable, found: found.into(), expected: expected.into() });
    }

    fn text<T>(
        &mut self,
        variable: &'static str,
        given: Option<String>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let given = given?;
        let text = given.trim();
        if text.is_empty() {
            return None;
        }
        read(text).map_err(|expected| self.add(variable, shown(text), expected)).ok()
    }

    fn secret<T>(
        &mut self,
        given: (&'static str, Option<Secret>),
        file: (&'static str, Option<String>),
        read: impl FnOnce(&Secret) -> Result<T, String>,
    ) -> Option<T> {
        let (variable, secret) = self.given_or_filed(given, file)?;
        read(&secret).map_err(|expected| self.add(variable, shape(&secret), expected)).ok()
    }

    /// The secret and the variable that gave it.
    fn given_or_filed(
        &mut self,
        (variable, given): (&'static str, Option<Secret>),
        (file_variable, file): (&'static str, Option<String>),
    ) -> Option<(&'static str, Secret)> {
        let given =
            given.map(|secret| Secret::new(secret.expose().trim())).filter(|secret| !secret.expose().is_empty());
        let filed = self.text(file_variable, file, |path| read_secret(Path::new(path)));
        if given.is_some() && filed.is_some() {
            self.add(file_variable, "a file", format!("only one of {variable} and {file_variable}"));
        }
        given.map(|secret| (variable, secret)).or_else(|| filed.map(|secret| (file_variable, secret)))
    }

    fn result<T>(self, settings: T) -> Result<T, Wrong> {
        if self.0.is_empty() { Ok(settings) } else { Err(Wrong(self.0)) }
    }
}

fn shown(text: &str) -> String {
    let short: String = text.chars().take(LONGEST_SHOWN).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", short.escape_debug())
}

fn shape(secret: &Secret) -> String {
    let count = secret.expose().chars().count();
    format!("{count} character{}", if count == 1 { "" } else { "s" })
}

fn read_secret(path: &Path) -> Result<Secret, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST_FILE).read_to_string(&mut text));
    read.map_err(|error| format!("a file that can be read as text ({error})"))?;
    let secret = text.trim();
    if secret.is_empty() { Err("a file that is not empty".into()) } else { Ok(Secret::new(secret)) }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "an address and a port such as 127.0.0.1:8080 or [::]:8080".into())
}

fn public_url(text: &str) -> Result<Url, String> {
    let is_base = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    let expected = "an address such as https://tidings.example.com, without user, query and fragment";
    text.parse().ok().filter(is_base).ok_or_else(|| expected.into())
}

fn archive(text: &str) -> Result<PathBuf, String> {
    let expected = "file:// and an absolute path, such as file:///srv/tidings/archive";
    if text.starts_with("s3://") || text.starts_with("az://") {
        return Err(format!("{expected}: this version keeps files in a local folder"));
    }
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "file");
    url.and_then(|url| url.to_file_path().ok()).ok_or_else(|| expected.into())
}

fn admin_key(secret: &Secret) -> Result<Secret, String> {
    let fits = |text: &str| text.chars().count() >= SHORTEST_ADMIN_KEY && text.chars().all(|c| c.is_ascii_graphic());
    let expected = format!("at least {SHORTEST_ADMIN_KEY} letters, digits and signs without blanks");
    if fits(secret.expose()) { Ok(secret.clone()) } else { Err(expected) }
}

fn networks(text: &str) -> Result<Guard, String> {
    cidrs(text).map(|networks| Guard::new(&networks))
}

fn cidrs(text: &str) -> Result<Vec<IpNet>, String> {
    let parsed: Result<Vec<IpNet>, _> = text.split(',').map(|network| network.trim().parse()).collect();
    parsed.map_err(|_| "networks such as 10.0.0.0/8,127.0.0.0/8,fd00::/8".into())
}

fn hosts(text: &str) -> Result<DownloadHosts, String> {
    let is_name = |name: &str| {
        name.contains(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c))
    };
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
    if names.iter().all(|name| is_name(name)) {
        Ok(DownloadHosts(names.into()))
    } else {
        Err("names of hosts such as blob.core.windows.net, with commas between them".into())
    }
}

fn whole_number(text: &str, bounds: &RangeInclusive<u32>) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| format!("a whole number from {} to {}", bounds.start(), bounds.end()))
}

fn keep(problems: &mut Problems, given: GivenKeep) -> Keep {
    let standard = Keep::default();
    let mut days = |variable, given, bounds: RangeInclusive<u32>, standard| {
        problems.text(variable, given, |text| whole_number(text, &bounds)).unwrap_or(standard)
    };
    Keep {
        callbacks: days("TIDINGS_KEEP_CALLBACKS_DAYS", given.callbacks, Keep::DAYS, standard.callbacks),
        attempts: days("TIDINGS_KEEP_ATTEMPTS_DAYS", given.attempts, Keep::DAYS, standard.attempts),
        deliveries: days("TIDINGS_KEEP_DELIVERIES_DAYS", given.deliveries, Keep::DAYS, standard.deliveries),
        events: days("TIDINGS_KEEP_EVENTS_DAYS", given.events, Keep::EVENTS, standard.events),
        audit: days("TIDINGS_KEEP_AUDIT_DAYS", given.audit, Keep::DAYS, standard.audit),
    }
}

fn quotas(text: &str) -> Result<Quotas, String> {
    let mut quotas = Quotas::default();
    for given in text.split(',') {
        let quota = given.split_once('=').and_then(|(name, number)| {
            let quota = match name.trim() {
                "reports" => &mut quotas.reports,
                "at-once" => &mut quotas.at_once,
                "queries" => &mut quotas.queries,
                _ => return None,
            };
            *quota = number.trim().parse().ok().filter(|number| QUOTA.contains(number))?;
            Some(())
        });
        quota.ok_or("reports, at-once or queries, each with = and a number from 1 to 1000, and commas between them")?;
    }
    Ok(quotas)
}

fn door(problems: &mut Problems, pace: Option<String>, proxies: Option<String>) -> callback::Settings {
    let usual = callback::Settings::default();
    callback::Settings {
        calls_per_second: problems
            .text("TIDINGS_CALLBACKS_PER_SECOND", pace, |text| whole_number(text, &CALLBACKS_PER_SECOND))
            .unwrap_or(usual.calls_per_second),
        trusted_proxies: problems
            .text("TIDINGS_TRUSTED_PROXIES", proxies, cidrs)
            .map_or(usual.trusted_proxies, Into::into),
    }
}

fn proxy(secret: &Secret) -> Result<Url, String> {
    let is_proxy = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let url = secret.expose().parse().ok().filter(is_proxy);
    url.ok_or_else(|| "an address such as http://proxy.example.com:3128".into())
}

/// A mail server needs a sender. Each is judged beside a counterpart that is known to be right.
fn mail(
    problems: &mut Problems,
    smtp_url: Option<Secret>,
    smtp_url_file: Option<String>,
    from: Option<String>,
) -> Option<MailSettings> {
    let is_filled = |text: Option<&str>| text.is_some_and(|text| !text.trim().is_empty());
    let server_is_given = is_filled(smtp_url.as_ref().map(Secret::expose)) || is_filled(smtp_url_file.as_deref());
    let sender_is_given = is_filled(from.as_deref());
    let file = ("TIDINGS_SMTP_URL_FILE", smtp_url_file);
    let server = problems.secret(("TIDINGS_SMTP_URL", smtp_url), file, |url| {
        let read = MailSettings::parse(url, "tidings@example.com");
        read.map(|_| url.clone()).map_err(|_| MAIL_SERVER.into())
    });
    let from = problems.text("TIDINGS_MAIL_FROM", from, |from| {
        let read = MailSettings::parse(&Secret::new("smtp://localhost"), from);
        read.map(|_| from.to_owned()).map_err(|_| SENDER.into())
    });
    if server_is_given && !sender_is_given {
        problems.add("TIDINGS_MAIL_FROM", "nothing", format!("{SENDER}, as TIDINGS_SMTP_URL is set"));
    }
    MailSettings::parse(&server?, &from?).ok()
}

fn database(problems: &mut Problems, given: &GivenDatabase) -> Database {
    let file = ("TIDINGS_DATABASE_URL_FILE", given.database_url_file.clone());
    let ours = problems.secret(("TIDINGS_DATABASE_URL", given.database_url.clone()), file, database_url);
    let usual = || {
        let usual = std::env::var("DATABASE_URL").ok().map(Secret::new);
        problems.secret(("DATABASE_URL", usual), NO_FILE, database_url)
    };
    ours.or_else(usual).map_or(Database::Private, |options| Database::Given(Box::new(options)))
}

fn database_url(secret: &Secret) -> Result<PgConnectOptions, String> {
    let text = secret.expose();
    let is_postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
    let options = is_postgres.then(|| PgConnectOptions::from_str(text).ok()).flatten();
    options.ok_or_else(|| "an address such as postgres://user:password@host:5432/database".into())
}
