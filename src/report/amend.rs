//! Changing a report there, by an update: its name, its schedule, how and where it calls. Its query cannot be changed.
//!
//! An update needs a start that is hours ahead, so it is given the next run of the same phase that the API takes, and what is
//! left of its runs. A run before that start does not happen; whoever asked for the change was told. An update may be repeated.

use super::Terms;
use super::register::Register;
use super::store::{Claimed, checks, settle};
use super::{Report, There, lifecycle};
use crate::account::ProgramName;
use crate::account::session::CallError;
use crate::db::StoreError;
use crate::insights;

const NO_ADDRESS: &str = "a report of the program cmp is changed only together with a callback address: \
    set TIDINGS_PUBLIC_URL to where Microsoft reaches this service";

pub(super) async fn amend(
    step: &Register,
    claim: &Claimed,
    report: &Report,
    remote: &insights::ReportId,
) -> Result<(), CallError> {
    let now = step.clock.now();
    let address = step.address(report).await?;
    if address.is_none() && step.program(report).await? == ProgramName::Cmp {
        return Ok(step.refused(claim, NO_ADDRESS).await?);
    }
    // A report that runs at once would become a scheduled one; where no run is left there is nothing to change.
    let terms = Terms::wanted(report, address.as_ref(), now).filter(|_| !report.execute_now);
    let mut there = report.there;
    if let Some(terms) = &terms {
        let send = terms.to_send(address.as_ref(), (None, None));
        let update = |api: insights::Api| {
            let send = send.clone();
            async move { api.update_report(remote, &send).await }
        };
        match step.sessions.call(claim.account_id, update).await {
            Ok(answer) => there = answer.as_ref().and_then(There::of).unwrap_or(there),
            // Somebody deleted it there; it is made anew.
            Err(CallError::Api(insights::Error::NotFound(_))) => {
                return lifecycle::is_there(step, claim, report, There::None).await;
            }
            Err(error) => return Err(error),
        }
    }
    let mut tx = step.pool.begin().await.map_err(StoreError::from)?;
    settle::amended(&mut tx, claim, (terms.as_ref(), report.runs(now)), there, now).await?;
    if let Some(start_at) = terms.and_then(|terms| terms.start_at) {
        checks::due_by(&mut tx, report.id, start_at).await?;
    }
    tx.commit().await.map_err(StoreError::from)?;
    tracing::info!(report = %report.id, callback = address.is_some(), "changed there");
    Ok(())
}
