//! What is printed where: data on standard output, talk on standard error, one summary line last.

use crate::args::Global;
use connect::Error;
use flow::{Paint, Problem};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};

/// The version of the JSON lines.
const JSON_FORMAT: u32 = 1;

/// How a command speaks.
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    paint: Paint,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        let plain = global.no_color
            || std::env::var_os("NO_COLOR").is_some()
            || !std::io::stderr().is_terminal();
        let output = Output {
            json: global.json,
            quiet: global.quiet,
            paint: if plain { Paint::Plain } else { Paint::Colour },
        };
        output.object(&json!({ "type": "format", "version": JSON_FORMAT }));
        output
    }

    /// What a service's jobs speak through: talk, and nothing on standard output.
    pub(crate) fn for_service() -> Self {
        Output { json: false, quiet: true, paint: Paint::Plain }
    }

    /// Whether progress may be drawn.
    pub(crate) fn draws(&self) -> bool {
        !self.json && !self.quiet && std::io::stderr().is_terminal()
    }

    /// A line for people.
    pub(crate) fn line(&self, text: &str) {
        if !self.json && !self.quiet {
            print(text);
        }
    }

    /// An object for programs.
    pub(crate) fn object(&self, object: &Value) {
        if self.json {
            print(&object.to_string());
        }
    }

    /// A remark beside the data.
    pub(crate) fn talk(&self, text: &str) {
        // Nobody may be listening any more.
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// The last line. `fields` are what programs read of it.
    pub(crate) fn summary(&self, text: &str, fields: &[(&str, Value)]) {
        if self.json {
            let mut object = json!({ "type": "summary", "text": text });
            for (name, value) in fields {
                object[*name] = value.clone();
            }
            print(&object.to_string());
        } else {
            print(text);
        }
    }

    /// Everything that is wrong with a project's files.
    pub(crate) fn problems(&self, problems: &[Problem]) {
        for problem in problems {
            if self.json {
                print(&problem.json().to_string());
            } else {
                self.talk(&problem.render(self.paint));
            }
        }
    }

    /// An error, in the order of lines that every error has.
    pub(crate) fn error(&self, error: &Error) {
        if self.json {
            print(&error_json(error).to_string());
        } else {
            self.talk(&error_text(error));
        }
    }
}

/// An error as an operator reads it.
pub(crate) fn error_text(error: &Error) -> String {
    let code = code_of(error);
    let mut text = match code {
        Some(code) => format!("error[{code}]: {}", error.what),
        None => format!("error: {}", error.what),
    };
    if let Some(state) = error.state {
        text.push_str(&format!("\n  = state:  {state}"));
    }
    let mut found: Vec<String> = error.found.iter().cloned().collect();
    let mut cause = error.source.as_deref().map(|e| e as &dyn std::error::Error);
    while let Some(e) = cause {
        let said = e.to_string();
        if !found.iter().any(|line| line.contains(&said)) {
            found.push(said);
        }
        cause = e.source();
    }
    for (label, lines) in [
        ("found:  ", &found),
        ("effect: ", &error.effect.iter().cloned().collect()),
        ("fix:    ", &error.fix.iter().cloned().collect()),
        ("more:   ", &code.iter().map(|code| format!("seamount explain {code}")).collect()),
    ] {
        for line in lines {
            text.push_str(&format!("\n  = {label}{line}"));
        }
    }
    text
}

/// An error as a program reads it.
pub(crate) fn error_json(error: &Error) -> Value {
    json!({
        "type": "error",
        "code": code_of(error),
        "kind": format!("{:?}", error.kind).to_lowercase(),
        "state": error.state.map(|state| state.to_string()),
        "what": error.what,
        "found": error.found,
        "effect": error.effect,
        "fix": error.fix,
    })
}

/// The code of an error, or of the state it stops in.
fn code_of(error: &Error) -> Option<&'static str> {
    error.code.or_else(|| error.state.map(flow::explain::code_of))
}

fn print(text: &str) {
    // A reader that closed the pipe has read enough.
    let _ = writeln!(std::io::stdout(), "{text}");
}
