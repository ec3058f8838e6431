//! The plan of every query that the service has, as Postgres makes it when it does not know the values: which indexes are
//! used, and where a large table would be read from end to end. The queries are those of `.sqlx`. A test uses this too.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, Row};

const LARGE: [&str; 6] = ["callbacks", "executions", "downloads", "events", "deliveries", "attempts"];

/// What the plans do.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How many queries there are.
    pub(crate) queries: usize,
    /// How many of them use each index of the large tables.
    pub(crate) used: BTreeMap<String, usize>,
    /// Those that read a large table from end to end: how, and the query.
    pub(crate) unserved: Vec<(String, String)>,
}

/// Looks at all plans, on a connection that nobody uses afterwards.
pub(crate) async fn look(conn: &mut PgConnection) -> Seen {
    sqlx::raw_sql("set plan_cache_mode = force_generic_plan").execute(&mut *conn).await.unwrap();
    let mut seen = Seen { used: indexes(conn).await, ..Seen::default() };
    for query in queries() {
        let text = query["query"].as_str().unwrap();
        let parameters = query["describe"]["parameters"]["Left"].as_array().map_or(0, Vec::len);
        let plan = plan(conn, text, parameters).await;
        seen.queries += 1;
        seen.note(&plan[0]["Plan"], text);
    }
    seen
}

impl Seen {
    fn note(&mut self, node: &Value, query: &str) {
        let (kind, relation) = (node["Node Type"].as_str().unwrap_or(""), node["Relation Name"].as_str().unwrap_or(""));
        let index = node["Index Name"].as_str().or(node["Conflict Arbiter Indexes"][0].as_str()).unwrap_or("");
        if let Some(times) = self.used.get_mut(index) {
            *times += 1;
        }
        // An index can be read from end to end too, but for the one that holds only what is open.
        let is_walked = node["Index Cond"].is_null() && !node["Filter"].is_null() && index != "downloads_due_at_idx";
        if LARGE.contains(&relation) && (kind.ends_with("Seq Scan") || kind.starts_with("Index") && is_walked) {
            self.unserved.push((format!("{kind} on {relation} {index}"), query.to_owned()));
        }
        for inner in node["Plans"].as_array().into_iter().flatten() {
            self.note(inner, query);
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

async fn plan(conn: &mut PgConnection, query: &str, parameters: usize) -> Value {
    let nulls = vec!["null"; parameters].join(", ");
    let given = if nulls.is_empty() { nulls } else { format!("({nulls})") };
    let prepare = format!("deallocate all; prepare looked_at as {query}");
    let prepared = sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *conn).await;
    prepared.unwrap_or_else(|error| panic!("{error}; is .sqlx up to date?\n{query}"));
    let explain = format!("explain (format json) execute looked_at{given}");
    let row = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(conn).await.unwrap();
    serde_json::from_str(row.get_unchecked::<&str, _>(0)).unwrap()
}
