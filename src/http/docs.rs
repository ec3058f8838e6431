//! The API in words: the OpenAPI document, and a page made of it.

use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use serde_json::Value;

const BASE: &str = "/api/v1";

/// The OpenAPI document.
pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], super::openapi()).into_response()
}

/// Every call: what it does, what it takes and what it answers.
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
    /// Of the query string, then of the body.
    takes: Vec<Field>,
    answers: Vec<String>,
}

#[derive(serde::Serialize)]
struct Field {
    name: String,
    kind: String,
    about: String,
}

fn calls(document: &Value) -> Vec<DocumentedCall> {
    let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    let all = paths.flat_map(|(path, methods)| {
        methods.as_object().into_iter().flatten().map(move |(method, call)| (path, method, call))
    });
    all.map(|(path, method, call)| DocumentedCall {
        method: method.to_uppercase(),
        path: format!("{BASE}{path}"),
        summary: text(call, "/summary"),
        takes: parameters(call).into_iter().chain(body(document, call)).collect(),
        answers: call
            .get("responses")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(s, _)| s.clone())
            .collect(),
    })
    .collect()
}

fn parameters(call: &Value) -> Vec<Field> {
    let all = call.get("parameters").and_then(Value::as_array).into_iter().flatten();
    all.filter(|one| text(one, "/in") == "query")
        .map(|one| Field {
            name: format!("?{}", text(one, "/name")),
            kind: kind(one.get("schema").unwrap_or(&Value::Null)),
            about: text(one, "/description"),
        })
        .collect()
}

fn body(document: &Value, call: &Value) -> Vec<Field> {
    let schema = call.pointer("/requestBody/content/application~1json/schema").unwrap_or(&Value::Null);
    let fields = resolved(document, schema).get("properties").and_then(Value::as_object).into_iter().flatten();
    fields
        .flat_map(|(name, schema)| {
            // An object inside, such as `endpoint`, is shown by its own fields.
            let inner = resolved(document, schema).get("properties").and_then(Value::as_object);
            match inner {
                Some(inner) => inner.iter().map(|(part, schema)| field(format!("{name}.{part}"), schema)).collect(),
                None => vec![field(name.clone(), schema)],
            }
        })
        .collect()
}

fn field(name: String, schema: &Value) -> Field {
    Field { name, kind: kind(schema), about: text(schema, "/description") }
}

/// A schema, or the one that it refers to, also where it may be null instead.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let choices = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let named = choices.chain([schema]).find_map(|one| one.get("$ref")?.as_str()?.strip_prefix('#'));
    named.and_then(|pointer| document.pointer(pointer)).unwrap_or(schema)
}

fn kind(schema: &Value) -> String {
    let words: Vec<String> = match schema.get("type") {
        Some(Value::String(word)) => vec![word.clone()],
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => {
            let choices = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
            let named = choices.chain([schema]).find_map(|one| one.get("$ref")?.as_str());
            named.and_then(|name| name.rsplit('/').next()).map(str::to_owned).into_iter().collect()
        }
    };
    let words: Vec<String> = words.into_iter().filter(|word| word != "null").collect();
    let format = text(schema, "/format");
    if format.is_empty() { words.join(" or ") } else { format!("{}, {format}", words.join(" or ")) }
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
