//! `tidings serve`: the service.
//!
//! Settings, database, migrations, then edges and worker until a signal; the private Postgres is stopped last.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::database::Server;
use super::{home, say, service, signals};
use crate::access;
use crate::app::{self, App};
use crate::clock::Clock;
use crate::config::{Database, Settings, local_url};
use crate::http::Listeners;
use crate::insights::Program;
use crate::rotation::{self, Place};
use crate::secret::Secret;
use crate::telemetry;

/// Runs until told to stop.
pub(super) async fn run(mut settings: Settings) -> anyhow::Result<()> {
    let stop = signals::stop()?;
    settings.home.data_dir = home::make(&settings.home.data_dir)?;
    say::line(concat!("tidings ", env!("CARGO_PKG_VERSION")));
    // Before the database: a taken address is told at once.
    let listeners = listen(&settings).await?;
    let database = std::mem::replace(&mut settings.database, Database::Private);
    let starting = Server::start(database, &settings.home);
    let Some(server) = stop.run_until_cancelled(starting).await else { return Ok(()) };
    let server = server?;
    let served = serve(&server, settings, listeners, stop).await;
    let stopped = server.stop().await;
    served.and(stopped)
}

async fn serve(
    server: &Server,
    settings: Settings,
    listeners: Listeners,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Some(pool) = stop.run_until_cancelled(server.migrated()).await else { return Ok(()) };
    let pool = pool?;
    let data_dir = settings.home.data_dir.clone();
    if settings.keyring.is_none() && !home::has_secret_key(&data_dir) && access::knows_a_key(&pool).await? {
        anyhow::bail!(
            "{} is missing, and this database was used with a secret key: put that file back, or set TIDINGS_SECRET_KEY; \
             without it, stored secrets and callback addresses are lost",
            data_dir.join(home::SECRET_KEY).display()
        );
    }
    let (local_key, key_file) = home::admin_key(&data_dir)?;
    let settings = app_settings(settings, &listeners, local_key)?;
    let shown = Shown {
        dashboard: match &listeners.admin {
            Some(listener) => local_url(listener.local_addr()?),
            None => settings.public_url.clone(),
        },
        public_url: settings.public_url.clone(),
        admin_key_is_set: settings.admin_key.is_some(),
        key_file,
    };
    let app = App::build(pool.clone(), Clock::system(), settings).await?;
    say::about("secret key", &secret_keys(&app).await?);
    shown.say(&app, &listeners, server, &data_dir)?;
    let served = service::run(app, listeners, stop).await;
    pool.close().await;
    served
}

fn app_settings(settings: Settings, listeners: &Listeners, local_key: Secret) -> anyhow::Result<app::Settings> {
    let data_dir = &settings.home.data_dir;
    Ok(app::Settings {
        public_url: match settings.public_url {
            Some(url) => url,
            None => local_url(listeners.main.local_addr()?),
        },
        dashboard_is_public: listeners.admin.is_none(),
        keyring: match settings.keyring {
            Some(keyring) => keyring,
            None => home::keyring(data_dir)?,
        },
        archive: settings.archive.unwrap_or_else(|| data_dir.join("archive")),
        admin_key: settings.admin_key,
        local_key: Some(local_key),
        mail: settings.mail,
        guard: settings.guard,
        proxy: settings.proxy,
        download_hosts: settings.download_hosts,
        calls_per_second: settings.calls_per_second,
        quotas: settings.quotas,
        keep: settings.keep,
        door: settings.door,
        sandbox_page: None,
        metrics: Some(telemetry::metrics()),
    })
}

async fn listen(settings: &Settings) -> anyhow::Result<Listeners> {
    let main = bind("TIDINGS_LISTEN", settings.listen).await?;
    let admin = match settings.admin_listen {
        Some(address) => Some(bind("TIDINGS_ADMIN_LISTEN", address).await?),
        None => None,
    };
    Ok(Listeners { main, admin })
}

async fn bind(variable: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| {
        format!("failed to listen at {address}; set {variable} to an address of this machine that is free")
    })
}

/// What is told at the start.
struct Shown {
    public_url: Url,
    dashboard: Url,
    key_file: PathBuf,
    admin_key_is_set: bool,
}

impl Shown {
    fn say(&self, app: &App, listeners: &Listeners, server: &Server, data_dir: &Path) -> anyhow::Result<()> {
        say::about("database", &server.shown());
        say::about("data", &data_dir.display().to_string());
        say::about("archive", &app.archive.root().display().to_string());
        say::about("listening", &format!("http://{}", listeners.main.local_addr()?));
        if let Some(admin) = &listeners.admin {
            say::about("admin", &format!("http://{}", admin.local_addr()?));
        }
        say::about("public", &format!("{} ({})", shown(&self.public_url), reach(app)?));
        let mail = if app.channels.mail_is_set() {
            "on"
        } else {
            "off: email subscriptions fail until TIDINGS_SMTP_URL and TIDINGS_MAIL_FROM are set"
        };
        say::about("mail", mail);
        let or_set = if self.admin_key_is_set { "TIDINGS_ADMIN_KEY, or the key in" } else { "the API key in" };
        say::about(
            "dashboard",
            &format!("{}: sign in with {or_set} {}", shown(&self.dashboard), self.key_file.display()),
        );
        Ok(())
    }
}

/// The newest key by its id, and what needs those behind it. One that nothing needs may be on its way in or out.
async fn secret_keys(app: &App) -> anyhow::Result<String> {
    let keys = rotation::keys(&mut *app.pool.acquire().await?, &app.keyring).await?;
    let told = keys.iter().filter(|key| key.place != Place::Removed).map(|key| match key.place {
        Place::Newest => key.id.clone(),
        _ if key.uses.count() == 0 => format!("{} behind it is used by nothing", key.id),
        _ => format!("{} behind it still {}", key.id, key.uses),
    });
    Ok(told.collect::<Vec<_>>().join("; "))
}

/// Without the slash that stands for no path.
fn shown(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

fn reach(app: &App) -> anyhow::Result<&'static str> {
    let api = Program::Mpn.default_url().parse()?;
    Ok(if app.addresses.reachable_from(&api) {
        "Microsoft can call it back"
    } else {
        "Microsoft can't call it back: reports are found by their schedule; set TIDINGS_PUBLIC_URL to a public https address"
    })
}
