//! `cargo x test`: all tests of the workspace. Names those that were not run; when CI is set, that is a failure.
//!
//! The output of `cargo test` passes through as it comes; only the last line is ours.

use crate::process::{cargo, line};
use crate::servers::{NEEDS_POSTGRES, has_postgres};
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::process::{ExitCode, Stdio};

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
    let postgres = has_postgres();
    command.args(arguments).stdout(Stdio::piped());
    if !postgres {
        if !arguments.iter().any(|argument| argument == "--") {
            command.arg("--");
        }
        command.args(["--skip", NEEDS_POSTGRES]);
    }
    eprintln!("+ {}", line(&command));
    let mut child = command.spawn().context("cannot start cargo")?;
    let output = child.stdout.take().expect("it was asked for above");
    let mut tally = Tally::default();
    for text in BufReader::new(output).split(b'\n') {
        let text = text.context("the output of cargo test ended early")?;
        let text = String::from_utf8_lossy(&text);
        writeln!(std::io::stdout(), "{text}").context("cannot write")?;
        tally.take(&text);
    }
    let status = child.wait().context("cargo test was lost")?;
    let strict = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    if !postgres {
        let how =
            "PostgreSQL is not installed, and cannot be from here: apt-get install postgresql";
        tally.ignored.push(format!("every test on PostgreSQL ({how})"));
    }
    for name in &tally.ignored {
        println!("not run: {name}");
    }
    println!("{}", tally.summary());
    // Not one test run means that nothing was tested, whatever cargo says.
    let held = status.success() && tally.passed > 0 && (tally.ignored.is_empty() || !strict);
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the test binaries said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    binaries: u64,
    passed: u64,
    failed: u64,
    ignored: Vec<String>,
}

impl Tally {
    /// Takes in one line of output.
    fn take(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.binaries += 1;
            self.passed += counted(result, "passed");
            self.failed += counted(result, "failed");
        } else if let Some(test) = line.strip_prefix("test ")
            && let Some((name, outcome)) = test.rsplit_once(" ... ")
            && outcome.starts_with("ignored")
        {
            let reason = outcome.trim_start_matches("ignored").trim_start_matches(", ");
            let named = if reason.is_empty() { name.into() } else { format!("{name} ({reason})") };
            self.ignored.push(named);
        }
    }

    fn summary(&self) -> String {
        format!(
            "tests: {} passed, {} failed, {} not run, in {} binaries",
            self.passed,
            self.failed,
            self.ignored.len(),
            self.binaries
        )
    }
}

/// The number in front of a word: `ok. 12 passed; 0 failed; ...`.
fn counted(result: &str, word: &str) -> u64 {
    let before = result.split(word).next().unwrap_or_default();
    before.split_whitespace().next_back().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_run_and_what_was_not() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test a::works ... ok",
            "test a::waits ... ignored",
            "test b::needs ... ignored, needs a server",
            "test b::speaks of ... ignored things ... ok",
            "test result: ok. 2 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 10 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out",
        ] {
            tally.take(line);
        }
        assert_eq!((tally.binaries, tally.passed, tally.failed), (2, 12, 3));
        assert_eq!(tally.ignored, ["a::waits", "b::needs (needs a server)"]);
        assert_eq!(tally.summary(), "tests: 12 passed, 3 failed, 2 not run, in 2 binaries");
    }
}
