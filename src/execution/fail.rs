//! Gives an execution up: there will be no file of it. That is told once.

use serde_json::json;
use sqlx::PgConnection;

use super::store;
use crate::clock::Clock;
use crate::db::{StoreError, Stored};
use crate::event::{self, About, Fact, Kind};
use crate::id::ExecutionId;
use crate::report;

/// Gives up an execution whose file is there and could not be fetched, and tells.
pub async fn give_up(conn: &mut PgConnection, clock: &Clock, id: ExecutionId, why: &str) -> Stored<()> {
    store::failed(conn, id, why, clock.now()).await?;
    tell(conn, clock, id, why).await
}

/// Tells that an execution has failed, unless nobody is told of it.
pub(super) async fn tell(conn: &mut PgConnection, clock: &Clock, id: ExecutionId, why: &str) -> Stored<()> {
    let execution = store::find(conn, id).await?.ok_or(StoreError::Lost)?;
    let report = report::store::find(conn, execution.report_id).await?.ok_or(StoreError::Lost)?;
    let fact = Fact {
        kind: Kind::ReportFailed,
        key: format!("failed:{id}"),
        about: About {
            account_id: Some(report.account_id),
            report_id: Some(report.id),
            execution_id: Some(id),
            ..About::default()
        },
        data: json!({
            "report": { "id": report.id, "name": report.name },
            "execution": execution.snapshot(),
            "reason": why,
        }),
    };
    if !execution.silent {
        event::store::append(conn, clock, fact).await?;
    }
    report::ending::run_is_over(conn, report.id, clock.now()).await?;
    Ok(())
}
