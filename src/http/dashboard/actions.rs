//! What a viewer can have done: ask the API now, mend a report there, and send a delivery again. All is noted in the audit log.

use axum::extract::State;
use axum::response::Redirect;

use super::guard::Viewer;
use super::page::{Named, PageError};
use crate::access;
use crate::app::App;
use crate::db::StoreError;
use crate::id::{DeliveryId, ReportId};
use crate::notification::store::deliveries;
use crate::report;
use crate::wake::Topic;

const RETIRED: &str = "The report is retired: the API no longer runs it, so there is nothing to ask for.";
const CHANGED: &str = "The report changed meanwhile; look again at what differs.";
const REMOVED: &str = "The subscription of this delivery was removed, so there is nowhere to send it.";

/// Has the API asked for executions of a report.
pub(super) async fn check(
    Viewer(actor): Viewer,
    State(app): State<App>,
    Named(id): Named<ReportId>,
) -> Result<Redirect, PageError> {
    let mut tx = app.pool.begin().await?;
    let report = report::store::find(&mut tx, id).await?.ok_or(PageError::NotFound)?;
    if report.state == report::State::Retired {
        return Err(PageError::Conflict(RETIRED));
    }
    report::check::ask(&mut tx, id, app.clock.now()).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "report.check", &id.to_string()).await?;
    tx.commit().await?;
    app.wake.hint(Topic::Checks);
    Ok(Redirect::to(&format!("/reports/{id}")))
}

/// Has what somebody changed at the API brought back into line.
pub(super) async fn mend(
    Viewer(actor): Viewer,
    State(app): State<App>,
    Named(id): Named<ReportId>,
) -> Result<Redirect, PageError> {
    let mut tx = app.pool.begin().await?;
    let report = report::store::find(&mut tx, id).await?.ok_or(PageError::NotFound)?;
    if report.drift.is_some() {
        match report::store::comparisons::mend(&mut tx, &report, app.clock.now()).await {
            Err(StoreError::Lost) => return Err(PageError::Conflict(CHANGED)),
            mended => mended?,
        }
        access::store::note(&mut tx, &app.clock, &actor.name, "report.mend", &id.to_string()).await?;
    }
    tx.commit().await?;
    app.wake.hint(Topic::Reports);
    Ok(Redirect::to(&format!("/reports/{id}")))
}

/// Sends a delivery of a report's event again, under the same id; a pending one at once.
pub(super) async fn resend(
    Viewer(actor): Viewer,
    State(app): State<App>,
    Named((report_id, id)): Named<(ReportId, DeliveryId)>,
) -> Result<Redirect, PageError> {
    let mut tx = app.pool.begin().await?;
    let delivery = deliveries::find(&mut tx, id).await?.ok_or(PageError::NotFound)?;
    if delivery.report_id != Some(report_id) {
        return Err(PageError::NotFound);
    }
    match deliveries::resend(&mut tx, id, app.clock.now()).await {
        Err(StoreError::Lost) => return Err(PageError::Conflict(REMOVED)),
        resent => resent?,
    }
    access::store::note(&mut tx, &app.clock, &actor.name, "delivery.resend", &id.to_string()).await?;
    tx.commit().await?;
    app.wake.hint(Topic::Deliveries);
    Ok(Redirect::to(&format!("/reports/{report_id}")))
}
