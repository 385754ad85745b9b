//! Loads and writers that would lose or double rows: refused before the first run.

use super::flow::{mode, writer};
use super::tables::INTERVAL;
use crate::diagnostic::Problem;
use crate::flow::{Mode, Writer};
use crate::source_text::SourceText;
use crate::spec::flow::FlowSpec;
use crate::spec::flow_parts::LoadWord;

/// Checks how runs meet what is there. Only where runs are what the flow does: sections of other modes stay legal.
pub(crate) fn check_batch(source: &SourceText, spec: &FlowSpec) {
    if mode(spec) != Some(Mode::Batch) || writer(spec) == Writer::Other {
        return;
    }
    let load = spec.batch.load.as_ref().map_or(LoadWord::Replace, |word| word.value);
    let by_interval = spec.from.files.as_ref().is_some_and(|files| files.value.contains(INTERVAL));
    if let Some(column) = &spec.batch.interval_by
        && !by_interval
    {
        source.report(
            Problem::error("E0312", "`batch.interval_by` needs files named by interval")
                .at(source.place(&column.span, "which run a row belongs to cannot be known"))
                .effect("a run would replace the rows of another")
                .fix("files = \"export/{interval}.csv\"      # in [from]; or remove interval_by"),
        );
    }
    if load == LoadWord::Replace && by_interval && spec.batch.interval_by.is_none() {
        let files = spec.from.files.as_ref().expect("by_interval says that files are given");
        let span = spec.batch.load.as_ref().map_or(&files.span, |word| &word.span);
        source.report(
            Problem::error("E0313", "each interval's file would replace the whole table")
                .at(source.place(span, "replaces all rows, not those of its interval"))
                .effect("after each run only its own interval would be left")
                .fix("interval_by = \"day\"      # in [batch]: the column that holds {interval}"),
        );
    }
    if let (LoadWord::Append, false, Some(word)) = (load, by_interval, &spec.batch.load) {
        source.report(
            Problem::error("E0314", "every run would append all rows again")
                .at(source.place(&word.span, "nothing divides the rows into runs"))
                .effect("after two runs every row would be there twice")
                .fix("load = \"replace\"      # or files = \"export/{interval}.csv\" in [from]"),
        );
    }
}

/// A table that somebody else writes is proved as it is: nothing is transformed, nothing repaired.
pub(crate) fn check_writer(source: &SourceText, spec: &FlowSpec) {
    if writer(spec) == Writer::Flow {
        return;
    }
    if let Some(sql) = &spec.transform {
        source.report(
            Problem::error("E0315", "a flow that only proves has no transform")
                .at(source
                    .place(&sql.span, "the other writer's work is compared with the source itself"))
                .effect("rows would be called different that only look different")
                .fix("remove [transform], or prove a table that holds the rows as they are"),
        );
    }
    if let Some(repair) = &spec.reconcile.repair {
        source.report(
            Problem::error("E0316", "a table that somebody else writes is never repaired")
                .at(source.place(repair, "two writers would overwrite each other"))
                .effect("a repair could undo a newer change of the other writer")
                .fix("remove `repair`: differences are reported, row by row"),
        );
    }
    if let Some(files) = &spec.from.files {
        source.report(
            Problem::error("E0309", "a flow that only proves reads tables, not files")
                .at(source.place(&files.span, "files send no changes"))
                .effect("nothing could be proved")
                .fix("table = \"...\""),
        );
    }
}
