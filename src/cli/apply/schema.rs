//! The JSON Schema of the file of intent, for editors. `deploy/tidings.schema.json` is what this prints.

use serde_json::Value;
use utoipa::PartialSchema;

use super::file::Intent;

/// The schema.
pub(super) fn schema() -> serde_json::Result<String> {
    let mut schema = serde_json::to_value(Intent::schema())?;
    unwrap(&mut schema);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["additionalProperties"] = false.into();
    serde_json::to_string_pretty(&schema)
}

/// A field with words of its own comes as its type and an object with those words, which no text is: here it is its type,
/// with those words. Where it may be left out, the words about its type go, too: they are for who reads the code.
fn unwrap(schema: &mut Value) {
    if let Some([kind, words]) = schema["allOf"].as_array().map(Vec::as_slice)
        && let Some(text) = words.get("description").cloned()
    {
        let mut kind = kind.clone();
        kind["description"] = text;
        *schema = kind;
    }
    if schema["description"].is_string()
        && let Some(kinds) = schema.get_mut("oneOf").and_then(Value::as_array_mut)
    {
        kinds.iter_mut().filter_map(Value::as_object_mut).for_each(|kind| drop(kind.remove("description")));
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(unwrap),
        Value::Array(items) => items.iter_mut().for_each(unwrap),
        _ => {}
    }
}
