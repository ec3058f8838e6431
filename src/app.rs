//! Everything the service needs, built once.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::access::{self, Access};
use crate::account::session::Sessions;
use crate::account::sign_in::SignIns;
use crate::callback::{self, record::Door};
use crate::channel::{Channels, MailSettings};
use crate::clock::Clock;
use crate::download::archive::Archive;
use crate::download::fetch::{DownloadHosts, Fetch};
use crate::execution::discover::Discover;
use crate::notification::deliver::Deliver;
use crate::notification::fan_out::FanOut;
use crate::notification::links::Links;
use crate::outbound::{Guard, Outbound};
use crate::report::address::Addresses;
use crate::report::compare::Compare;
use crate::report::dataset::Datasets;
use crate::report::limits::Quotas;
use crate::report::register::Register;
use crate::retention::{Keep, Retention};
use crate::rotation;
use crate::secret::{Keyring, Secret};
use crate::wake::Wake;

/// What the service is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How the world reaches us.
    pub public_url: Url,
    /// Whether the dashboard is at the public address too.
    pub dashboard_is_public: bool,
    /// Private networks that may be called.
    pub guard: Guard,
    /// For API, sign-in and downloads.
    pub proxy: Option<Url>,
    /// Hosts that secure links may name.
    pub download_hosts: DownloadHosts,
    /// No account calls the API more often, in this process.
    pub calls_per_second: u32,
    /// How much an account may have at the API.
    pub quotas: Quotas,
    /// Of the callback door.
    pub door: callback::Settings,
    /// Seals and signs.
    pub keyring: Keyring,
    /// A key that may do everything.
    pub admin_key: Option<Secret>,
    /// The same, for the command line on this machine.
    pub local_key: Option<Secret>,
    /// How mails go out.
    pub mail: Option<MailSettings>,
    /// The folder of the archive.
    pub archive: PathBuf,
    /// For how long what is kept.
    pub keep: Keep,
    /// A page to link to from the dashboard: the sandbox's, in the demo.
    pub sandbox_page: Option<Url>,
    /// Renders the metrics.
    pub metrics: Option<PrometheusHandle>,
}

/// Why the service could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Another key was used with this database.
    #[error(transparent)]
    Keyring(#[from] access::KeyringError),
    /// A key that is still needed was removed.
    #[error(transparent)]
    Rotation(#[from] rotation::RotationError),
    /// No client.
    #[error(transparent)]
    Outbound(#[from] crate::outbound::SetupError),
    /// No channels.
    #[error(transparent)]
    Channels(#[from] crate::channel::SetupError),
    /// No archive.
    #[error("failed to open the archive at {0}; check that the folder can be written")]
    Archive(PathBuf, #[source] std::io::Error),
}

/// What everything is made of. Clones share it: each request has one.
#[derive(Clone)]
pub struct App(Arc<Parts>);

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The parts of [`App`].
pub struct Parts {
    /// Where our rows are.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Hints that there is work.
    pub wake: Wake,
    /// Seals and signs.
    pub keyring: Keyring,
    /// Keys and sessions.
    pub access: Access,
    /// What may be called.
    pub guard: Guard,
    /// The door to Microsoft.
    pub sessions: Sessions,
    /// Lets people sign in to accounts.
    pub sign_ins: SignIns,
    /// Our callback addresses.
    pub addresses: Addresses,
    /// The callback door.
    pub door: Door,
    /// Proxies whose word on who called is taken.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Where files rest.
    pub archive: Archive,
    /// Signed addresses.
    pub links: Links,
    /// The channels.
    pub channels: Arc<Channels>,
    /// What accounts can ask for.
    pub datasets: Datasets,
    /// Registers reports.
    pub register: Register,
    /// Compares reports with what is there.
    pub compare: Compare,
    /// Discovers executions.
    pub discover: Discover,
    /// Downloads files.
    pub fetch: Fetch,
    /// Makes deliveries.
    pub fan_out: FanOut,
    /// Delivers.
    pub deliver: Deliver,
    /// Removes what is old.
    pub retention: Retention,
    /// Told when the service stops: what would never end by itself ends then.
    pub stopping: CancellationToken,
    /// A page to link to from the dashboard.
    pub sandbox_page: Option<Url>,
    /// Renders the metrics.
    pub metrics: Option<PrometheusHandle>,
}

impl App {
    /// Builds it on a migrated database.
    pub async fn build(pool: PgPool, clock: Clock, settings: Settings) -> Result<Self, BuildError> {
        access::check_keyring(&pool, &clock, &settings.keyring).await?;
        rotation::check(&pool, &settings.keyring).await?;
        let keyring = settings.keyring;
        let wake = Wake::default();
        // The proxy is for Microsoft; endpoints are called straight, where the guard sees their addresses.
        let microsoft = Outbound::new(settings.guard.clone(), settings.proxy.as_ref())?;
        let straight = Outbound::new(settings.guard.clone(), None)?;
        let channels = Arc::new(Channels::new(straight, settings.mail)?);
        let archive =
            Archive::open(settings.archive.clone()).map_err(|error| BuildError::Archive(settings.archive, error))?;
        let addresses = Addresses::new(settings.public_url.clone(), &keyring, settings.guard.clone());
        let links = Links::new(settings.public_url, keyring.clone(), settings.dashboard_is_public);
        let base = (pool.clone(), clock.clone(), wake.clone());
        let sign_ins = sign_ins(&base, &keyring, &microsoft);
        let sessions = Sessions::new(
            pool.clone(),
            clock.clone(),
            keyring.clone(),
            microsoft.clone(),
            wake.clone(),
            settings.calls_per_second,
        );
        Ok(Self(Arc::new(Parts {
            access: Access::new(pool.clone(), clock.clone(), settings.admin_key, settings.local_key),
            door: Door::open(&pool, clock.clone(), addresses.clone(), &settings.door),
            trusted_proxies: settings.door.trusted_proxies,
            datasets: Datasets { pool: pool.clone(), clock: clock.clone(), sessions: sessions.clone() },
            register: register(&base, &sessions, &addresses, settings.quotas),
            compare: compare(&base, &sessions, &addresses),
            discover: discover(&base, &sessions),
            fetch: Fetch {
                pool: pool.clone(),
                clock: clock.clone(),
                sessions: sessions.clone(),
                outbound: microsoft,
                hosts: settings.download_hosts,
                archive: archive.clone(),
                wake: wake.clone(),
            },
            fan_out: FanOut { pool: pool.clone(), clock: clock.clone(), wake: wake.clone() },
            deliver: Deliver::new(
                pool.clone(),
                clock.clone(),
                keyring.clone(),
                channels.clone(),
                links.clone(),
                wake.clone(),
            ),
            retention: Retention { pool: pool.clone(), clock: clock.clone(), keep: settings.keep },
            guard: settings.guard,
            stopping: CancellationToken::new(),
            sandbox_page: settings.sandbox_page,
            metrics: settings.metrics,
            pool,
            clock,
            wake,
            keyring,
            sessions,
            sign_ins,
            addresses,
            archive,
            links,
            channels,
        })))
    }
}

type Base = (PgPool, Clock, Wake);

fn sign_ins((pool, clock, wake): &Base, keyring: &Keyring, outbound: &Outbound) -> SignIns {
    SignIns {
        pool: pool.clone(),
        clock: clock.clone(),
        keyring: keyring.clone(),
        outbound: outbound.clone(),
        wake: wake.clone(),
    }
}

fn register((pool, clock, wake): &Base, sessions: &Sessions, addresses: &Addresses, quotas: Quotas) -> Register {
    Register {
        pool: pool.clone(),
        clock: clock.clone(),
        sessions: sessions.clone(),
        addresses: addresses.clone(),
        wake: wake.clone(),
        quotas,
    }
}

fn compare((pool, clock, wake): &Base, sessions: &Sessions, addresses: &Addresses) -> Compare {
    Compare {
        pool: pool.clone(),
        clock: clock.clone(),
        sessions: sessions.clone(),
        addresses: addresses.clone(),
        wake: wake.clone(),
    }
}

fn discover((pool, clock, wake): &Base, sessions: &Sessions) -> Discover {
    Discover { pool: pool.clone(), clock: clock.clone(), sessions: sessions.clone(), wake: wake.clone() }
}
