//! However an answer is spelled, it is read the same; and whatever is sent, something is made of it.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{answers, judge_query, queries, read, read_token, token_answers};
use crate::insights::wire::Dataset;

/// Decides what is left to chance; it shrinks to the plain spelling.
#[derive(Debug)]
struct Dice {
    rolls: Vec<u8>,
    at: usize,
}

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        let roll = self.rolls.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        usize::from(roll) % sides
    }

    fn blanks(&mut self) -> &'static str {
        ["", "", " ", "\t", "  \n"][self.roll(5)]
    }

    fn comma(&mut self) -> &'static str {
        [",", " ,\n", ", "][self.roll(3)]
    }

    fn around(&mut self, text: &str) -> String {
        format!("{}{text}{}", self.blanks(), self.blanks())
    }

    fn case(&mut self, text: &str) -> String {
        text.chars().map(|c| if self.roll(3) == 1 { flipped(c) } else { c }).collect()
    }
}

fn flipped(c: char) -> char {
    if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
}

fn dice() -> impl Strategy<Value = Dice> {
    prop::collection::vec(any::<u8>(), 0..600).prop_map(|rolls| Dice { rolls, at: 0 })
}

/// The same in JSON, spelled by chance.
fn respelled(value: &Value, dice: &mut Dice) -> String {
    match value {
        Value::Object(fields) => respelled_object(fields, dice),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| respelled(item, dice)).collect();
            format!("[{}]", items.join(dice.comma()))
        }
        Value::Number(number) => match dice.roll(4) {
            0 => number.to_string(),
            1 => format!("{number}.0"),
            2 => json!(dice.around(&number.to_string())).to_string(),
            _ => json!(format!("{number}.0")).to_string(),
        },
        Value::String(text) => json!(dice.around(text)).to_string(),
        other => other.to_string(),
    }
}

fn respelled_object(fields: &Map<String, Value>, dice: &mut Dice) -> String {
    let mut parts = Vec::new();
    for (key, value) in fields {
        if value.is_null() && dice.roll(2) == 1 {
            continue;
        }
        let key = dice.case(key);
        let key = json!(dice.around(&key));
        let part = format!("{key}{}:{}", dice.blanks(), respelled(value, dice));
        parts.insert(dice.roll(parts.len() + 1), part);
    }
    for unknown in ["\"isPublicInOrg\":false", "\"x-new\":{\"deep\":[1,{\"reportId\":\"no\"}]}", "\"\":null"] {
        if dice.roll(3) == 1 {
            parts.insert(dice.roll(parts.len() + 1), unknown.to_owned());
        }
    }
    format!("{{{}}}", parts.join(dice.comma()))
}

/// Any JSON, also under the keys that mean something.
fn any_json() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        3 => prop::sample::select(&["value", "Value", "nextLink", "statusCode", "message", "error", "reportId", "queryId",
            "executionId", "executionStatus", "startTime", "reportGeneratedTime", "reportAccessSecureLink", "datasetName",
            "selectableColumns", "minimumRecurrenceInterval", "callbackUrl", "access_token", "expires_in", "code"][..])
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[+-]?[0-9]{1,7}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,12})?(Z|[+-][0-9]{2}:[0-9]{2})?"
            .prop_map(Value::from),
        "https?://[a-zA-Z0-9.:@/?&=%\\[\\]]{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 128, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..12)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn an_answer_is_read_the_same_however_it_is_spelled(which in any::<prop::sample::Index>(), mut dice in dice()) {
        let (status, plain) = which.get(&answers()).clone();
        let spelled = respelled(&plain, &mut dice);

        prop_assert_eq!(read(status, spelled.as_bytes()), read(status, plain.to_string().as_bytes()), "{}", spelled);
    }

    #[test]
    fn an_answer_of_the_sign_in_is_read_the_same_however_it_is_spelled(which in any::<bool>(), mut dice in dice()) {
        let (status, plain) = token_answers()[usize::from(which)].clone();
        let spelled = respelled(&plain, &mut dice);

        prop_assert_eq!(read_token(status, spelled.as_bytes()), read_token(status, plain.to_string().as_bytes()));
    }

    #[test]
    fn an_unknown_status_is_kept_as_it_is(status in "[A-Za-z][A-Za-z _-]{0,30}[A-Za-z]") {
        let answer = json!({ "value": [{ "executionId": "1", "executionStatus": status, "reportId": "2",
            "reportStatus": status }] });

        let text = read(200, answer.to_string().as_bytes());

        prop_assert_eq!(text.matches(&format!("status: {status:?}")).count(), 2, "{}", text);
    }

    #[test]
    fn something_is_made_of_any_json(status in 200..=599_u16, answer in any_json()) {
        let body = answer.to_string();

        prop_assert!(!read(status, body.as_bytes()).is_empty());
        prop_assert!(!read_token(status, body.as_bytes()).is_empty());
    }

    #[test]
    fn something_is_made_of_any_bytes(status in 200..=599_u16, body in prop::collection::vec(any::<u8>(), 0..500)) {
        prop_assert!(!read(status, &body).is_empty());
        prop_assert!(!read_token(status, &body).is_empty());
    }

    #[test]
    fn a_query_is_read_the_same_in_any_case_and_with_any_blanks(
        which in any::<prop::sample::Index>(),
        mut dice in dice(),
    ) {
        let plain = which.get(&queries()).clone();
        let words: Vec<String> = plain.split_whitespace().map(|word| dice.case(word) + " " + dice.blanks()).collect();
        let spelled = words.concat();
        let said = |text: &str| -> Vec<String> {
            judge_query(text, &[]).into_iter().map(|problem| problem.message.to_lowercase()).collect()
        };

        prop_assert_eq!(said(&spelled), said(&plain), "{}", spelled);
    }

    #[test]
    fn a_problem_of_any_text_is_within_the_text(text in "(?s)(SELECT |FROM |WHERE |'|,|\\(|\\)|=|ü|\n|\\PC){0,60}") {
        for problem in judge_query(&text, &[]) {
            let lines: Vec<&str> = text.split('\n').collect();
            let line = lines.get(problem.place.line - 1).copied();
            prop_assert!(line.is_some_and(|line| problem.place.column <= line.chars().count() + 1), "{problem}");
        }
    }

    #[test]
    fn any_datasets_can_be_asked_about(names in prop::collection::vec(any::<String>(), 0..20)) {
        let dataset = Dataset {
            name: "OfficeUsage".into(),
            columns: names.clone(),
            metrics: names.clone(),
            date_ranges: names.clone(),
            minimum_interval_hours: Some(i64::MIN),
        };
        let text = format!("SELECT {}, SUM(Month) FROM OfficeUsage TIMESPAN LAST", "Month, Seats, abcdefgh");

        for problem in judge_query(&text, &[dataset]) {
            prop_assert!(!problem.message.is_empty());
        }
    }
}

#[test]
fn deep_nesting_is_refused_without_harm() {
    for (open, close) in [("[", "]"), ("{\"value\":", "}"), ("{\"error\":", "}")] {
        let deep = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
        assert!(read(200, deep.as_bytes()).contains("Malformed"), "{open}");
        assert!(read(400, deep.as_bytes()).contains("Refused"), "{open}");
        read_token(400, deep.as_bytes());
    }
    let deep = format!("SELECT a FROM b WHERE c IN {}", "(".repeat(200_000));
    assert_eq!(judge_query(&deep, &[])[0].message, "a list stands behind IN and NOT IN only");
}
