//! What can be typed behind a scenario's name.

use anyhow::{Context, Result, bail};
use std::path::PathBuf;

/// How a scenario is run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The binary under torture.
    pub(crate) seamount: PathBuf,
    /// How often; each scenario has its own small number.
    pub(crate) cycles: Option<u64>,
    /// How long; scenarios that count time have each their own number.
    pub(crate) minutes: Option<u64>,
    /// Whether it is one of all: as short as it can be.
    pub(crate) in_small: bool,
    /// The seed.
    pub(crate) seed: u64,
    /// Whether a person waits for it, or a machine that must not skip anything.
    pub(crate) ci: bool,
}

/// Reads the words behind a name.
///
/// # Errors
/// A word is not known, or no binary is named.
pub(crate) fn read(words: &[String]) -> Result<Options> {
    let (mut seamount, mut cycles, mut minutes, mut seed) = (None, None, None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        let number = || value.parse::<u64>().with_context(|| format!("{word} {value}: no number"));
        match word.as_str() {
            "--seamount" => seamount = Some(PathBuf::from(value)),
            "--cycles" => cycles = Some(number()?),
            "--minutes" => minutes = Some(number()?),
            "--seed" => seed = Some(number()?),
            other => bail!("there is no option `{other}`"),
        }
    }
    let seamount = seamount.context("name the binary: --seamount PATH")?;
    let seamount = seamount.canonicalize().with_context(|| seamount.display().to_string())?;
    let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    let seed = seed.unwrap_or_else(of_the_clock);
    Ok(Options { seamount, cycles, minutes, in_small: false, seed, ci })
}

/// A seed that nobody chose: another one each time, and small enough to be typed.
fn of_the_clock() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |since| u64::from(since.subsec_nanos()) % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn words_are_read_and_unknown_ones_refused() {
        let options = read(&words("--seamount / --cycles 7 --minutes 3 --seed 9")).unwrap();
        assert_eq!((options.cycles, options.minutes, options.seed), (Some(7), Some(3), 9));
        for line in [
            "",
            "--seamount /no/such",
            "--seamount / --cycles",
            "--seamount / --seed x",
            "--seamount / --x 1",
        ] {
            assert!(read(&words(line)).is_err(), "{line}");
        }
    }
}
