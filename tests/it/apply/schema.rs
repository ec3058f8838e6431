//! The JSON Schema of the file of intent, read by somebody else's validator.

use serde_json::{Value, json};

use super::EXAMPLE;
use crate::support::command::{ended, tidings};

#[tokio::test]
async fn the_schema_takes_the_example_and_not_what_apply_refuses() {
    let printed = ended(&mut tidings(&["apply", "--schema"])).await;
    let schema: Value = serde_json::from_str(&printed.out).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    let schema = jsonschema::validator_for(&schema).unwrap();
    let example: Value = serde_saphyr::from_str(EXAMPLE).unwrap();

    let wrong: Vec<String> = schema.iter_errors(&example).map(|error| error.to_string()).collect();

    assert_eq!(wrong, Vec::<String>::new());
    for (field, value) in [
        ("/accounts/0/program", json!("mpx")),
        ("/accounts/0/client_secret", json!("plain-s3cret")),
        ("/accounts/0/colour", json!("red")),
        ("/reports/0/interval_hours", json!(3)),
        ("/subscriptions/1/events/0", json!("ReportReady")),
        ("/subscriptions/1/endpoint/channel", json!("pigeon")),
    ] {
        let (within, name) = field.rsplit_once('/').unwrap();
        let mut wrong = example.clone();
        match wrong.pointer_mut(within).unwrap() {
            Value::Array(items) => items[0] = value,
            fields => fields[name] = value,
        }
        assert!(!schema.is_valid(&wrong), "{field}");
    }
}

#[tokio::test]
async fn the_schema_that_the_example_points_to_is_the_one_that_is_printed() {
    let printed = ended(&mut tidings(&["apply", "--schema"])).await;

    assert!(EXAMPLE.starts_with("# yaml-language-server: $schema=./tidings.schema.json\n"));
    let renew = "run `tidings apply --schema > deploy/tidings.schema.json`";
    assert_eq!(include_str!("../../../deploy/tidings.schema.json"), printed.out, "{renew}");
}

#[tokio::test]
async fn the_schema_is_printed_whatever_is_set_in_the_environment_and_with_no_other_argument() {
    let mut set = tidings(&["apply", "--schema"]);
    set.env("TIDINGS_URL", "http://127.0.0.1:1").env("TIDINGS_LOG", "info").env("TIDINGS_ADMIN_KEY", "key");

    let printed = ended(&mut set).await;
    let both = ended(&mut tidings(&["apply", "--schema", "--prune"])).await;

    assert_eq!((printed.code, both.code), (Some(0), Some(2)), "{}", printed.err);
    assert!(printed.out.starts_with('{'), "{}", printed.out);
}
