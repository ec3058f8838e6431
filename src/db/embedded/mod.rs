//! The private Postgres of a service that was given no database.
//!
//! [`start`] finds server binaries (or fetches them), makes a cluster, starts its server and owns it until it is stopped. It
//! listens on a unix socket in a directory that only its user can enter, and on no port. What must hold: a commit that was
//! answered survives any kill (`fsync` is asserted after each start), nothing that was stored is ever deleted, and one data
//! directory has one owner. A server that outlived a killed service is taken over.

mod binaries;
mod cluster;
mod error;
mod fetch;
mod lock;
mod place;
mod process;
mod server;

use std::path::{Path, PathBuf};

use sqlx::Connection;
use sqlx::postgres::PgConnectOptions;

use self::binaries::Binaries;
pub use self::error::EmbeddedError;
use self::lock::Lock;
use self::place::Place;
use self::server::Server;

/// The database in the cluster.
const DATABASE: &str = "tidings";

/// Tells the operator, in one line, where things are and what takes long.
pub type Say<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// What the private Postgres is to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the locks lie, and the cluster (`postgres/`) if its user can enter it. As root: give it mode 0711 or more.
    pub data_dir: PathBuf,
    /// The only directory to look for server binaries in; none: wherever they are usually installed.
    pub binaries: Option<PathBuf>,
    /// Whether commits survive a power failure. Only a test may do without.
    pub fsync: bool,
    /// Whether binaries may be fetched when there are none.
    pub download: bool,
}

/// A server that this process owns. Dropped without [`Embedded::stop`], it is told to stop and not waited for.
#[derive(Debug)]
pub struct Embedded {
    server: Server,
    place: Place,
    _owner: Lock,
}

/// Starts the private Postgres of a data directory, or takes over the one that outlived its service.
pub async fn start(settings: &Settings, say: Say<'_>) -> Result<Embedded, EmbeddedError> {
    let data_dir = make_data_dir(&settings.data_dir)?;
    let _starting = lock::starting(&data_dir).await?;
    let owner = lock::own(&data_dir)?;
    let place = place::choose(&data_dir)?;
    say_place(&place, say);
    let server = match adopt(&place, say).await? {
        Some(server) => server,
        None => launch(settings, &place, say).await?,
    };
    // From here on a failure drops, and so stops, what was started.
    let embedded = Embedded { server, place, _owner: owner };
    embedded.prepare(settings.fsync).await?;
    Ok(embedded)
}

/// How to reach the server of this data directory when another process owns it. None when nobody does: then [`start`] it, or
/// take over the one that outlived its owner.
pub async fn running(data_dir: &Path) -> Result<Option<PgConnectOptions>, EmbeddedError> {
    let Ok(data_dir) = data_dir.canonicalize() else { return Ok(None) };
    let _starting = lock::starting(&data_dir).await?;
    if !lock::is_owned(&data_dir)? {
        return Ok(None);
    }
    let found = server::find(&place::find(&data_dir)?).await?;
    Ok(found.map(|server| server::options(&server.socket_dir, DATABASE)))
}

impl Embedded {
    /// How to reach the database.
    pub fn options(&self) -> PgConnectOptions {
        server::options(&self.server.socket_dir, DATABASE)
    }

    /// The process id of the server.
    pub fn server_pid(&self) -> u32 {
        self.server.pid
    }

    /// The directory of the cluster, its socket and its log.
    pub fn place(&self) -> &Path {
        &self.place.base
    }

    /// Stops the server and waits, within bounds, until it is gone. Open sessions are rolled back.
    pub async fn stop(mut self) -> Result<(), EmbeddedError> {
        self.server.stop(&self.place).await
    }

    /// Makes the database, and makes sure that the server is as durable as it was asked to be.
    async fn prepare(&self, fsync: bool) -> Result<(), EmbeddedError> {
        let refused = |source| EmbeddedError::Refused { log: self.place.log(), source };
        let mut connection = server::connect(&self.server.socket_dir, "postgres").await.map_err(refused)?;
        let exists = "select exists (select from pg_database where datname = $1)";
        let exists: bool =
            sqlx::query_scalar(exists).bind(DATABASE).fetch_one(&mut connection).await.map_err(refused)?;
        if !exists {
            sqlx::query("create database tidings").execute(&mut connection).await.map_err(refused)?;
        }
        let found: String = sqlx::query_scalar("show fsync").fetch_one(&mut connection).await.map_err(refused)?;
        connection.close().await.map_err(refused)?;
        let asked = server::on_off(fsync);
        if found == asked { Ok(()) } else { Err(EmbeddedError::Durability { found, asked }) }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.server.begin_stop(&self.place);
    }
}

fn make_data_dir(dir: &Path) -> Result<PathBuf, EmbeddedError> {
    std::fs::create_dir_all(dir).map_err(EmbeddedError::file("make the directory", dir))?;
    dir.canonicalize().map_err(EmbeddedError::file("find", dir))
}

fn say_place(place: &Place, say: Say<'_>) {
    let (base, user) = (place.base.display(), place.user.as_ref());
    if let (Some(barrier), Some(user)) = (&place.barrier, user) {
        say(&format!("the user {} can't enter {}: the database lies in {base}", user.name, barrier.display()));
    }
}

async fn adopt(place: &Place, say: Say<'_>) -> Result<Option<Server>, EmbeddedError> {
    let Some(server) = server::find(place).await? else { return Ok(None) };
    say(&format!("private Postgres: going on with process {}, which outlived its service", server.pid));
    Ok(Some(server))
}

async fn launch(settings: &Settings, place: &Place, say: Say<'_>) -> Result<Server, EmbeddedError> {
    let needed = cluster::major(place)?;
    let binaries = get_binaries(settings, place, needed, say).await?;
    say(&format!(
        "private Postgres {} of {}, data in {}",
        binaries.version,
        binaries.dir.display(),
        place.data().display()
    ));
    if needed.is_none() {
        say("making the database cluster (once; takes a few seconds)");
        cluster::init(&binaries, place, settings.fsync).await?;
    }
    server::launch(&binaries, place, settings.fsync, say).await
}

async fn get_binaries(
    settings: &Settings,
    place: &Place,
    needed: Option<u32>,
    say: Say<'_>,
) -> Result<Binaries, EmbeddedError> {
    let candidates = binaries::candidates(settings.binaries.as_deref(), place);
    let looked = match binaries::best(&candidates, place, needed).await {
        Ok(found) => return Ok(found),
        Err(looked) => looked,
    };
    let looked = match &settings.binaries {
        Some(only) => format!("in {}: {looked}", only.display()),
        None => looked,
    };
    let fetch = if !settings.download {
        "fetching them was not allowed".to_owned()
    } else if needed.is_some_and(|major| major != fetch::MAJOR) {
        format!("only Postgres {} can be fetched", fetch::MAJOR)
    } else {
        match fetch_binaries(place, needed, say).await {
            Ok(found) => return Ok(found),
            Err(why) => format!("fetching them failed: {why}"),
        }
    };
    Err(EmbeddedError::NoBinaries { looked, fetch, needed })
}

async fn fetch_binaries(place: &Place, needed: Option<u32>, say: Say<'_>) -> Result<Binaries, String> {
    say("no usable Postgres is installed on this machine");
    let dir = fetch::fetch(place, say).await?;
    binaries::best(&[dir], place, needed).await
}
