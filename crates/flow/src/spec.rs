//! The files as they are written: every value with its place, nothing resolved.
//!
//! Reading never stops at the first problem: unknown keys, wrong types and missing keys of a file are all reported
//! to its [`SourceText`](crate::source_text::SourceText) in one pass.

pub mod flow;
pub mod flow_parts;
pub mod form;
mod masks;
pub mod project;
mod refusals;
pub mod section;
pub mod sites;
