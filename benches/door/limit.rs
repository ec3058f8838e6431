//! The limit itself: the same rows straight to Postgres, without a door.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::stored::execute;

const WRITERS: usize = 2;
const COPIED: u64 = 20_000;
const TABLE: &str = "create table if not exists copied (like callbacks including all)";
const COLUMNS: &str = "gen_random_uuid(), '2026-01-05', gen_random_uuid(), 'accepted', 'POST',
    '/4e1b3a8e-0a6d-4f8e-9f8a-0d6a4e5b7c21', null,
    '[[\"host\",\"127.0.0.1:8080\"],[\"user-agent\",\"PartnerInsights/1.0\"],[\"accept\",\"*/*\"],
      [\"content-type\",\"application/json\"],[\"x-correlation-id\",\"0af7651916cd43dd8448eb211c80319c\"],
      [\"content-length\",\"73\"]]',
    '{\"reportId\":\"4e1b3a8e-0a6d-4f8e-9f8a-0d6a4e5b7c21\",\"status\":\"Completed\"}', false, false, '127.0.0.1'";

/// Rows a second by two writers that commit `batch` rows at a time, made by the server itself.
pub(crate) async fn insert(options: &PgConnectOptions, batch: u32, seconds: f64) -> f64 {
    let mut connection = options.connect().await.unwrap();
    execute(&mut connection, TABLE).await;
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(seconds);
    let write = || async {
        let mut connection = options.connect().await.unwrap();
        let statement = format!("insert into copied select {COLUMNS} from generate_series(1, {batch})");
        let mut rows = 0;
        while Instant::now() < until {
            rows += sqlx::query(AssertSqlSafe(&*statement)).execute(&mut connection).await.unwrap().rows_affected();
        }
        rows
    };
    let written = futures_util::future::join_all((0..WRITERS).map(|_| write())).await;
    per_second(written.into_iter().sum(), began.elapsed())
}

/// Rows a second by one writer's `COPY`, twenty thousand to a commit.
pub(crate) async fn copy(options: &PgConnectOptions, seconds: f64) -> f64 {
    let mut connection = options.connect().await.unwrap();
    execute(&mut connection, TABLE).await;
    let text = format!("copy (select {COLUMNS} from generate_series(1, {COPIED})) to stdout");
    let (began, mut rows) = (Instant::now(), 0);
    let mut spent = Duration::ZERO;
    while began.elapsed().as_secs_f64() < seconds {
        let lines = read(&mut connection, &text).await;
        let copying = Instant::now();
        let mut copy = connection.copy_in_raw("copy copied from stdin").await.unwrap();
        copy.send(lines).await.unwrap();
        rows += copy.finish().await.unwrap();
        spent += copying.elapsed();
    }
    per_second(rows, spent)
}

async fn read(connection: &mut sqlx::PgConnection, statement: &str) -> Vec<u8> {
    use futures_util::TryStreamExt;
    let stream = connection.copy_out_raw(statement).await.unwrap();
    stream
        .try_fold(Vec::new(), |mut all, part| async move {
            all.extend_from_slice(&part);
            Ok(all)
        })
        .await
        .unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_second(rows: u64, spent: Duration) -> f64 {
    rows as f64 / spent.as_secs_f64()
}
