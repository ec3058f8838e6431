//! Datasets, and the queries over them.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::envelope::Answer;
use super::params::Params;
use crate::sandbox::datasets::{self, Dataset, Selection};
use crate::sandbox::fault::Fault;
use crate::sandbox::handle::Handle;
use crate::sandbox::rows::Table;
use crate::sandbox::rules::{self, Fields, Refusal};
use crate::sandbox::world::{Caller, FileSpec, Format, Program, Query, stamp};

pub(super) async fn datasets(Extension(caller): Extension<Caller>, params: Params) -> Result<Answer, Refusal> {
    let wanted = params.text("datasetname");
    let values: Vec<Value> = datasets::of(caller.program)
        .filter(|dataset| wanted.is_none_or(|name| dataset.name.eq_ignore_ascii_case(name)))
        .map(dataset_view)
        .collect();
    if values.is_empty() {
        return Err(Refusal::no_item());
    }
    Ok(Answer::found(values, "Dataset fetched successfully"))
}

pub(super) async fn list(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Answer, Refusal> {
    let (id, name) = (params.text("queryid"), params.text("queryname"));
    let with_system = params.flag("includesystemqueries").unwrap_or(true);
    let only_system = params.flag("includeonlysystemqueries").unwrap_or(false);
    let user = &handle.user(caller);
    let values: Vec<Value> = handle.with(|world| {
        let wanted = world.queries.iter().filter(|query| {
            caller.may_use(query)
                && id.is_none_or(|id| query.id.eq_ignore_ascii_case(id))
                && name.is_none_or(|name| query.name.eq_ignore_ascii_case(name))
                && if query.account.is_none() { with_system || only_system } else { !only_system }
        });
        wanted.map(|query| query_view(query, user)).collect()
    });
    if values.is_empty() {
        return Err(Refusal::no_item());
    }
    Ok(Answer::found(values, "Queries fetched successfully"))
}

pub(super) async fn create(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Answer, Refusal> {
    let fields = Fields::read(&body)?;
    let (name, text) = (fields.required("name")?, fields.required("query")?);
    datasets::select(caller.program, text)?;
    let query = Query {
        id: handle.with(|world| world.ids.next()),
        program: caller.program,
        name: name.to_owned(),
        description: fields.text("description").map(str::to_owned),
        text: text.to_owned(),
        account: Some(caller.account),
        created_at: handle.now(),
    };
    let view = query_view(&query, &handle.user(caller));
    handle.with(|world| {
        rules::query_quota(world, caller)?;
        world.queries.push(query);
        if world.faults.take(Fault::CreationUnanswered) {
            Err(Refusal::internal(rules::CREATING_QUERY))
        } else {
            Ok(())
        }
    })?;
    Ok(Answer::found(vec![view], "Query created successfully"))
}

pub(super) async fn remove(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Answer, Refusal> {
    let query = handle.with(|world| {
        let removable = |query: &Query| {
            caller.may_use(query) && query.account.is_some() && query.id.eq_ignore_ascii_case(id.trim())
        };
        let at = world.queries.iter().position(removable).ok_or_else(|| Refusal::bad("Invalid QueryID"))?;
        Ok(world.queries.remove(at))
    })?;
    let view = query_view(&query, &handle.user(caller));
    Ok(Answer::found(vec![view], "Query deleted successfully"))
}

pub(super) async fn test(
    State(handle): State<Handle>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<Answer, Refusal> {
    let text = match (params.text("exportquery"), params.text("queryid")) {
        (Some(text), None) => text.to_owned(),
        (None, Some(id)) => {
            let text = handle.with(|world| world.query(caller, id).map(|query| query.text.clone()));
            text.ok_or_else(|| Refusal::bad("Invalid QueryID"))?
        }
        _ => return Err(Refusal::bad("Null or missing value")),
    };
    for name in ["starttime", "endtime"] {
        rules::readable_date(params.text(name), rules::TESTING_QUERY)?;
    }
    let Selection { columns, limit, .. } = datasets::select(caller.program, &text)?;
    let (rows, slow) = handle.with(|world| (world.next_files.rows, world.faults.take(Fault::SlowTest)));
    if slow {
        tokio::time::sleep(handle.settings().slow_test).await;
        return Err(Refusal::internal(rules::TESTING_QUERY));
    }
    let rows = rows.min(limit.unwrap_or(u64::MAX)).min(handle.settings().test_rows);
    let file = FileSpec { format: Format::Csv, columns, rows, edition: 0 };
    let table = Table::new(&file, handle.settings().seed);
    Ok(Answer::rows((0..rows).map(|row| Value::Object(table.object(row))).collect()))
}

fn dataset_view(dataset: &Dataset) -> Value {
    let mut view = json!({
        "datasetName": dataset.name,
        "selectableColumns": dataset.columns().collect::<Vec<_>>(),
        "availableMetrics": dataset.metrics().collect::<Vec<_>>(),
        "availableDateRanges": dataset.ranges,
    });
    if let Some(hours) = dataset.minimum_interval {
        view["minimumRecurrenceInterval"] = json!(hours);
    }
    view
}

fn query_view(query: &Query, user: &str) -> Value {
    let mut view = json!({
        "queryId": query.id,
        "name": query.name,
        "description": query.description,
        "query": query.text,
        "type": if query.account.is_none() { "system" } else { "userDefined" },
        "user": query.account.map(|_| user),
        "createdTime": stamp(query.created_at),
    });
    if query.program == Program::Cmp {
        view["modifiedTime"] = Value::Null;
    }
    view
}
