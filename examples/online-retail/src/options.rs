//! The command line of the example.

use anyhow::{Context, Result, bail};
use std::path::PathBuf;

pub(crate) const HELP: &str = "\
example-online-retail run       --seamount PATH [OPTIONS]   the real run: event, batch, hybrid, prove-only
example-online-retail kill-loop --seamount PATH [OPTIONS]   (a) again, with the engine killed all the time

  --data PATH         folder of the day files, or their .tar.xz; the variable SEAMOUNT_ONLINE_RETAIL says the same;
                      without either, data of the same shape is generated
  --days N            only the first N days
  --rows-per-day N    of generated data, about (1777)
  --seed N            of all chance (1)
  --times N           how often kill-loop kills (50)
  --keep DIR          work in DIR and leave it; must be empty or new";

/// The variable that names the data.
const DATA: &str = "SEAMOUNT_ONLINE_RETAIL";

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Steps (a) to (e).
    Run,
    /// (a) under kill -9.
    KillLoop,
}

/// What was typed.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) what: What,
    pub(crate) seamount: PathBuf,
    pub(crate) data: Option<PathBuf>,
    pub(crate) days: Option<usize>,
    pub(crate) rows_per_day: u64,
    pub(crate) seed: u64,
    pub(crate) times: u64,
    pub(crate) keep: Option<PathBuf>,
}

/// Reads the command line.
///
/// # Errors
/// It is not one; with what would be.
pub(crate) fn read(arguments: &[String]) -> Result<Options> {
    let what = match arguments.first().map(String::as_str) {
        Some("run") => What::Run,
        Some("kill-loop") => What::KillLoop,
        _ => bail!("what shall be done?\n{HELP}"),
    };
    let mut options = Options {
        what,
        seamount: PathBuf::new(),
        data: std::env::var_os(DATA).filter(|value| !value.is_empty()).map(PathBuf::from),
        days: None,
        rows_per_day: 1_777,
        seed: 1,
        times: 50,
        keep: None,
    };
    let mut rest = arguments[1..].iter();
    while let Some(name) = rest.next() {
        let value = rest.next().with_context(|| format!("{name} needs a value\n{HELP}"))?;
        let number = || value.parse::<u64>().with_context(|| format!("{name} takes a number"));
        match name.as_str() {
            "--seamount" => options.seamount = value.into(),
            "--data" => options.data = Some(value.into()),
            "--days" => options.days = Some(usize::try_from(number()?)?),
            "--rows-per-day" => options.rows_per_day = number()?,
            "--seed" => options.seed = number()?,
            "--times" => options.times = number()?,
            "--keep" => options.keep = Some(value.into()),
            other => bail!("there is no option {other}\n{HELP}"),
        }
    }
    if options.seamount.as_os_str().is_empty() {
        bail!("--seamount says which binary to run\n{HELP}");
    }
    if options.days == Some(0) || options.rows_per_day < 10 || options.times == 0 {
        bail!("at least one day, ten rows a day, one kill");
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Result<Options> {
        let words: Vec<String> = text.split_whitespace().map(String::from).collect();
        read(&words)
    }

    #[test]
    fn what_was_typed_counts_and_what_is_unknown_is_refused() {
        let options = typed("run --seamount target/seamount --days 12 --seed 7").unwrap();
        assert_eq!((options.what, options.days, options.seed), (What::Run, Some(12), 7));
        assert_eq!(typed("kill-loop --seamount s --times 3").unwrap().times, 3);
        for bad in [
            "",
            "run",
            "run --seamount",
            "run --seamount s --dayz 3",
            "run --seamount s --days x",
            "run --seamount s --days 0",
        ] {
            assert!(typed(bad).is_err(), "{bad}");
        }
    }
}
