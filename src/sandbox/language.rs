//! The query language, read as far as the sandbox needs it: which names a query uses, and whether its grammar holds.
//!
//! Everything may have any case. Clauses after the dataset may come in any order, each once; `OR`, parentheses outside a
//! list, functions and `*` are refused.

use super::rules::Refusal;

const LONGEST: usize = 64 * 1024;

/// A query taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) columns: Vec<String>,
    pub(super) dataset: String,
    /// The names in conditions and in the order.
    pub(super) others: Vec<String>,
    pub(super) limit: Option<u64>,
    pub(super) range: Option<String>,
}

/// Reads a query.
pub(super) fn parse(text: &str) -> Result<Statement, Refusal> {
    if text.len() > LONGEST {
        return Err(wrong("it is too long"));
    }
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens };
    let mut statement = Statement::default();
    if !reader.takes("select") {
        return Err(wrong_column());
    }
    reader.takes("distinct");
    statement.columns.push(reader.name().ok_or_else(wrong_column)?);
    while reader.takes(",") {
        statement.columns.push(reader.name().ok_or_else(wrong_column)?);
    }
    if !reader.takes("from") {
        return Err(if reader.tokens.is_empty() { wrong_table() } else { wrong_column() });
    }
    statement.dataset = reader.name().ok_or_else(wrong_table)?;
    clauses(&mut reader, &mut statement)?;
    Ok(statement)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A name, a number or a keyword.
    Word(String),
    Text,
    Mark(&'static str),
}

const MARKS: [&str; 12] = ["<=", ">=", "!=", "<>", "=", "<", ">", ",", "(", ")", "*", ";"];

fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut tokens = Vec::new();
    let mut rest = text.trim();
    while let Some(first) = rest.chars().next() {
        let length = if first == '\'' {
            let end = rest[1..].find('\'').ok_or_else(|| wrong("a text has no end"))?;
            tokens.push(Token::Text);
            end + 2
        } else if let Some(mark) = MARKS.into_iter().find(|mark| rest.starts_with(mark)) {
            tokens.push(Token::Mark(mark));
            mark.len()
        } else {
            let is_word = |c: char| c.is_alphanumeric() || "_.-%:".contains(c);
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            if length == 0 {
                return Err(wrong(&format!("'{first}' means nothing")));
            }
            tokens.push(Token::Word(rest[..length].to_owned()));
            length
        };
        rest = rest[length..].trim_start();
    }
    if tokens.last() == Some(&Token::Mark(";")) {
        tokens.pop();
    }
    Ok(tokens)
}

struct Reader<'a> {
    tokens: &'a [Token],
}

impl Reader<'_> {
    /// Takes this word (in any case) or mark, if it comes next.
    fn takes(&mut self, wanted: &str) -> bool {
        let comes = match self.tokens.first() {
            Some(Token::Word(word)) => word.eq_ignore_ascii_case(wanted),
            Some(Token::Mark(mark)) => *mark == wanted,
            _ => false,
        };
        if comes {
            self.tokens = &self.tokens[1..];
        }
        comes
    }

    fn name(&mut self) -> Option<String> {
        let Some((Token::Word(word), rest)) = self.tokens.split_first() else { return None };
        self.tokens = rest;
        Some(word.clone())
    }

    fn value(&mut self) -> Result<(), Refusal> {
        match self.tokens.split_first() {
            Some((Token::Word(_) | Token::Text, rest)) => {
                self.tokens = rest;
                Ok(())
            }
            _ => Err(wrong("a value is missing")),
        }
    }
}

fn clauses(reader: &mut Reader<'_>, statement: &mut Statement) -> Result<(), Refusal> {
    let mut seen: Vec<&str> = Vec::new();
    while !reader.tokens.is_empty() {
        let clause = ["where", "order", "limit", "timespan"].into_iter().find(|clause| reader.takes(clause));
        let clause = clause.ok_or_else(|| wrong("a clause is none of WHERE, ORDER BY, LIMIT and TIMESPAN"))?;
        if seen.contains(&clause) {
            return Err(wrong(&format!("there are two of {}", clause.to_ascii_uppercase())));
        }
        seen.push(clause);
        match clause {
            "where" => conditions(reader, statement)?,
            "order" => order(reader, statement)?,
            "limit" => {
                let limit = reader.name().and_then(|number| number.parse().ok()).filter(|limit| *limit > 0);
                statement.limit = Some(limit.ok_or_else(|| wrong("LIMIT must be a number above 0"))?);
            }
            _ => statement.range = Some(reader.name().ok_or_else(|| wrong("TIMESPAN needs a range"))?),
        }
    }
    Ok(())
}

fn conditions(reader: &mut Reader<'_>, statement: &mut Statement) -> Result<(), Refusal> {
    loop {
        statement.others.push(reader.name().ok_or_else(wrong_column)?);
        let negated = reader.takes("not");
        if reader.takes("in") {
            list(reader)?;
        } else if reader.takes("like")
            || (!negated && ["=", ">", "<", ">=", "<=", "!="].iter().any(|op| reader.takes(op)))
        {
            reader.value()?;
        } else {
            return Err(wrong("a condition has no operator that is known"));
        }
        if reader.takes("or") {
            return Err(wrong("OR is not supported"));
        }
        if !reader.takes("and") {
            return Ok(());
        }
    }
}

fn list(reader: &mut Reader<'_>) -> Result<(), Refusal> {
    if !reader.takes("(") {
        return Err(wrong("IN needs a list"));
    }
    reader.value()?;
    while reader.takes(",") {
        reader.value()?;
    }
    if reader.takes(")") { Ok(()) } else { Err(wrong("a list has no end")) }
}

fn order(reader: &mut Reader<'_>, statement: &mut Statement) -> Result<(), Refusal> {
    if !reader.takes("by") {
        return Err(wrong("ORDER lacks its BY"));
    }
    loop {
        statement.others.push(reader.name().ok_or_else(wrong_column)?);
        let _ = reader.takes("asc") || reader.takes("desc");
        if !reader.takes(",") {
            return Ok(());
        }
    }
}

fn wrong(reason: &str) -> Refusal {
    Refusal::bad(format!("Invalid query - {reason}"))
}

fn wrong_column() -> Refusal {
    Refusal::bad("Incorrect column name")
}

fn wrong_table() -> Refusal {
    Refusal::bad("Invalid table name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_taken_apart() {
        let statement = parse(
            "SELECT A, B FROM D WHERE C = 'x y-%' AND E >= 3 AND F NOT IN (1,'2') ORDER BY A ASC, G LIMIT 7 TIMESPAN LIFETIME;",
        )
        .unwrap();

        assert_eq!((statement.columns, statement.dataset.as_str()), (vec!["A".to_owned(), "B".to_owned()], "D"));
        assert_eq!(statement.others, ["C", "E", "F", "A", "G"]);
        assert_eq!((statement.limit, statement.range.as_deref()), (Some(7), Some("LIFETIME")));
    }

    #[test]
    fn what_the_grammar_has_not_is_refused() {
        for (text, reason) in [
            ("SELECT A FROM D WHERE A = 1 OR B = 2", "OR is not supported"),
            ("SELECT A FROM D WHERE A = 'x", "a text has no end"),
            ("SELECT A FROM D WHERE A IN 1", "IN needs a list"),
            ("SELECT A FROM D WHERE A IS 1", "a condition has no operator that is known"),
            ("SELECT A FROM D GROUP BY A", "a clause is none of WHERE, ORDER BY, LIMIT and TIMESPAN"),
            ("SELECT A FROM D LIMIT 0", "LIMIT must be a number above 0"),
            ("SELECT A FROM D LIMIT 1 LIMIT 2", "there are two of LIMIT"),
            ("SELECT A FROM D WHERE (A = 1)", "\0"),
        ] {
            let message = parse(text).unwrap_err().message;
            let expected =
                if reason == "\0" { "Incorrect column name".to_owned() } else { format!("Invalid query - {reason}") };
            assert_eq!(message, expected, "{text}");
        }
    }
}
