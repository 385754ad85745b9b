//! Just enough of SQL's spelling to take `CREATE INDEX` and `CREATE TRIGGER` apart. Not a parser: it finds words,
//! parentheses and commas, and never looks inside quotes or comments.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    Quoted,
    Symbol(u8),
}

struct Token {
    kind: Kind,
    place: Range<usize>,
}

/// The terms of a `CREATE INDEX` statement, and its condition where the index is partial.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct IndexParts<'s> {
    /// Text of each term without `ASC` and `DESC`.
    pub(super) terms: Vec<&'s str>,
    /// Text behind `WHERE`.
    pub(super) condition: Option<&'s str>,
}

/// Takes a `CREATE INDEX` statement apart; `None` where it is none.
pub(super) fn index_parts(sql: &str) -> Option<IndexParts<'_>> {
    let tokens = tokens(sql);
    let open = tokens.iter().position(|t| t.kind == Kind::Symbol(b'('))?;
    let (mut depth, mut terms, mut begin, mut close) = (0, Vec::new(), open + 1, None);
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Symbol(b'(') => depth += 1,
            Kind::Symbol(b')') => depth -= 1,
            _ => {}
        }
        let ends = depth == 0 || (depth == 1 && token.kind == Kind::Symbol(b','));
        if ends {
            terms.push(term(sql, &tokens[begin..i])?);
            begin = i + 1;
        }
        if depth == 0 {
            close = Some(i);
            break;
        }
    }
    let rest = &tokens[close? + 1..];
    let condition = match rest.first() {
        Some(first) if is_word(sql, first, "WHERE") => {
            let last = rest.iter().rfind(|t| t.kind != Kind::Symbol(b';'))?;
            Some(&sql[first.place.end..last.place.end])
        }
        _ => None,
    };
    Some(IndexParts { terms, condition: condition.map(str::trim) })
}

fn term<'s>(sql: &'s str, tokens: &[Token]) -> Option<&'s str> {
    let last = tokens.last()?;
    let directed = tokens.len() > 1 && (is_word(sql, last, "ASC") || is_word(sql, last, "DESC"));
    let kept = if directed { &tokens[..tokens.len() - 1] } else { tokens };
    Some(&sql[kept.first()?.place.start..kept.last()?.place.end])
}

/// Whether a trigger runs after the row's change; one that says nothing of its time runs before.
pub(super) fn runs_after(sql: &str) -> bool {
    let tokens = tokens(sql);
    let head = tokens.iter().take_while(|t| !is_word(sql, t, "ON"));
    let words: Vec<String> = head
        .filter(|t| t.kind == Kind::Word)
        .map(|t| sql[t.place.clone()].to_ascii_uppercase())
        .collect();
    words.windows(2).any(|pair| {
        pair[0] == "AFTER" && matches!(pair[1].as_str(), "INSERT" | "UPDATE" | "DELETE")
    })
}

fn is_word(sql: &str, token: &Token, word: &str) -> bool {
    token.kind == Kind::Word && sql[token.place.clone()].eq_ignore_ascii_case(word)
}

fn tokens(sql: &str) -> Vec<Token> {
    let bytes = sql.as_bytes();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (kind, length) = match rest[0] {
            b if b.is_ascii_whitespace() => (None, 1),
            b'-' if rest.starts_with(b"--") => (None, until(rest, b"\n")),
            b'/' if rest.starts_with(b"/*") => (None, until(&rest[2..], b"*/") + 2),
            quote @ (b'\'' | b'"' | b'`') => (Some(Kind::Quoted), quoted(rest, quote)),
            b'[' => (Some(Kind::Quoted), until(rest, b"]")),
            b if is_name(b) => (Some(Kind::Word), rest.iter().take_while(|b| is_name(**b)).count()),
            symbol => (Some(Kind::Symbol(symbol)), 1),
        };
        if let Some(kind) = kind {
            tokens.push(Token { kind, place: at..at + length });
        }
        at += length;
    }
    tokens
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

/// Length up to and including `end`, or of everything.
fn until(bytes: &[u8], end: &[u8]) -> usize {
    let found = bytes.windows(end.len()).position(|window| window == end);
    found.map_or(bytes.len(), |place| place + end.len())
}

/// Length of a quoted token; a doubled quote stands for one.
fn quoted(bytes: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        if bytes[at] != quote {
            at += 1;
        } else if bytes.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return at + 1;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_come_apart() {
        let parts = index_parts(
            "CREATE UNIQUE INDEX \"odd (name\" ON [t)](a DESC, lower(b || ',') COLLATE NOCASE, -- c)\n \"d,\") \
             WHERE a > 1 AND b <> ')' ; ",
        )
        .unwrap();
        assert_eq!(parts.terms, ["a", "lower(b || ',') COLLATE NOCASE", "\"d,\""]);
        assert_eq!(parts.condition, Some("a > 1 AND b <> ')'"));
        let plain = index_parts("create unique index i on t(a)").unwrap();
        assert_eq!((plain.terms, plain.condition), (vec!["a"], None));
        assert_eq!(index_parts("CREATE TABLE"), None);
    }

    #[test]
    fn the_time_of_a_trigger_is_told() {
        assert!(runs_after(
            "CREATE TRIGGER IF NOT EXISTS x AFTER UPDATE OF a ON t BEGIN SELECT 1; END"
        ));
        assert!(!runs_after(
            "CREATE TRIGGER x BEFORE INSERT ON t BEGIN SELECT 'AFTER INSERT'; END"
        ));
        assert!(!runs_after("CREATE TRIGGER \"AFTER INSERT\" DELETE ON t BEGIN SELECT 1; END"));
        assert!(!runs_after("CREATE TRIGGER x /* AFTER INSERT */ INSERT ON t BEGIN SELECT 1; END"));
    }
}
