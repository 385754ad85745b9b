//! Exit codes, and the failures that lead to them. Decided here and nowhere else.

use crate::output::Output;
use connect::{Error, Kind, State};
use flow::Problem;

/// The way out when a target belongs to another engine; only here is it known what to type.
const TAKE_OVER: &str =
    "stop the other engine; if it is gone for good, the same command with --take-over";

/// Done; equal; nothing to change.
pub(crate) const DONE: u8 = 0;
/// Failed, and will fail again without a change.
pub(crate) const FAILED: u8 = 1;
/// Done, and there are differences or changes.
pub(crate) const DIFFERENT: u8 = 2;
/// The proof could not be made.
pub(crate) const UNPROVEN: u8 = 3;
/// Wrong command line.
pub(crate) const USAGE: u8 = 64;
/// Data rejected; nothing was published.
pub(crate) const REJECTED: u8 = 65;
/// A needed site is unreachable.
pub(crate) const UNREACHABLE: u8 = 69;
/// Temporary, safe to repeat.
pub(crate) const TEMPORARY: u8 = 75;
/// Configuration wrong.
pub(crate) const CONFIGURATION: u8 = 78;
/// Skipped, only with `--skip-code`.
pub(crate) const SKIPPED: u8 = 99;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The project's files are wrong.
    Project(Vec<Problem>),
    /// Nothing is wrong as far as can be told: these sites could not be asked.
    Unreachable(Vec<Problem>),
    /// Something failed at an edge.
    Edge(Box<Error>),
    /// The command line does not fit the project.
    Usage(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Edge(Box::new(error))
    }
}

impl Failure {
    /// Tells the operator, and gives the exit code.
    pub(crate) fn tell(self, output: &Output) -> u8 {
        match self {
            Failure::Project(problems) => {
                list(&problems, output);
                CONFIGURATION
            }
            Failure::Unreachable(problems) => {
                list(&problems, output);
                UNREACHABLE
            }
            Failure::Edge(mut error) => {
                if error.state == Some(State::Fenced) {
                    error.fix = Some(TAKE_OVER.into());
                }
                output.error(&error);
                output.summary(&format!("failed: {error}"), &[]);
                of(&error)
            }
            Failure::Usage(what) => {
                output.talk(&format!("error: {what}"));
                output.summary(&format!("failed: {what}"), &[]);
                USAGE
            }
        }
    }
}

fn list(problems: &[Problem], output: &Output) {
    output.problems(problems);
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let noun = if errors == 1 { "problem" } else { "problems" };
    output.summary(&format!("{errors} {noun}. Nothing was written."), &[]);
}

/// The exit code of an error.
pub(crate) fn of(error: &Error) -> u8 {
    match (error.kind, error.code) {
        (_, Some("E0301")) => USAGE,
        (Kind::Unavailable, Some("E0516" | "E0518")) => TEMPORARY,
        (Kind::Unavailable, _) if error.state.is_none() => UNREACHABLE,
        (Kind::Unavailable, _) => TEMPORARY,
        (Kind::Refused, _) => REJECTED,
        (Kind::Invalid, Some(code)) if code.starts_with("E02") || code.starts_with("E04") => {
            CONFIGURATION
        }
        (Kind::Invalid | Kind::Conflict | Kind::Corrupt | Kind::Internal, _) => FAILED,
    }
}
