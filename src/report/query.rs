//! Whether a query can work, found out before anything is sent: the grammar by itself, the names against the datasets that
//! the account is shown. Where those cannot be had, what keeps the grammar is taken, and registering has the last word.

use super::Draft;
use super::dataset::Datasets;
use super::limits::LONGEST_QUERY;
use super::store::queries;
use crate::account::session::CallError;
use crate::db::{StoreError, Stored};
use crate::field::FieldErrors;
use crate::id::{AccountId, QueryId};
use crate::insights::{Dataset, language};

/// Notes what is wrong with a query by itself.
pub fn check_text(errors: &mut FieldErrors, text: &str) {
    if text.trim().is_empty() || text.len() > LONGEST_QUERY || text.contains('\0') {
        errors.add("query", "must have 1 to 20000 bytes, such as SELECT Month FROM OfficeUsage");
    } else if let Err(problem) = language::parse(text) {
        errors.add("query", problem.to_string());
    }
}

/// Everything that the account's datasets have against a query that keeps the grammar, and against running it so often.
pub async fn misfits(
    datasets: &Datasets,
    account: AccountId,
    text: &str,
    interval_hours: Option<i32>,
) -> Stored<FieldErrors> {
    let Ok(query) = language::parse(text) else { return Ok(FieldErrors::default()) };
    let against = |items: &[Dataset]| {
        let mut errors = FieldErrors::default();
        for problem in language::check(&query, items) {
            errors.add("query", problem.to_string());
        }
        check_interval(&mut errors, language::dataset(&query, items), interval_hours);
        errors
    };
    let errors = against(&datasets.at_hand(account).await?);
    if errors.0.is_empty() {
        return Ok(errors);
    }
    // Datasets get new columns: nothing is refused for what we have not heard of yet.
    Ok(datasets.newer(account).await?.map_or(errors, |items| against(&items)))
}

/// The same for the query of a report, which may be one that is kept.
pub async fn misfits_of(datasets: &Datasets, draft: &Draft) -> Stored<FieldErrors> {
    let (account, interval) = (draft.account_id, draft.interval_hours);
    let Some(id) = draft.query_id else {
        return misfits(datasets, account, draft.query.as_deref().unwrap_or_default(), interval).await;
    };
    let kept = queries::find(&mut *datasets.pool.acquire().await?, account, id).await?;
    let mut errors = FieldErrors::default();
    match kept {
        None => errors.add("query_id", "names no query of this account"),
        Some(query) => {
            errors = misfits(datasets, account, &query.text, interval).await?;
            // The API has taken it, and may know columns that it does not show.
            errors.0.retain(|error| query.remote_id.is_none() || error.field != "query");
        }
    }
    Ok(errors)
}

/// Keeps a query that exists there, the system's own too; none if there is no such query.
pub async fn adopt(datasets: &Datasets, account: AccountId, remote_id: &str) -> Result<Option<QueryId>, CallError> {
    let there = datasets.sessions.call(account, |api| async move { api.all_queries().await }).await?;
    let Some(remote) = there.iter().find(|query| query.id.0.eq_ignore_ascii_case(remote_id.trim())) else {
        return Ok(None);
    };
    let mut tx = datasets.pool.begin().await.map_err(StoreError::from)?;
    let id = queries::adopt(&mut tx, &datasets.clock, account, (&remote.name, &remote.text, Some(&remote.id))).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Some(id))
}

fn check_interval(errors: &mut FieldErrors, dataset: Option<&Dataset>, interval_hours: Option<i32>) {
    let Some(dataset) = dataset else { return };
    let least = dataset.minimum_interval_hours.unwrap_or(0);
    if interval_hours.is_some_and(|hours| i64::from(hours) < least) {
        errors.add("interval_hours", format!("must be at least {least}: {} is not made anew more often", dataset.name));
    }
}
