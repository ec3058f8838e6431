//! The databases of a comparison, in one private Postgres, and a table that is full from the start.

use std::time::Instant;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tidings::db::{self, embedded};

/// Rows of one transaction while a table is filled.
const PART: u64 = 500_000;
/// Rows that fill the files of Postgres' log before anything is measured: some 700 MB.
const PASSING: u64 = 9_000_000;
/// Reports that the stored callbacks belong to.
const REPORTS: u64 = 1000;

/// A private Postgres that survives a power failure, as the service would start it.
pub(crate) struct Cluster {
    pub(crate) server: embedded::Embedded,
    _data_dir: tempfile::TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let data_dir = tempfile::tempdir().unwrap();
        // The database's user, who is another one when we are root, must be able to enter.
        std::fs::set_permissions(data_dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let settings =
            embedded::Settings { data_dir: data_dir.path().into(), binaries: None, fsync: true, download: true };
        let server = embedded::start(&settings, &|text| println!("{text}")).await.unwrap();
        let cluster = Self { server, _data_dir: data_dir };
        cluster.use_for_a_while().await;
        cluster
    }

    /// Files of Postgres' log are used again once they are there. A service of some hours makes no new ones, and nobody here is
    /// to wait for that.
    async fn use_for_a_while(&self) {
        let mut connection = self.server.options().connect().await.unwrap();
        let fill = format!("create table passing as select n, md5(n::text) from generate_series(1, {PASSING}) as n");
        for statement in [&*fill, "drop table passing", "checkpoint"] {
            execute(&mut connection, statement).await;
        }
    }

    /// A migrated database; gives its URL.
    pub(crate) async fn database(&self, name: &str) -> String {
        let mut connection = self.server.options().connect().await.unwrap();
        execute(&mut connection, &format!("create database {name}")).await;
        db::migrate(&self.options(name)).await.unwrap();
        self.server.options().database(name).to_url_lossy().into()
    }

    pub(crate) fn options(&self, name: &str) -> PgConnectOptions {
        self.server.options().database(name).options([("synchronous_commit", "on")])
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await.unwrap();
    }
}

/// Fills `callbacks` with what ninety days may have brought to a thousand reports, in the order in which it came.
pub(crate) async fn fill(options: &PgConnectOptions, rows: u64) {
    let began = Instant::now();
    // What was called long ago makes no check due now.
    let quickly = [("synchronous_commit", "off"), ("session_replication_role", "replica")];
    let mut connection = options.clone().options(quickly).connect().await.unwrap();
    for from in (0..rows).step_by(usize::try_from(PART).unwrap()) {
        execute(&mut connection, &part(from, (from + PART).min(rows), rows)).await;
    }
    let filled = began.elapsed().as_secs_f64();
    execute(&mut connection, "vacuum (analyze) callbacks").await;
    execute(&mut connection, "checkpoint").await;
    let size = "select pg_size_pretty(pg_table_size('callbacks')) || ' and indexes of '
                    || pg_size_pretty(pg_indexes_size('callbacks'))";
    let size: String = sqlx::query_scalar(size).fetch_one(&mut connection).await.unwrap();
    let all = began.elapsed().as_secs_f64();
    println!("stored {rows} callbacks in {filled:.0} s ({all:.0} s with vacuum and checkpoint): {size}");
    connection.close().await.unwrap();
}

/// Ids sort by time, as ours do: 48 bits of milliseconds, then what is random.
fn part(from: u64, to: u64, rows: u64) -> String {
    format!(
        "insert into callbacks
             (id, received_at, report_id, verdict, method, path, query, headers, body, body_escaped, body_cut, remote_address)
         select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3)
                    || '8' || substr(md5(n::text), 4, 15))::uuid,
             at, md5((hashint8(n) % {REPORTS})::text)::uuid, 'accepted', 'POST', '/' || md5((n % {REPORTS})::text), null,
             '[[\"host\",\"tidings.example.com\"],[\"user-agent\",\"PartnerInsights/1.0\"],[\"accept\",\"*/*\"],
               [\"content-type\",\"application/json\"],[\"x-correlation-id\",\"0af7651916cd43dd8448eb211c80319c\"],
               [\"content-length\",\"73\"]]',
             '{{\"reportId\":\"' || md5((n % {REPORTS})::text) || '\",\"status\":\"Completed\"}}', false, false, '203.0.113.7'
         from (select n, timestamptz '2026-01-05' + n * (interval '90 days' / {rows}) as at
               from generate_series({from}, {to} - 1) as n) as calls",
    )
}

pub(crate) async fn execute(connection: &mut PgConnection, statement: &str) {
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await.unwrap();
}
