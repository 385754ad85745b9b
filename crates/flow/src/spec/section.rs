//! A typed reader of one TOML table that records problems instead of stopping at the first.
//!
//! The keys asked for are the keys known: `finish` (in `refusals`) reports every other one, with the nearest known key.

use crate::diagnostic::Problem;
use crate::source_text::{At, SourceText};
use crate::suggest::nearest;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Syntax errors shown of one file; after a few they only follow from each other.
const MOST_SYNTAX_ERRORS: usize = 5;

/// A value as TOML has it.
pub(crate) type Raw<'a> = &'a Spanned<DeValue<'a>>;

/// Parses a file and passes it on; syntax errors are reported and nothing is passed on then.
pub(crate) fn parse<T>(source: &SourceText, read: impl FnOnce(Section<'_>) -> T) -> Option<T> {
    let (table, errors) = DeTable::parse_recoverable(source.text());
    for error in errors.iter().take(MOST_SYNTAX_ERRORS) {
        let span = error.span().unwrap_or(0..0);
        source.report(
            Problem::error("E0103", "this is not TOML")
                .at(source.place(&span, "reading stops here"))
                .found(error.message().lines().collect::<Vec<_>>().join("; "))
                .effect("nothing in this file is used")
                .fix("correct the line shown, or the one before it"),
        );
    }
    if !errors.is_empty() {
        return None;
    }
    Some(read(Section {
        source,
        table: table.get_ref(),
        name: String::new(),
        head: None,
        known: vec![],
    }))
}

/// One table being read.
pub(crate) struct Section<'a> {
    pub(super) source: &'a SourceText,
    pub(super) table: &'a DeTable<'a>,
    name: String,
    head: Option<Range<usize>>,
    pub(super) known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The file it is part of.
    pub(crate) fn source(&self) -> &'a SourceText {
        self.source
    }

    /// Where it begins; `None` for the whole file.
    pub(crate) fn head(&self) -> Option<Range<usize>> {
        self.head.clone()
    }

    /// Declares a key and returns it with its value.
    pub(crate) fn entry(&mut self, key: &'static str) -> Option<(Range<usize>, Raw<'a>)> {
        self.known.push(key);
        self.table.iter().find(|(k, _)| k.get_ref() == key).map(|(k, v)| (k.span(), v))
    }

    /// All entries, known or not.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (At<String>, Raw<'a>)> + use<'a> {
        self.table.iter().map(|(k, v)| (At::new(k.get_ref().to_string(), k.span()), v))
    }

    /// A key's dotted name, for messages.
    pub(crate) fn dotted(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_string() } else { format!("{}.{key}", self.name) }
    }

    /// Reports a value of another type than the one expected.
    pub(crate) fn wrong_type(&self, key: &str, value: Raw<'_>, expected: &str, example: &str) {
        let found = value.get_ref().type_str();
        self.source.report(
            Problem::error("E0105", format!("`{}` must be {expected}", self.dotted(key)))
                .at(self.source.place(&value.span(), format!("this is {}", article(found))))
                .effect("nothing in this file is used")
                .fix(format!("{key} = {example}")),
        );
    }

    /// Reports a value of the right type that does not read.
    pub(crate) fn wrong_form(&self, key: &str, span: &Range<usize>, expected: &str, example: &str) {
        self.source.report(
            Problem::error("E0108", format!("`{}` is not {expected}", self.dotted(key)))
                .at(self.source.place(span, format!("expected {expected}")))
                .effect("nothing in this file is used")
                .fix(format!("{key} = {example}")),
        );
    }

    /// Reports a key that must be there.
    pub(crate) fn missing(&self, key: &str, example: &str, effect: &str) {
        let place = match &self.head {
            Some(head) => self.source.place(head, format!("`{key}` is missing here")),
            None => self.source.whole(),
        };
        self.source.report(
            Problem::error("E0106", format!("`{}` is missing", self.dotted(key)))
                .at(place)
                .effect(effect)
                .fix(format!("{key} = {example}")),
        );
    }

    /// A non-empty text.
    pub(crate) fn text(&mut self, key: &'static str, example: &str) -> Option<At<String>> {
        let (_, value) = self.entry(key)?;
        self.as_text(key, value, example)
    }

    /// A value as a non-empty text.
    pub(crate) fn as_text(&self, key: &str, value: Raw<'a>, example: &str) -> Option<At<String>> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, "a text", example);
            return None;
        };
        if text.trim().is_empty() {
            self.wrong_form(key, &value.span(), "a text that says something", example);
            return None;
        }
        Some(At::new(text.to_string(), value.span()))
    }

    /// A list of texts that differ.
    pub(crate) fn texts(
        &mut self,
        key: &'static str,
        example: &str,
    ) -> Option<At<Vec<At<String>>>> {
        let (_, value) = self.entry(key)?;
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of texts", example);
            return None;
        };
        if items.is_empty() {
            self.wrong_form(key, &value.span(), "a list with something in it", example);
            return None;
        }
        let mut texts: Vec<At<String>> = Vec::new();
        for item in items.iter() {
            let text = self.as_text(key, item, example)?;
            if texts.iter().any(|t| t.value == text.value) {
                self.source.report(
                    Problem::error(
                        "E0109",
                        format!("`{}` names {} twice", self.dotted(key), text.value),
                    )
                    .at(self.source.place(&text.span, "the second time"))
                    .effect("nothing in this file is used")
                    .fix("remove one of them"),
                );
                return None;
            }
            texts.push(text);
        }
        Some(At::new(texts, value.span()))
    }

    /// A whole number from `least` on.
    pub(crate) fn whole(
        &mut self,
        key: &'static str,
        least: u64,
        example: &str,
    ) -> Option<At<u64>> {
        let (_, value) = self.entry(key)?;
        let Some(number) = value.get_ref().as_integer() else {
            self.wrong_type(key, value, "a whole number", example);
            return None;
        };
        let read = u64::from_str_radix(number.as_str(), number.radix()).ok();
        match read.filter(|n| *n >= least && *n <= i64::MAX.cast_unsigned()) {
            Some(number) => Some(At::new(number, value.span())),
            None => {
                self.wrong_form(
                    key,
                    &value.span(),
                    &format!("a whole number from {least} on"),
                    example,
                );
                None
            }
        }
    }

    /// A text in a form of its own.
    pub(crate) fn formed<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        example: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<At<T>> {
        let text = self.text(key, example)?;
        match read(&text.value) {
            Some(value) => Some(At::new(value, text.span)),
            None => {
                self.wrong_form(key, &text.span, expected, example);
                None
            }
        }
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Option<At<T>> {
        let example = format!("\"{}\"", words.first().map_or("", |(word, _)| word));
        let text = self.text(key, &example)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(At::new(*value, text.span));
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let meant = nearest(&text.value, known.iter().copied());
        let label =
            meant.map_or("not one of these words".into(), |m| format!("did you mean `{m}`?"));
        self.source.report(
            Problem::error("E0107", format!("`{}` cannot be `{}`", self.dotted(key), text.value))
                .at(self.source.place(&text.span, label))
                .found(format!("the words are {}", known.join(", ")))
                .effect("nothing in this file is used")
                .fix(format!(
                    "{key} = \"{}\"",
                    meant.unwrap_or(known.first().copied().unwrap_or(""))
                )),
        );
        None
    }

    /// A table below this one.
    pub(crate) fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let (span, value) = self.entry(key)?;
        self.below(key, span, value)
    }

    /// A value as a table.
    pub(crate) fn below(
        &self,
        key: &str,
        head: Range<usize>,
        value: Raw<'a>,
    ) -> Option<Section<'a>> {
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, value, "a table", "{ ... }");
            return None;
        };
        let name = self.dotted(key);
        Some(Section { source: self.source, table, name, head: Some(head), known: vec![] })
    }

    /// Declares keys that are accepted as they are.
    pub(crate) fn accept(&mut self, keys: &[&'static str]) {
        self.known.extend_from_slice(keys);
    }
}

/// The type's name with its article.
fn article(type_name: &str) -> String {
    match type_name {
        "array" | "integer" => format!("an {type_name}"),
        "string" => "a text".into(),
        "boolean" => "true or false".into(),
        other => format!("a {other}"),
    }
}
