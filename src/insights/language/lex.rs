//! From characters to words, texts and signs.

use super::{Place, Problem};

/// What ends a word, besides blanks.
const SIGNS: &str = ",();*=<>!'\"`\u{2018}\u{2019}\u{201c}\u{201d}";

/// The smallest part that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword, a name, a number or a value without quotes.
    Word(&'a str),
    /// A value in quotes; a doubled quote stands for one.
    Text,
    /// An operator or one of `, ( ) ; *`.
    Sign(&'a str),
    /// Nothing is left.
    End,
}

/// All tokens with their places; the last one is the end.
pub(super) fn lex(text: &str) -> Result<Vec<(Token<'_>, Place)>, Problem> {
    let mut lexer = Lexer { rest: text, place: Place { line: 1, column: 1 } };
    let mut tokens = Vec::new();
    loop {
        let blanks = lexer.rest.len() - lexer.rest.trim_start().len();
        lexer.take(blanks);
        let place = lexer.place;
        let token = lexer.token()?;
        tokens.push((token, place));
        if token == Token::End {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    place: Place,
}

impl<'a> Lexer<'a> {
    fn token(&mut self) -> Result<Token<'a>, Problem> {
        let Some(first) = self.rest.chars().next() else { return Ok(Token::End) };
        match first {
            '\'' => self.text(),
            '"' | '`' => Err(self.problem(format!("{first} is no quote here: put values in ', and names in nothing"))),
            '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' => {
                Err(self.problem(format!("{first} is a typographic quote: write '")))
            }
            ',' | '(' | ')' | ';' | '*' => Ok(Token::Sign(self.take(1))),
            '=' | '<' | '>' | '!' => {
                let length = self.rest.find(|c| !"=<>!".contains(c)).unwrap_or(self.rest.len());
                Ok(Token::Sign(self.take(length)))
            }
            _ => {
                let end = self.rest.find(|c: char| c.is_whitespace() || SIGNS.contains(c));
                Ok(Token::Word(self.take(end.unwrap_or(self.rest.len()))))
            }
        }
    }

    fn text(&mut self) -> Result<Token<'a>, Problem> {
        let mut end = 1;
        loop {
            let Some(quote) = self.rest[end..].find('\'') else {
                return Err(self.problem("this quote is not closed: end the value with another '"));
            };
            end += quote + 1;
            if !self.rest[end..].starts_with('\'') {
                self.take(end);
                return Ok(Token::Text);
            }
            end += 1;
        }
    }

    fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(self.place, message)
    }

    /// The next bytes, and on behind them.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        for c in taken.chars() {
            if c == '\n' {
                self.place = Place { line: self.place.line + 1, column: 1 };
            } else {
                self.place.column += 1;
            }
        }
        self.rest = rest;
        taken
    }
}
