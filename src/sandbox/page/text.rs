//! Slack's and Teams' own text formats as safe HTML.
//!
//! Everything that is no mark or link of the format is escaped. A link leads to http, https or mail, or is shown as text.

const MOST_CHARACTERS: usize = 4_000;
const FENCE: &str = "```";

/// Slack's mrkdwn, in which `&`, `<` and `>` arrive escaped.
pub(super) fn mrkdwn(text: &str) -> String {
    const MARKS: &[Mark] = &[("*", "strong"), ("_", "em"), ("~", "s"), ("`", "code")];
    html(text, &Dialect { marks: MARKS, escaped: true, link: slack_link, fences: true })
}

/// The part of Markdown that Teams shows in a card.
pub(super) fn markdown(text: &str) -> String {
    const MARKS: &[Mark] = &[("**", "strong"), ("_", "em"), ("*", "em")];
    html(text, &Dialect { marks: MARKS, escaped: false, link: markdown_link, fences: false })
}

/// A text without any marks, its line ends kept.
pub(super) fn plain(text: &str) -> String {
    html(text, &Dialect { marks: &[], escaped: true, link: |_| None, fences: false })
}

/// An address that a person may be led to; anything else leads nowhere.
pub(super) fn address(text: &str) -> &str {
    let safe = ["https://", "http://", "mailto:"].iter().any(|scheme| text.starts_with(scheme));
    if safe { text } else { "#" }
}

/// What stands around a text, and the element that it makes.
type Mark = (&'static str, &'static str);

struct Dialect {
    marks: &'static [Mark],
    /// Whether the three escapes of HTML stand in the text already.
    escaped: bool,
    link: fn(&str) -> Option<Link<'_>>,
    /// Whether lines between fences are shown as they are.
    fences: bool,
}

struct Link<'a> {
    address: Option<&'a str>,
    label: &'a str,
    length: usize,
}

fn html(text: &str, dialect: &Dialect) -> String {
    let end = text.char_indices().nth(MOST_CHARACTERS).map_or(text.len(), |(end, _)| end);
    let mut out = String::new();
    inline(&text[..end], dialect, &mut out);
    out
}

fn inline(text: &str, dialect: &Dialect, out: &mut String) {
    let mut rest = text;
    let mut in_word = false;
    while let Some(first) = rest.chars().next() {
        let length = if let Some(code) = fenced(rest).filter(|_| dialect.fences) {
            out.push_str("<pre>");
            code.char_indices().for_each(|(at, c)| push_escaped(&code[at..], c, dialect.escaped, out));
            out.push_str("</pre>");
            code.len() + 2 * FENCE.len()
        } else if let Some(link) = (dialect.link)(rest) {
            push_link(&link, dialect, out);
            link.length
        } else if let Some((tag, inner, length)) = marked(rest, dialect).filter(|_| !in_word) {
            out.extend(["<", tag, ">"]);
            inline(inner, dialect, out);
            out.extend(["</", tag, ">"]);
            length
        } else {
            push_escaped(rest, first, dialect.escaped, out);
            first.len_utf8()
        };
        in_word = first.is_alphanumeric();
        rest = &rest[length..];
    }
}

/// The lines between a fence and its next occurrence.
fn fenced(text: &str) -> Option<&str> {
    let inner = text.strip_prefix(FENCE)?;
    Some(&inner[..inner.find(FENCE)?])
}

/// The text between a mark and its next occurrence on the same line, and the length of all three.
fn marked<'a>(text: &'a str, dialect: &Dialect) -> Option<(&'static str, &'a str, usize)> {
    dialect.marks.iter().find_map(|(mark, tag)| {
        let line = text.strip_prefix(mark)?.lines().next()?;
        let inner = &line[..line.find(mark)?];
        let is_mark = !inner.is_empty() && inner.trim() == inner;
        is_mark.then_some((*tag, inner, inner.len() + 2 * mark.len()))
    })
}

fn push_link(link: &Link, dialect: &Dialect, out: &mut String) {
    let href = link.address.map(address).filter(|address| *address != "#");
    if let Some(href) = href {
        out.push_str("<a target=\"_blank\" rel=\"noreferrer\" href=\"");
        href.char_indices().for_each(|(at, c)| push_escaped(&href[at..], c, dialect.escaped, out));
        out.push_str("\">");
    }
    link.label.char_indices().for_each(|(at, c)| push_escaped(&link.label[at..], c, dialect.escaped, out));
    if href.is_some() {
        out.push_str("</a>");
    }
}

fn push_escaped(rest: &str, first: char, escaped: bool, out: &mut String) {
    match first {
        '&' if escaped && ["&amp;", "&lt;", "&gt;"].iter().any(|entity| rest.starts_with(entity)) => out.push('&'),
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        '\n' => out.push_str("<br>"),
        other => out.push(other),
    }
}

/// `<address|label>`, `<address>`, and what else Slack writes in angle brackets: dates, people, channels.
fn slack_link(text: &str) -> Option<Link<'_>> {
    let (inner, _) = text.strip_prefix('<')?.lines().next()?.split_once('>')?;
    let (target, label) = inner.split_once('|').unwrap_or((inner, inner));
    let is_address = !target.starts_with(['!', '@', '#']);
    Some(Link { address: is_address.then_some(target), label, length: inner.len() + 2 })
}

/// `[label](address)`.
fn markdown_link(text: &str) -> Option<Link<'_>> {
    let line = text.strip_prefix('[')?.lines().next()?;
    let (label, after) = line.split_once("](")?;
    let (address, _) = after.split_once(')')?;
    Some(Link { address: Some(address), label, length: label.len() + address.len() + 4 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mrkdwn_shows_its_marks_and_links() {
        assert_eq!(
            mrkdwn("*Daily* _usage_ of `a_b` snake_case_name"),
            "<strong>Daily</strong> <em>usage</em> of <code>a_b</code> snake_case_name"
        );
        assert_eq!(
            mrkdwn("<https://x.example/?a=1&amp;b=2|open>\nnow"),
            "<a target=\"_blank\" rel=\"noreferrer\" href=\"https://x.example/?a=1&amp;b=2\">open</a><br>now"
        );
        assert_eq!(mrkdwn("<!date^1^{date}|20 Nov>"), "20 Nov");
        assert_eq!(mrkdwn("```a *b*\n&lt;c```"), "<pre>a *b*<br>&lt;c</pre>");
    }

    #[test]
    fn markdown_shows_its_marks_and_links() {
        assert_eq!(
            markdown("**Rows** & [file](https://x.example/f)"),
            "<strong>Rows</strong> &amp; <a target=\"_blank\" rel=\"noreferrer\" href=\"https://x.example/f\">file</a>"
        );
    }

    #[test]
    fn nothing_in_a_text_becomes_markup_of_its_own() {
        for show in [mrkdwn, markdown, plain] {
            let shown =
                show("<script>alert(1)</script> <img src=x onerror=\"y\"> [a](javascript:1) <javascript:1|b> 'q'");

            assert!(!shown.contains("<script") && !shown.contains("<img") && !shown.contains("href"), "{shown}");
            assert!(!shown.contains('"') && !shown.contains('\''), "{shown}");
        }
    }
}
