//! What is there and not in the file: it stays, or goes where that was asked for.
//!
//! A file speaks of the accounts that it names: queries and reports of others are nothing to it. What anything in the file
//! names never goes.

use std::collections::BTreeSet;

use super::plan::{Act, Planner, Step};
use super::problem::Problems;
use super::there::Thing;
use super::wanted::{Kind, Name, Wanted};

/// Notes what items name though the list for it, which the file has, does not have it: to remove it would be no one's wish.
pub(super) fn check(wanted: &[Wanted], unread: &[Name], listed: &[Kind], problems: &mut Problems) {
    let has: BTreeSet<&Name> = wanted.iter().map(|wanted| &wanted.name).chain(unread).collect();
    for item in wanted {
        for name in item.names().filter(|name| listed.contains(&name.kind) && !has.contains(name)) {
            let message = format!("{name} is named here and not in `{}`; --prune would remove it", name.kind.list());
            problems.add(item.line, &item.place, &message);
        }
    }
}

impl Planner<'_> {
    /// The steps for what is not in the file, last made first, where the file has a list of that kind.
    pub(super) fn others(&self, listed: &[Kind], prune: bool) -> Vec<Step> {
        let has: BTreeSet<Name> =
            self.wanted.iter().flat_map(|wanted| wanted.names().chain([wanted.name.clone()])).collect();
        let is_other = |name: &Name| {
            let account = name.account.as_deref().map(Name::account);
            !has.contains(name) && account.is_none_or(|account| has.contains(&account))
        };
        let kinds = Kind::ALL.into_iter().rev().filter(|kind| listed.contains(kind));
        let there = kinds.flat_map(|kind| self.there.of(kind));
        there.filter(|(name, _)| is_other(name)).filter_map(|(name, thing)| self.other(name, thing, prune)).collect()
    }

    fn other(&self, name: &Name, thing: &Thing, prune: bool) -> Option<Step> {
        let id = thing.id.clone();
        let act = match (name.kind, self.there.is_used(&id), prune) {
            // The text that a report was given is kept as a query of its own.
            (Kind::Query, true, _) => return None,
            (Kind::Account, true, _) => Act::Leave { id, because: "the history of its reports stays" },
            (_, _, true) => Act::Remove { id },
            (_, _, false) => Act::Leave { id, because: "--prune removes it" },
        };
        Some(Step { name: name.clone(), act })
    }
}
