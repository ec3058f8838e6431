//! Queries: what Microsoft documents is taken, what cannot work is refused before anything is sent, and what is kept here
//! and what is there stay in line.

use tidings::insights::language;

/// The queries of Microsoft's pages.
fn documented() -> Vec<&'static str> {
    let paragraphs = include_str!("../fixtures/queries.txt").split("\n\n");
    paragraphs.map(str::trim).filter(|query| !query.starts_with('#')).collect()
}

#[test]
fn every_system_query_and_sample_query_of_the_documentation_is_taken() {
    let queries = documented();
    assert_eq!(queries.len(), 86);
    for query in queries {
        for text in [query.to_owned(), query.to_lowercase(), query.to_uppercase().replace('\n', "\r\n")] {
            let read = language::parse(&text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
            assert_eq!(language::check(&read, &[]), [], "{text}");
        }
    }
}
