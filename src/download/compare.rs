//! What changed in the columns of a report since its last file.
//!
//! A change is told and fails nothing: whoever reads by name may go on, whoever reads by position must know.

use serde::Serialize;

/// How the columns of a file differ from those of the one before.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Changes {
    added: Vec<String>,
    removed: Vec<String>,
    /// Whether those that are in both stand in another order.
    reordered: bool,
}

/// `None` where nothing changed, and where one of the files has no header to compare.
pub(super) fn columns(before: &[String], after: &[String]) -> Option<Changes> {
    if before.is_empty() || after.is_empty() || before == after {
        return None;
    }
    let missing = |from: &[String], in_: &[String]| -> Vec<String> {
        from.iter().filter(|name| !in_.contains(name)).cloned().collect()
    };
    let kept = |from: &[String], in_: &[String]| -> Vec<String> {
        from.iter().filter(|name| in_.contains(name)).cloned().collect()
    };
    Some(Changes {
        added: missing(after, before),
        removed: missing(before, after),
        reordered: kept(before, after) != kept(after, before),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(before: &[&str], after: &[&str]) -> Option<Changes> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        columns(&owned(before), &owned(after))
    }

    #[test]
    fn what_came_went_and_moved_is_told_apart() {
        let both = changes(&["Month", "Units", "Name"], &["Month", "Name", "Country"]).unwrap();
        assert_eq!((both.added, both.removed, both.reordered), (vec!["Country".into()], vec!["Units".into()], false));

        let moved = changes(&["Month", "Name"], &["Name", "Month"]).unwrap();
        assert_eq!((moved.added, moved.removed, moved.reordered), (vec![], vec![], true));
    }

    #[test]
    fn the_same_columns_and_a_file_without_a_header_are_no_change() {
        assert_eq!(changes(&["Month", "Name"], &["Month", "Name"]), None);
        assert_eq!(changes(&["Month"], &[]), None);
        assert_eq!(changes(&[], &["Month"]), None);
    }
}
