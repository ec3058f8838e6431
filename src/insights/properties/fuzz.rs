//! Known answers and queries, damaged at random: nothing of that may break the reading, or hold it up.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

use super::{answers, judge_query, queries, read, read_token, token_answers};
use crate::insights::wire::Dataset;

/// How many are tried where no time is given.
const TRIES: u64 = 3000;
const LARGEST: usize = 32 * 1024;
/// A damaged input is kept to be damaged again, up to so many.
const MOST_KEPT: usize = 2000;
/// On a busy machine and without optimisation.
const SLOWEST: Duration = Duration::from_secs(5);

const PIECES: &[&str] = &[
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551616",
    "\"\"",
    "\\u0000",
    "\\ud800",
    "[",
    "]",
    "{",
    "}",
    ":",
    ",",
    "\"",
    "\"value\":",
    "\"statusCode\":",
    "\"error\":{",
    "\u{feff}",
    "9999-12-31T23:59:59-23:59",
    "+262142-12-31T23:59:59",
    "SELECT ",
    " FROM ",
    " WHERE ",
    " AND ",
    " OR ",
    " IN (",
    ")",
    "'",
    "''",
    "*",
    ";",
    " ORDER BY ",
    " LIMIT ",
    "0",
    " TIMESPAN ",
    "\u{2019}",
    "ü",
    "İ",
    "\u{a0}",
    "%",
    "<>",
    "=",
    "\r\n",
    "\0",
];

/// Damages one of the corpus after the other and gives each to `take`, which tells whether it is worth keeping.
fn fuzz(what: &str, mut corpus: Vec<Vec<u8>>, take: impl Fn(&[u8]) -> bool) {
    let seconds =
        std::env::var("TIDINGS_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let seed = if seconds.is_some() { rand::random() } else { 1 };
    let mut random = SmallRng::seed_from_u64(seed);
    let (began, mut tries, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while seconds.map_or(tries < TRIES, |seconds| began.elapsed() < seconds) {
        let mut input = corpus[random.random_range(0..corpus.len())].clone();
        for _ in 0..random.random_range(1..6) {
            damage(&mut input, &corpus, &mut random);
        }
        let at = Instant::now();
        let keep = take(&input);
        slowest = slowest.max(at.elapsed());
        assert!(at.elapsed() < SLOWEST, "seed {seed}, try {tries}: {}", String::from_utf8_lossy(&input));
        if keep && corpus.len() < MOST_KEPT {
            corpus.push(input);
        }
        tries += 1;
    }
    println!("{what}: {tries} tries, seed {seed}, slowest {slowest:?}, {} kept", corpus.len());
}

fn damage(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut impl Rng) {
    let at = random.random_range(0..=input.len());
    let end = (at + random.random_range(0..40)).min(input.len());
    match random.random_range(0..8) {
        0 => input.truncate(at),
        1 => drop(input.drain(at..end)),
        2 => input.insert(at, random.random()),
        3 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.random_range(0..8);
            }
        }
        4 => {
            let part = input[at..end].repeat(random.random_range(1..50));
            input.splice(at..at, part);
        }
        5 => {
            let other = &corpus[random.random_range(0..corpus.len())];
            let from = random.random_range(0..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        _ => {
            let piece = PIECES[random.random_range(0..PIECES.len())];
            input.splice(at..end.min(at + random.random_range(0..8)), piece.bytes());
        }
    }
    input.truncate(LARGEST);
}

#[test]
fn no_damaged_answer_breaks_the_reading() {
    let all = answers().into_iter().chain(token_answers());
    let corpus = all.map(|(_, answer)| answer.to_string().into_bytes()).collect();
    fuzz("answers", corpus, |body| {
        let said = [200, 400, 401, 404, 429, 500].map(|status| read(status, body));
        assert!(said.iter().all(|said| !said.is_empty()));
        assert!(!read_token(200, body).is_empty() && !read_token(400, body).is_empty());
        !said[0].contains("Malformed")
    });
}

#[test]
fn no_damaged_query_breaks_the_reading() {
    let corpus = queries().into_iter().map(String::into_bytes).collect();
    fuzz("queries", corpus, |text| {
        let text = String::from_utf8_lossy(text);
        let words = || text.split(|c: char| !c.is_alphanumeric()).step_by(3).map(str::to_owned).collect::<Vec<_>>();
        let names = if text.len().is_multiple_of(2) { Vec::new() } else { words() };
        let dataset = |name: &str| Dataset {
            name: name.into(),
            columns: names.clone(),
            metrics: words(),
            date_ranges: words(),
            minimum_interval_hours: None,
        };
        let problems = judge_query(&text, &[dataset("OfficeUsage"), dataset("Profile"), dataset("ISVUsage")]);
        let lines = text.split('\n').count();
        assert!(problems.iter().all(|problem| (1..=lines).contains(&problem.place.line)));
        judge_query(&text, &[]).is_empty()
    });
}
