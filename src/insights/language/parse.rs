//! From tokens to a query, or to the first thing that breaks the grammar.

use super::lex::{Token, lex};
use super::{Name, Place, Problem, Query, Selected};

const ORDER: &str = "SELECT … FROM … WHERE … ORDER BY … LIMIT … TIMESPAN …, each once and in this order";
/// Words that can be neither a name nor a value without quotes.
const RESERVED: &[&str] = &["SELECT", "FROM", "WHERE", "AND", "OR", "ORDER", "LIMIT", "TIMESPAN"];
/// Words of other languages that people write here.
const FOREIGN: &[(&[&str], &str)] = &[
    (&["OR"], "there is no OR: several values of one column stand in a list, such as Month IN ('A', 'B')"),
    (&["GROUP", "HAVING"], "there is no GROUP BY: a metric that is selected is grouped by the columns beside it"),
    (&["JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "OUTER"], "there are no joins: a query reads one dataset"),
    (&["AS"], "there are no aliases: leave AS and the name behind it out"),
    (&["UNION", "SELECT", "INTERSECT", "EXCEPT"], "a query is one statement with one SELECT"),
    (&["AGGREGATED"], "AGGREGATED belongs to the API of the Microsoft Store: leave it out"),
    (&["OFFSET", "FETCH", "TOP"], "only LIMIT and a number say how many rows to give"),
    (&["AND"], "AND stands between conditions, behind WHERE"),
    (&["FROM", "WHERE", "ORDER", "LIMIT", "TIMESPAN"], ""),
];

/// Reads a query.
pub fn parse(text: &str) -> Result<Query, Problem> {
    Parser { tokens: lex(text)?, at: 0 }.query()
}

struct Parser<'a> {
    tokens: Vec<(Token<'a>, Place)>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn query(mut self) -> Result<Query, Problem> {
        if !self.take("SELECT") {
            return Err(self.problem("a query begins with SELECT, such as SELECT Month FROM OfficeUsage"));
        }
        self.take("DISTINCT");
        let selected = self.selected()?;
        let dataset = self.dataset()?;
        let mut used = Vec::new();
        if self.take("WHERE") {
            self.conditions(&mut used)?;
        }
        if self.take("ORDER") {
            self.order(&mut used)?;
        }
        if self.take("LIMIT") {
            self.limit()?;
        }
        let timespan = if self.take("TIMESPAN") { Some(self.name("a range, such as LAST_MONTH")?) } else { None };
        match self.token() {
            Token::End => Ok(Query { selected, dataset, used, timespan }),
            _ => Err(self.unexpected()),
        }
    }

    fn selected(&mut self) -> Result<Vec<Selected>, Problem> {
        let mut selected = Vec::new();
        loop {
            selected.push(self.one_selected()?);
            if !self.take_sign(",") {
                return Ok(selected);
            }
        }
    }

    fn one_selected(&mut self) -> Result<Selected, Problem> {
        let place = self.place();
        if self.take_sign("*") {
            return Ok(Selected::Everything(place));
        }
        let name = self.name("a column or a metric")?;
        if !self.take_sign("(") {
            return Ok(Selected::Name(name));
        }
        let argument = match self.token() {
            Token::Word(word) => Some(word.to_owned()),
            _ => None,
        };
        while !self.take_sign(")") {
            if self.token() == Token::End {
                return Err(Problem::new(name.place, "there are no functions, and a parenthesis is not closed"));
            }
            self.at += 1;
        }
        Ok(Selected::Function(name, argument))
    }

    fn dataset(&mut self) -> Result<Name, Problem> {
        if !self.take("FROM") {
            return Err(match self.token() {
                Token::End => self.problem("FROM and a dataset are missing, such as FROM OfficeUsage"),
                Token::Word(word) if !is_known(word) => {
                    self.problem(format!("a comma is missing before {word}, or it is an alias: there are none"))
                }
                _ => self.unexpected(),
            });
        }
        if self.token() == Token::Sign("(") {
            return Err(self.problem("there are no queries within queries: name a dataset, such as OfficeUsage"));
        }
        let name = self.name("a dataset, such as OfficeUsage")?;
        match self.token() {
            Token::Sign(",") => Err(self.problem("there are no joins: a query reads one dataset")),
            Token::Word(word) if !is_known(word) => {
                Err(self.problem(format!("{word} does not belong here; if it is an alias: there are none")))
            }
            _ => Ok(name),
        }
    }

    fn conditions(&mut self, used: &mut Vec<Name>) -> Result<(), Problem> {
        loop {
            if self.token() == Token::Sign("(") {
                return Err(self.problem("there are no parentheses around conditions: join them with AND"));
            }
            if self.is("NOT") {
                return Err(self.problem("NOT stands before LIKE or IN, such as Month NOT IN ('A', 'B')"));
            }
            let name = self.name("a condition, such as Month = 'APR-2026'")?;
            if self.token() == Token::Sign("(") {
                return Err(Problem::new(name.place, "there are no functions: a condition names a column or a metric"));
            }
            used.push(name);
            if self.takes_list()? {
                self.list()?;
            } else {
                self.value()?;
            }
            if !self.take("AND") {
                return Ok(());
            }
        }
    }

    /// Passes an operator, and tells whether it is one of lists.
    fn takes_list(&mut self) -> Result<bool, Problem> {
        let instead = |of: &str, write: &str| format!("there is no {of}: write {write}");
        let message = match self.token() {
            Token::Sign("=" | "!=" | "<" | ">" | "<=" | ">=") => {
                self.at += 1;
                return Ok(false);
            }
            Token::Sign("<>") => instead("<>", "!="),
            Token::Sign("==") => instead("==", "="),
            Token::Sign("=>") => instead("=>", ">="),
            Token::Sign("=<") => instead("=<", "<="),
            _ if self.is("BETWEEN") => instead("BETWEEN", "two conditions, such as Seats >= 1 AND Seats <= 9"),
            _ if self.is("IS") => instead("IS", "= or != and a value"),
            _ => {
                let not = self.take("NOT");
                for (word, list) in [("LIKE", false), ("IN", true)] {
                    if self.take(word) {
                        return Ok(list);
                    }
                }
                let which = if not { "LIKE or IN" } else { "=, !=, <, >, <=, >=, LIKE, NOT LIKE, IN or NOT IN" };
                format!("an operator is missing: {which}")
            }
        };
        Err(self.problem(message))
    }

    fn list(&mut self) -> Result<(), Problem> {
        if !self.take_sign("(") {
            return Err(self.problem("IN takes a list in parentheses, such as IN ('A', 'B')"));
        }
        loop {
            self.value()?;
            if self.take_sign(")") {
                return Ok(());
            }
            if !self.take_sign(",") {
                return Err(self.problem("the list goes on with a comma or ends with a parenthesis"));
            }
        }
    }

    fn value(&mut self) -> Result<(), Problem> {
        match self.token() {
            Token::Text => self.at += 1,
            Token::Word(word) if !is_reserved(word) => {
                let place = self.place();
                self.at += 1;
                if matches!(self.token(), Token::Text | Token::Word(_)) && !self.is_known_word() {
                    return Err(Problem::new(place, "a value of several words stands in quotes, such as 'Azure DNS'"));
                }
            }
            Token::Sign("(") => return Err(self.problem("a list stands behind IN and NOT IN only")),
            _ => return Err(self.problem("a value is missing: a number, or a text in ' quotes")),
        }
        Ok(())
    }

    fn order(&mut self, used: &mut Vec<Name>) -> Result<(), Problem> {
        if !self.take("BY") {
            return Err(self.problem("BY is missing: ORDER BY and a column"));
        }
        loop {
            used.push(self.name("a column or a metric")?);
            let _direction = self.take("ASC") || self.take("DESC");
            if !self.take_sign(",") {
                return Ok(());
            }
        }
    }

    fn limit(&mut self) -> Result<(), Problem> {
        match self.token() {
            Token::Word(word) if word.bytes().all(|b| b.is_ascii_digit()) && word.bytes().any(|b| b != b'0') => {
                self.at += 1;
                Ok(())
            }
            _ => Err(self.problem("LIMIT takes a whole number above 0")),
        }
    }

    fn name(&mut self, what: &str) -> Result<Name, Problem> {
        match self.token() {
            Token::Word(word) if !is_reserved(word) => {
                let name = Name { text: word.to_owned(), place: self.place() };
                self.at += 1;
                Ok(name)
            }
            _ if self.at > 0 && self.tokens[self.at - 1].0 == Token::Sign(",") => {
                let comma = self.tokens[self.at - 1].1;
                Err(Problem::new(comma, format!("nothing follows this comma: leave it out, or name {what}")))
            }
            Token::Text => Err(self.problem(format!("names stand without quotes: name {what}"))),
            _ => Err(self.problem(format!("{what} is missing"))),
        }
    }

    /// What to say of a token that cannot stand where it is.
    fn unexpected(&self) -> Problem {
        let words = match self.token() {
            Token::Word(word) => word,
            Token::Sign(";") if self.tokens[self.at + 1].0 == Token::End => return self.problem("leave the ; out"),
            Token::Sign(";") => return self.problem("a query is one statement: leave out what begins with the ;"),
            Token::Sign("(") => return self.problem("there are no functions and no parentheses here"),
            Token::Sign(sign) => return self.problem(format!("{sign} cannot stand here: a query is {ORDER}")),
            Token::Text | Token::End => return self.problem(format!("something is missing here: a query is {ORDER}")),
        };
        let said = FOREIGN.iter().find(|(foreign, _)| is_one_of(words, foreign)).map_or("", |(_, said)| said);
        if said.is_empty() {
            return self.problem(format!("{words} cannot stand here: a query is {ORDER}"));
        }
        self.problem(said)
    }

    fn is_known_word(&self) -> bool {
        matches!(self.token(), Token::Word(word) if is_known(word))
    }

    fn is(&self, keyword: &str) -> bool {
        matches!(self.token(), Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn take(&mut self, keyword: &str) -> bool {
        let found = self.is(keyword);
        self.at += usize::from(found);
        found
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let found = self.token() == Token::Sign(sign);
        self.at += usize::from(found);
        found
    }

    /// The token that is next; the end is never passed.
    fn token(&self) -> Token<'a> {
        self.tokens[self.at].0
    }

    fn place(&self) -> Place {
        self.tokens[self.at].1
    }

    fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(self.place(), message)
    }
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|one| one.eq_ignore_ascii_case(word))
}

fn is_reserved(word: &str) -> bool {
    is_one_of(word, RESERVED)
}

/// Whether a word means something in this language or in those that people know.
fn is_known(word: &str) -> bool {
    FOREIGN.iter().any(|(foreign, _)| is_one_of(word, foreign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_with_its_place_and_what_to_do() {
        for (text, place, said) in [
            ("", "line 1, column 1", "begins with SELECT"),
            ("DROP TABLE x", "line 1, column 1", "begins with SELECT"),
            ("SELECT Month", "line 1, column 13", "FROM and a dataset are missing"),
            ("SELECT Month,\nFROM OfficeUsage", "line 1, column 13", "leave it out"),
            ("SELECT FROM OfficeUsage", "line 1, column 8", "a column or a metric is missing"),
            ("SELECT Month SKU FROM A", "line 1, column 14", "a comma is missing before SKU"),
            ("SELECT Month AS m FROM A", "line 1, column 14", "no aliases"),
            ("SELECT 'Month' FROM A", "line 1, column 8", "without quotes"),
            ("SELECT Month FROM A a", "line 1, column 21", "alias"),
            ("SELECT Month FROM A, B", "line 1, column 20", "no joins"),
            ("SELECT Month FROM A\r\nINNER JOIN B", "line 2, column 1", "no joins"),
            ("SELECT Month FROM (SELECT x FROM y)", "line 1, column 19", "no queries within queries"),
            ("SELECT Month FROM A WHERE x = 1 OR x = 2", "line 1, column 33", "there is no OR"),
            ("SELECT Month FROM A WHERE (x = 1)", "line 1, column 27", "no parentheses"),
            ("SELECT Month FROM A WHERE NOT x = 1", "line 1, column 27", "NOT stands before"),
            ("SELECT Month FROM A WHERE YEAR(x) = 1", "line 1, column 27", "no functions"),
            ("SELECT Month FROM A WHERE x <> 1", "line 1, column 29", "write !="),
            ("SELECT Month FROM A WHERE x BETWEEN 1 AND 2", "line 1, column 29", "two conditions"),
            ("SELECT Month FROM A WHERE x 1", "line 1, column 29", "an operator is missing"),
            ("SELECT Month FROM A WHERE x =", "line 1, column 30", "a value is missing"),
            ("SELECT Month FROM A WHERE x = TIMESPAN y", "line 1, column 31", "a value is missing"),
            ("SELECT Month FROM A WHERE x = United States", "line 1, column 31", "in quotes"),
            ("SELECT Month FROM A WHERE x = Contoso Ltd'", "line 1, column 42", "not closed"),
            ("SELECT Month FROM A WHERE ü = 'é", "line 1, column 31", "not closed"),
            ("SELECT Month FROM A WHERE x = ‘a’", "line 1, column 31", "typographic"),
            ("SELECT Month FROM A WHERE x = \"a\"", "line 1, column 31", "put values in '"),
            ("SELECT Month FROM A WHERE x = (1, 2)", "line 1, column 31", "behind IN"),
            ("SELECT Month FROM A WHERE x IN 1", "line 1, column 32", "in parentheses"),
            ("SELECT Month FROM A WHERE x IN ()", "line 1, column 33", "a value is missing"),
            ("SELECT Month FROM A WHERE x IN (1 2)", "line 1, column 33", "in quotes"),
            ("SELECT Month FROM A GROUP BY x", "line 1, column 21", "no GROUP BY"),
            ("SELECT Month FROM A ORDER Month", "line 1, column 27", "BY is missing"),
            ("SELECT Month FROM A LIMIT 0", "line 1, column 27", "above 0"),
            ("SELECT Month FROM A LIMIT -1", "line 1, column 27", "above 0"),
            ("SELECT Month FROM A TIMESPAN", "line 1, column 29", "a range"),
            ("SELECT Month FROM A TIMESPAN x WHERE y = 1", "line 1, column 32", "in this order"),
            ("SELECT Month FROM A TIMESPAN x AGGREGATED Daily", "line 1, column 32", "Microsoft Store"),
            ("SELECT Month FROM A;", "line 1, column 20", "leave the ; out"),
            ("SELECT Month FROM A; DROP TABLE x", "line 1, column 20", "one statement"),
            ("SELECT COUNT(x FROM A", "line 1, column 8", "not closed"),
        ] {
            let told = parse(text).unwrap_err().to_string();
            assert!(told.starts_with(place) && told.contains(said), "{text}: {told}");
        }
    }

    #[test]
    fn blanks_line_ends_case_and_quotes_are_free() {
        let plain =
            parse("SELECT A, B FROM C WHERE D = 1 AND E NOT IN ('x', 'y') ORDER BY A LIMIT 5 TIMESPAN F").unwrap();
        for text in [
            "select A,B from C where D='1' and E not in(x,'y''z')order by A desc limit 5 timespan F",
            "\r\n\tSeLeCt Distinct\u{a0}A , B\rFROM C WHERE D=-1.5 AND E NOT IN ( a-b , %c% )\n\nORDER  BY A ASC LIMIT 05 TIMESPAN F \n",
        ] {
            let read = parse(text).unwrap();
            let names = |query: &Query| {
                let selected = query.selected.iter().map(|one| match one {
                    Selected::Name(name) => name.text.clone(),
                    other => panic!("{other:?}"),
                });
                let used = query.used.iter().chain([&query.dataset]).chain(&query.timespan);
                selected.chain(used.map(|name| name.text.clone())).collect::<Vec<_>>()
            };
            assert_eq!(names(&read), names(&plain), "{text}");
        }
    }
}
