//! No query reads a large table from end to end, whatever it is asked.

use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::support::database::fresh;

#[path = "../../benches/history/plans.rs"]
mod look_at;

/// Unique by themselves: they serve no query.
const CONSTRAINTS: [&str; 1] = ["downloads_location_key"];

#[tokio::test]
async fn every_query_on_a_large_table_goes_by_an_index_and_every_index_serves_a_query() {
    let database = fresh().await;
    let mut conn = database.options.connect().await.unwrap();
    let counts = "set fill.callbacks = 100000; set fill.executions = 10000; set fill.deliveries = 50000;";
    let fill = format!("{counts} {}", include_str!("../../benches/history/fill.sql"));
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut conn).await.unwrap();
    // Tables of this size may well be read from end to end; large ones may not.
    sqlx::raw_sql("analyze; set enable_seqscan = off").execute(&mut conn).await.unwrap();

    let seen = look_at::look(&mut conn).await;

    assert!(seen.queries > 100, "{} queries", seen.queries);
    for (how, query) in &seen.unserved {
        println!("{how}\n{query}\n");
    }
    assert!(seen.unserved.is_empty(), "{} queries go by no index", seen.unserved.len());
    let unused: Vec<&String> = seen.used.iter().filter(|(_, times)| **times == 0).map(|(index, _)| index).collect();
    assert_eq!(unused, CONSTRAINTS);
}
