//! The map of the design, checked: who may import whom, and where SQL, the web framework and the HTTP client may be.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// From the inside out. A module may import what stands in an earlier line; those of one line don't know each other,
/// except in the kernel, which is the first line.
const ORDER: &[&[&str]] = &[
    &["clock", "db", "field", "id", "outbound", "retry", "secret", "wake"],
    &["access", "channel", "event", "insights"],
    &["account"],
    &["report"],
    &["callback"],
    &["execution"],
    &["download"],
    &["notification"],
    &["retention", "rotation"],
    &["app"],
    &["http", "worker"],
    &["config", "sandbox", "telemetry"],
    &["cli"],
    &["main"],
];

/// The limit is 400 lines; these are one thing and longer.
const LONG: &[&str] = &[];
const MOST_LINES: usize = 400;

/// A file of `src`, taken apart.
struct Source {
    /// Below `src`, with slashes.
    path: String,
    text: String,
    /// Without comments, texts and tests.
    code: String,
    /// The texts, tests left out.
    texts: Vec<String>,
}

impl Source {
    fn read(root: &Path, path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let (code, texts) = taken_apart(&text);
        let path = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        Self { path, text, code, texts }
    }

    /// The module of the crate that it belongs to.
    fn module(&self) -> &str {
        self.path.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// How many `super` lead to the root of the crate.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count();
        if self.path.ends_with("/mod.rs") { parts - 1 } else { parts }
    }

    /// The modules of the crate that it names.
    fn imports(&self) -> BTreeSet<String> {
        let to_root = "super::".repeat(self.depth());
        let mut imports = BTreeSet::new();
        for prefix in ["crate::", "tidings::", &to_root] {
            for (at, _) in self.code.match_indices(prefix) {
                let before = self.code[..at].chars().next_back().unwrap_or(' ');
                // `$crate::`, and `super::` in the middle of a longer row of them.
                if !before.is_alphanumeric() && !"_:".contains(before) {
                    imports.extend(names(&self.code[at + prefix.len()..]));
                }
            }
        }
        imports
    }

    fn uses(&self, word: &str) -> bool {
        words(&self.code).any(|found| found == word)
    }
}

/// The name after a path's `::`, or those of the group there.
fn names(after: &str) -> Vec<String> {
    let name = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = after.strip_prefix('{') else { return vec![name(after)] };
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(c),
        }
        depth += i32::from(c == '{') - i32::from(c == '}');
    }
    parts.iter().map(|part| name(part)).filter(|name| !name.is_empty()).collect()
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The code without comments, texts and tests, and the texts.
fn taken_apart(text: &str) -> (String, Vec<String>) {
    let (mut code, mut texts) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (length, kept) = token(rest, &code);
        match kept {
            Kept::Code => code.push(c),
            Kept::Nothing => code.push(' '),
            Kept::Text => {
                code.push_str("\"\"");
                texts.push(rest[..length].to_owned());
                if in_tests(&code) {
                    texts.pop();
                }
            }
        }
        rest = &rest[length..];
    }
    (without_tests(&code), texts)
}

enum Kept {
    Code,
    Text,
    Nothing,
}

/// How long the next token is, and what becomes of it.
fn token(rest: &str, before: &str) -> (usize, Kept) {
    let to = |end: Option<usize>, more: usize| end.map_or(rest.len(), |at| at + more);
    if rest.starts_with("//") {
        return (to(rest.find('\n'), 0), Kept::Nothing);
    }
    if rest.starts_with("/*") {
        return (to(rest.find("*/"), 2), Kept::Nothing);
    }
    let in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
    if rest.starts_with('r') && rest[1 + hashes..].starts_with('"') && (!in_word || before.ends_with('b')) {
        let (begin, end) = (2 + hashes, format!("\"{}", "#".repeat(hashes)));
        return (to(rest[begin..].find(&end).map(|at| at + begin), end.len()), Kept::Text);
    }
    if let Some(literal) = rest.strip_prefix('"') {
        return (1 + end_of_literal(literal, '"'), Kept::Text);
    }
    let mut ahead = rest.chars().skip(1);
    let (first, second) = (ahead.next(), ahead.next());
    // A lifetime has no quote behind its first letter.
    if rest.starts_with('\'') && (first == Some('\\') || second == Some('\'')) {
        return (1 + end_of_literal(&rest[1..], '\''), Kept::Nothing);
    }
    (rest.chars().next().map_or(1, char::len_utf8), Kept::Code)
}

fn end_of_literal(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

/// Modules of tests stand at the foot of a file.
fn in_tests(code: &str) -> bool {
    code.contains("#[cfg(test)]\nmod ")
}

fn without_tests(code: &str) -> String {
    code.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned()
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = files(&root, "rs");
    paths.sort();
    assert!(paths.len() > 50, "the sources are in {}", root.display());
    paths.iter().map(|path| Source::read(&root, path)).collect()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let all = entries.flat_map(|path| if path.is_dir() { files(&path, extension) } else { vec![path] });
    all.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|line| line.contains(&module))
}

/// Why `from` may not import `to`, if it may not.
fn forbidden(from: &str, to: &str) -> Option<&'static str> {
    let (Some(outer), Some(inner)) = (rank(from), rank(to)) else { return Some("one of them has no place in ORDER") };
    if from == to || (outer == 0 && inner == 0) {
        return None;
    }
    match (from, to) {
        ("sandbox", _) if inner > 0 => Some("the sandbox knows the kernel only"),
        (_, "config") if from != "cli" => Some("config is seen by cli only"),
        _ if inner >= outer => Some("imports go from the outside in"),
        _ => None,
    }
}

/// Fails with every file for which `wrong` says what is wrong.
fn none(wrong: impl Fn(&Source) -> Option<String>) {
    let found: Vec<String> =
        sources().iter().filter_map(|source| Some(format!("src/{}: {}", source.path, wrong(source)?))).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn imports_go_from_the_outside_in() {
    none(|source| {
        if source.path == "lib.rs" {
            return None;
        }
        let from = source.module();
        let named = source.imports().into_iter();
        let wrong: Vec<String> =
            named.filter_map(|to| Some(format!("{from} imports {to}: {}", forbidden(from, &to)?))).collect();
        (!wrong.is_empty()).then(|| wrong.join("; "))
    });
}

#[test]
fn sql_is_in_stores_only() {
    none(|source| {
        let is_store = source.path.ends_with("/store.rs") || source.path.contains("/store/");
        let may = is_store || source.module() == "db" || source.path == "wake.rs";
        (!may && source.code.contains("sqlx::query")).then(|| "holds SQL".to_owned())
    });
}

#[test]
fn sql_gets_its_times_from_the_clock() {
    let asks = |text: &str| {
        let text = text.to_ascii_lowercase();
        ["now()", "current_timestamp", "current_date", "localtimestamp"].into_iter().find(|word| text.contains(word))
    };
    none(|source| {
        let word = source.texts.iter().find_map(|text| asks(text))?;
        Some(format!("asks the database for the time with {word}"))
    });
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations"), "sql") {
        assert_eq!(asks(&std::fs::read_to_string(&path).unwrap()), None, "{}", path.display());
    }
}

#[test]
fn the_web_framework_and_the_http_client_stay_where_they_belong() {
    let homes: [(&[&str], &[&str]); 2] = [
        (&["axum", "axum_extra", "utoipa_axum", "tower_http"], &["http", "sandbox"]),
        (&["reqwest"], &["outbound", "insights", "channel", "download", "cli", "sandbox"]),
    ];
    none(|source| {
        let strays = homes.iter().filter(|(_, homes)| !homes.contains(&source.module()));
        let word = strays.flat_map(|(words, _)| *words).find(|word| source.uses(word))?;
        Some(format!("uses {word}"))
    });
}

#[test]
fn every_file_says_what_it_is() {
    none(|source| (!source.text.starts_with("//! ")).then(|| "does not open with //!".to_owned()));
}

#[test]
fn no_file_is_long_that_is_not_known_to_be() {
    none(|source| {
        let lines = source.text.lines().count();
        (lines > MOST_LINES && !LONG.contains(&&*source.path)).then(|| format!("has {lines} lines"))
    });
}

#[test]
fn the_reader_of_sources_sees_through_comments_texts_and_tests() {
    let text = "use crate::{clock, db::{LEASE, lease}};\n// crate::cli\nconst A: &str = \"crate::http // \\\" \";\n\
                const B: &str = r#\"now() \"crate::http\" \"#; const Q: char = '\"'; fn f<'a>(x: &'a str) {}\n\
                type T = super::super::id::Id; type U = super::own::V;\n#[cfg(test)]\nmod tests { use crate::cli; }\n";
    let (code, texts) = taken_apart(text);
    let source = Source { path: "report/draft.rs".into(), text: text.into(), code, texts };

    assert_eq!(source.imports().into_iter().collect::<Vec<_>>(), ["clock", "db", "id"]);
    assert_eq!(source.texts.len(), 2);
    assert!(source.texts[1].contains("now()"));
    assert_eq!(forbidden("account", "report"), Some("imports go from the outside in"));
    assert_eq!(forbidden("http", "worker"), Some("imports go from the outside in"));
    assert_eq!(forbidden("sandbox", "channel"), Some("the sandbox knows the kernel only"));
    assert_eq!(forbidden("http", "config"), Some("config is seen by cli only"));
    assert_eq!(forbidden("notification", "account"), None);
}
