//! The API in words: the OpenAPI document, and a page made of it.

use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use serde_json::Value;

/// The OpenAPI document.
pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], super::openapi()).into_response()
}

/// Every call with what it does.
pub(super) async fn page() -> Html<String> {
    let document: Value = serde_json::from_str(&super::openapi()).unwrap_or_default();
    let mut environment = minijinja::Environment::new();
    let added = environment.add_template("docs.html", include_str!("templates/docs.html"));
    let calls = calls(&document);
    let rendered = added.and_then(|()| {
        environment.get_template("docs.html")?.render(minijinja::context! { calls => minijinja::value::Serde(calls) })
    });
    Html(rendered.unwrap_or_else(|_| "see /openapi.json".into()))
}

#[derive(serde::Serialize)]
struct DocumentedCall {
    method: String,
    path: String,
    summary: String,
}

fn calls(document: &Value) -> Vec<DocumentedCall> {
    let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    paths
        .flat_map(|(path, methods)| {
            methods.as_object().into_iter().flatten().map(move |(method, call)| DocumentedCall {
                method: method.to_uppercase(),
                path: path.clone(),
                summary: call.get("summary").and_then(Value::as_str).unwrap_or_default().to_owned(),
            })
        })
        .collect()
}
