//! DataFusion's errors in our words.
//!
//! The invariant: what fails while rows are looked at never repeats a value of a row, in the message or as a cause.

use arrow::error::ArrowError;
use connect::Error;
use datafusion::common::DataFusionError;

/// A statement that cannot be planned. Its own words may be repeated; no row has been seen.
pub(crate) fn planning(error: &DataFusionError) -> Error {
    let text = error.find_root().strip_backtrace();
    let line = text.lines().next().unwrap_or_default().replace("datafusion.public.", "");
    Error::invalid("the statement cannot be planned")
        .found(line)
        .fix("correct the statement; names are taken as they are written, in upper and lower case")
}

/// A statement that failed on rows.
pub(crate) fn running(error: &DataFusionError) -> Error {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => {
            Error::invalid("the statement needs more memory than it is given, and cannot spill")
                .effect("nothing of its result is used")
                .fix("join or group fewer rows at a time, or raise the memory of batch statements")
        }
        DataFusionError::IoError(e) => {
            Error::unavailable(format!("the statement could not spill to disk: {}", e.kind()))
        }
        DataFusionError::ArrowError(e, _) => arrow(e),
        DataFusionError::Internal(_) | DataFusionError::Plan(_) => {
            Error::internal("a planned statement could not be carried out")
        }
        DataFusionError::NotImplemented(_) => {
            Error::invalid("the statement uses something that is not supported")
        }
        _ => Error::refused("an expression failed on a row"),
    }
}

fn arrow(error: &ArrowError) -> Error {
    match error {
        ArrowError::DivideByZero => Error::refused("an expression divides by zero")
            .fix("guard it: `x / nullif(y, 0)`, or filter such rows"),
        ArrowError::ArithmeticOverflow(_) => {
            Error::refused("an expression overflows: its value does not fit its type")
                .fix("cast an operand to a wider type, such as `decimal(38, 4)`")
        }
        ArrowError::CastError(_) | ArrowError::ParseError(_) => {
            Error::refused("a cast does not fit the value it is given")
                .fix("`try_cast` gives null instead, where that is meant")
        }
        ArrowError::InvalidArgumentError(_) | ArrowError::ComputeError(_) => {
            Error::refused("an expression failed on a row")
        }
        ArrowError::IoError(_, e) => {
            Error::unavailable(format!("the statement could not spill to disk: {}", e.kind()))
        }
        _ => Error::internal("a planned statement could not be carried out"),
    }
}
