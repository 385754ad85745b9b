//! E04: what the sites say to a flow.

use super::{Entry, Example};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        code: "E0401",
        title: "a table cannot be looked at",
        text: "The site cannot be reached or is locked, or has no table of this name. The other sites of the flow run\n\
               all the same; this one is shown as down.",
        example: Example::Shown("flow: online::every_code_of_the_sites_is_brought_about"),
    },
    Entry {
        code: "E0402",
        title: "a key column is not there",
        text: "The key names a column that neither the table nor the transform has. Without the whole key, rows cannot\n\
               be told apart, and a delete would not find its row.",
        example: Example::Shown("flow: online::every_code_of_the_sites_is_brought_about"),
    },
    Entry {
        code: "E0403",
        title: "the owner column is not there, or not in the key",
        text: "The owner column says which site a row belongs to. It must come out of the transform, and where many\n\
               sites write one table it must be part of the key. A site whose owner value is a number gets it with\n\
               `owner` in sites.toml or in its list.",
        example: Example::Shown("flow: online::every_code_of_the_sites_is_brought_about"),
    },
    Entry {
        code: "E0404",
        title: "the transform does not carry the key",
        text: "Events and snapshots find a row at the target by its key. The transform must select the key columns of\n\
               the source unchanged and in their order.",
        example: Example::Shown("flow: online::every_code_of_the_sites_is_brought_about"),
    },
    Entry {
        code: "E0405",
        title: "a table is not the same at all sites",
        text: "Two sites of the flow have other columns, types or keys under the same name (or two files of one\n\
               interval have). Values never change silently, so they cannot meet in one table.",
        example: Example::Shown("flow: online::every_code_of_the_sites_is_brought_about"),
    },
    Entry {
        code: "E0406",
        title: "a relational transform outside batch",
        text: "A join or an aggregation needs more than one row at a time: the change of one row is not the change of\n\
               one row of the result. Keep it as a batch flow, and let events trigger it; or split the flow: move the\n\
               tables row by row in event mode, and join them at the target.",
        example: Example::Shown("flow: online::every_code_of_the_sites_is_brought_about"),
    },
    Entry {
        code: "E0407",
        title: "a quality check that is no condition",
        text: "A check is an expression over all rows of a run that is true or false: `count(*) > 0`. Anything else\n\
               would say neither yes nor no, so the run is not published.",
        example: Example::Shown("engine: load::checks"),
    },
    Entry {
        code: "E0408",
        title: "interval_by cannot be used",
        text: "The column that says which interval a row belongs to does not come out of the transform, or is of a type\n\
               that the interval's name cannot be read as. A run could not find the rows it replaces.",
        example: Example::Shown("flow: online::every_code_of_the_sites_is_brought_about"),
    },
    Entry {
        code: "E0410",
        title: "no key",
        text: "Neither the flow nor the table names a key, or the transform is relational and the flow names none. A row\n\
               that comes again could not be told from a new one. Name columns in `key`; for flows that move events the\n\
               source table itself needs a primary key.",
        example: Example::Shown("flow: online::every_code_of_the_sites_is_brought_about"),
    },
    Entry {
        code: "E0411",
        title: "the transform does not fit",
        text: "The statement does not parse, names a table or column that is not there, or yields a type that cannot be\n\
               carried exactly. It is one SELECT over the tables that [from] names.",
        example: Example::Shown("flow: online::every_code_of_the_sites_is_brought_about"),
    },
    Entry {
        code: "E0415",
        title: "site_column is taken",
        text: "`site_column` would add a column whose name the table has already. Where rows carry the site themselves,\n\
               name that column as `owner` instead.",
        example: Example::Shown("flow: online::every_code_of_the_sites_is_brought_about"),
    },
    Entry {
        code: "E0416",
        title: "the mode cannot run here",
        text: "A site or the target lacks what the mode needs: capture of changes, old rows for a transform, or rows and\n\
               progress in one transaction. `seamount check --online` lists for each mode whether it runs, what it\n\
               promises, and why not.",
        example: Example::Shown("flow: online::every_code_of_the_sites_is_brought_about"),
    },
    Entry {
        code: "E0420",
        title: "a mask that does not fit its site",
        text: "`mask` names a table or column that the site does not have, a column of the table's key, or asks for\n\
               \"mask\" where the column can hold neither a text nor null. Nothing is read from the site then: a mask\n\
               that misses its column would let every value pass. Keys are not masked in this version, since pieces\n\
               of snapshots and proofs are ranges of the source's key. docs/masks.md says what each word does.",
        example: Example::Shown(
            "connect: masked::tests::a_mask_that_misses_its_table_or_column_stops_every_reader",
        ),
    },
];
