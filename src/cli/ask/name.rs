//! What a name means: an id, a name, or `Account/Name`.
//!
//! An id is one thing. A name means what lives; only where nothing of that name does, the newest that was retired. Where
//! that leaves several, nothing is guessed.

use serde_json::Value;

/// Something that may be meant.
pub(super) struct Candidate {
    /// The name of its account, where it has one.
    pub(super) account: Option<String>,
    /// It, as the admin API shows it.
    pub(super) is: Value,
}

/// What a name means.
pub(super) enum Found {
    /// This.
    One(Value),
    /// Nothing.
    None,
    /// One of these, for people.
    Several(String),
}

/// What `text` means among all there are, newest first.
pub(super) fn found(all: Vec<Candidate>, text: &str) -> Found {
    let text = text.trim();
    let by_name = |one: &Candidate| one.is["name"] == text;
    let ways: [&dyn Fn(&Candidate) -> bool; 3] =
        [&|one: &Candidate| one.is["id"] == text, &by_name, &|one: &Candidate| {
            one.account.is_some() && one.qualified() == text
        }];
    let Some(meant) = ways.iter().find(|way| all.iter().any(way)) else { return Found::None };
    let mut fitting: Vec<Candidate> = all.into_iter().filter(meant).collect();
    if fitting.iter().any(Candidate::lives) {
        fitting.retain(Candidate::lives);
    } else {
        fitting.truncate(1);
    }
    match fitting.as_slice() {
        [one] => Found::One(one.is.clone()),
        several => Found::Several(several.iter().map(Candidate::shown).collect::<Vec<_>>().join(", ")),
    }
}

impl Candidate {
    /// Its id.
    pub(super) fn id(&self) -> &str {
        self.is["id"].as_str().unwrap_or_default()
    }

    fn lives(&self) -> bool {
        self.is["state"] != "retired"
    }

    fn qualified(&self) -> String {
        let account = self.account.as_ref().map(|account| format!("{account}/")).unwrap_or_default();
        format!("{account}{}", self.is["name"].as_str().unwrap_or_default())
    }

    fn shown(&self) -> String {
        let id = self.id();
        if self.account.is_some() { format!("\"{}\" ({id})", self.qualified()) } else { id.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn meant(text: &str) -> Result<String, String> {
        let one = |account: &str, name: &str, state: &str, id: &str| Candidate {
            account: Some(account.to_owned()),
            is: json!({ "name": name, "state": state, "id": id }),
        };
        let all = vec![
            one("A", "Daily", "registered", "1"),
            one("B", "Daily", "paused", "2"),
            one("B", "Daily", "retired", "3"),
            one("A", "Old", "retired", "5"),
            one("A", "Old", "retired", "4"),
        ];
        match found(all, text) {
            Found::One(one) => Ok(one["id"].as_str().unwrap().to_owned()),
            Found::None => Err("none".to_owned()),
            Found::Several(which) => Err(which),
        }
    }

    #[test]
    fn a_name_means_what_lives_or_else_the_newest_that_was_retired() {
        assert_eq!(meant("Old"), Ok("5".into()));
        assert_eq!(meant("3"), Ok("3".into()));
        assert_eq!(meant("B/Daily"), Ok("2".into()));
        assert_eq!(meant("Weekly"), Err("none".into()));
        assert_eq!(meant("Daily"), Err("\"A/Daily\" (1), \"B/Daily\" (2)".into()));
    }
}
