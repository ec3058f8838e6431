//! The plan of every query that the service has, as Postgres makes it when it does not know the values: which indexes are
//! used, and where a large table would be read from end to end. The queries are those of `.sqlx`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::Bench;

const LARGE: [&str; 6] = ["callbacks", "executions", "downloads", "events", "deliveries", "attempts"];

/// Prints how many queries use each index of the large tables, and the queries that none serves.
pub(super) async fn print(bench: &Bench) {
    let mut conn = bench.app.pool.acquire().await.unwrap();
    sqlx::raw_sql("set plan_cache_mode = force_generic_plan").execute(&mut *conn).await.unwrap();
    let mut seen = Seen { used: indexes(&mut conn).await, ..Seen::default() };
    let mut count = 0;
    for query in queries() {
        let text = query["query"].as_str().unwrap();
        let Some(plan) = plan(&mut conn, text, &query["describe"]["parameters"]["Left"]).await else { continue };
        count += 1;
        seen.look(&plan[0]["Plan"], text);
    }
    println!("\n{count} queries; how many use each index of the large tables (unique ones are needed anyway):");
    for (index, times) in &seen.used {
        println!("{times:>4}  {index}{}", if *times == 0 { "  !" } else { "" });
    }
    for (how, text) in &seen.unserved {
        println!("!  {how}\n{text}\n");
    }
    conn.detach().close().await.unwrap();
}

/// What plans do.
#[derive(Default)]
struct Seen {
    used: BTreeMap<String, usize>,
    unserved: Vec<(String, String)>,
}

impl Seen {
    fn look(&mut self, node: &Value, query: &str) {
        let (kind, relation) = (node["Node Type"].as_str().unwrap_or(""), node["Relation Name"].as_str().unwrap_or(""));
        let index = node["Index Name"].as_str().or(node["Conflict Arbiter Indexes"][0].as_str()).unwrap_or("");
        if let Some(times) = self.used.get_mut(index) {
            *times += 1;
        }
        // From end to end, in whatever order; one of the few partial indexes holds little.
        let is_walked = kind.starts_with("Index") && node["Index Cond"].is_null() && !node["Filter"].is_null();
        let is_partial = index.ends_with("due_at_idx");
        if LARGE.contains(&relation) && (kind.ends_with("Seq Scan") || is_walked && !is_partial) {
            self.unserved.push((format!("{kind} on {relation} {index}"), query.to_owned()));
        }
        for inner in node["Plans"].as_array().into_iter().flatten() {
            self.look(inner, query);
        }
    }
}

fn queries() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|file| serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap()).collect()
}

async fn indexes(conn: &mut PgConnection) -> BTreeMap<String, usize> {
    let all = "select indexrelid::regclass::text from pg_index where indrelid::regclass::text = any($1)";
    let names: Vec<String> = sqlx::query_scalar(all).bind(LARGE.map(str::to_owned)).fetch_all(conn).await.unwrap();
    names.into_iter().map(|name| (name, 0)).collect()
}

/// `None` if the query belongs to another state of the schema.
async fn plan(conn: &mut PgConnection, query: &str, parameters: &Value) -> Option<Value> {
    sqlx::raw_sql("deallocate all").execute(&mut *conn).await.unwrap();
    let prepare = sqlx::raw_sql(AssertSqlSafe(format!("prepare looked_at as {query}"))).execute(&mut *conn).await;
    if let Err(error) = prepare {
        println!("!  {error}\n{query}\n");
        return None;
    }
    let nulls = vec!["null"; parameters.as_array().map_or(0, Vec::len)].join(", ");
    let given = if nulls.is_empty() { nulls } else { format!("({nulls})") };
    let explain = format!("explain (format json) execute looked_at{given}");
    let row = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(conn).await.unwrap();
    Some(serde_json::from_str(&row.get_unchecked::<String, _>(0)).unwrap())
}
