//! E05: states and refusals of a running flow.

use super::{Entry, Example};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        code: "E0501",
        title: "FENCED: another engine writes this target",
        text: "The target shows a holder that this engine never was: a second engine, or a copied .seamount folder.\n\
               Nothing was written by this one. Stop the other; if it is gone for good, start with --take-over.",
        example: Example::Shown("engine: a second engine is refused by the target"),
    },
    Entry {
        code: "E0502",
        title: "POSITION_LOST: the source no longer has what comes next",
        text: "The source has removed changes that were not read yet. What is missing cannot be guessed, so nothing is\n\
               skipped: `seamount resync FLOW` takes a new snapshot, and replaces what is at the target by it.",
        example: Example::Shown("engine: a lost position stops the lane"),
    },
    Entry {
        code: "E0503",
        title: "HISTORY_CHANGED: the source is not the one it was",
        text: "The database was restored, rewound or copied: its history is another than the one our position belongs\n\
               to, or two sites are the same history. Going on would skip or double changes. Point the site at the right\n\
               database, or `seamount resync FLOW`.",
        example: Example::Shown("engine: a copied database is noticed at connect"),
    },
    Entry {
        code: "E0504",
        title: "LOG_BEHIND_TARGET: the target is ahead of the log",
        text: "The log was restored from an older copy, or belongs to another project. Its next offsets would be taken\n\
               for ones already applied, and changes would be skipped. Restore the newer .seamount folder, or start over\n\
               with a new snapshot: `seamount resync FLOW`.",
        example: Example::Shown("engine: a target ahead of the log stops the lane"),
    },
    Entry {
        code: "E0505",
        title: "SCHEMA_BLOCKED: the table changed shape",
        text: "A column was removed, changed its type, or is new under new_columns = \"stop\". Changes wait in the log and\n\
               none is lost. Undo the change at the source; or take the new shape: `seamount resync FLOW` begins again with\n\
               a new snapshot behind those changes.",
        example: Example::Shown("engine: a breaking schema change blocks the lane"),
    },
    Entry {
        code: "E0506",
        title: "a run without rows",
        text: "A run that moves nothing is taken for a failure: an empty export most often is one. Nothing was published;\n\
               what was there stays. Say zero_rows = \"allow\" in [batch] where it is normal.",
        example: Example::Shown("engine: a run of no rows is refused"),
    },
    Entry {
        code: "E0507",
        title: "a quality check failed",
        text: "A condition in `check` does not hold for the run's rows. Nothing was published; readers still see the run\n\
               before. Correct the data, or the condition; on_fail = \"warn\" publishes and says so.",
        example: Example::Shown("engine: a failed check publishes nothing"),
    },
    Entry {
        code: "E0508",
        title: "ROWS_REFUSED: a row does not fit the target",
        text: "With transactions = \"exact\" a row that the target refuses stops the flow before its transaction; nothing of\n\
               it was written. Correct the row at its source, or the target's rule.",
        example: Example::Shown("engine: a refused row stops an exact flow"),
    },
    Entry {
        code: "E0509",
        title: "too many rows set aside",
        text: "More changes were set aside than dead_letter.stop_at allows, so the flow stands: a fault that hits this\n\
               many rows is rarely theirs. Nothing is lost. `seamount dlq list FLOW` shows them and why.",
        example: Example::Shown("engine: the dead-letter share stops a flow"),
    },
    Entry {
        code: "E0510",
        title: "rows of another owner",
        text: "A site delivered rows whose owner column names another site. Writing them could overwrite that site's own\n\
               rows, so nothing was published.",
        example: Example::Shown("engine: rows of another owner are refused"),
    },
    Entry {
        code: "E0511",
        title: "rows of another interval",
        text: "The file of an interval holds rows whose `interval_by` column names another. They would be removed when\n\
               that interval is restated, so nothing was published.",
        example: Example::Shown("engine: rows of another interval are refused"),
    },
    Entry {
        code: "E0512",
        title: "nothing to run on",
        text: "No file matches the pattern, or no site has anything for this interval. What was published before stays.",
        example: Example::Shown("engine: an interval without files is refused"),
    },
    Entry {
        code: "E0513",
        title: "LOG_CORRUPT: a frame reads back wrong",
        text: "The checksum of a frame of the log does not fit. Nothing beyond it is applied. Check the disk; restore the\n\
               log from a copy, or `seamount resync FLOW`.",
        example: Example::Shown("eventlog: a damaged frame is found"),
    },
    Entry {
        code: "E0514",
        title: "a certificate reads back wrong",
        text: "The newest certificate of the flow is not what was sealed, and the audit log does not tell its hash either, so\n\
               that nothing is left to chain the next one to. No new one is made: a chain over a broken link proves\n\
               nothing. `seamount certificate verify all` names the place; put the state folder back from a copy.",
        example: Example::Shown("engine: a changed certificate breaks the chain"),
    },
    Entry {
        code: "E0515",
        title: "this flow cannot be replayed so",
        text: "A replay takes an event or hybrid flow of one table, and writes into a table that no flow owns: --into NAME.\n\
               Nothing was written.",
        example: Example::Shown("engine: replay into a flow's own table is refused"),
    },
    Entry {
        code: "E0516",
        title: "the running engine gave no answer",
        text: "The command was handed to the engine that runs on this project, and it failed, stopped or took too long.\n\
               Commands of this kind are safe to repeat. `seamount status` shows what the engine does.",
        example: Example::Shown("cli: a command to an engine that stops"),
    },
    Entry {
        code: "E0517",
        title: "DISK_FULL: the log cannot grow",
        text: "The disk of the log, or its quota, is full. Capture waits and the sources keep their changes: watch their\n\
               disks. It goes on by itself once there is room.",
        example: Example::Shown("eventlog: a full disk pauses and resumes"),
    },
    Entry {
        code: "E0518",
        title: "the state directory is locked",
        text: "Another engine runs on this project's .seamount folder; the message names it. Two would write one log.",
        example: Example::Shown("eventlog: a second engine names the first"),
    },
    Entry {
        code: "E0519",
        title: "a file asks for too much",
        text: "A file has longer rows, more columns, larger pages or grows to far more than its size than is read: each\n\
               of these is how a broken or hostile file takes an engine's memory. The message names the place and the\n\
               limit. Nothing of the file was published.",
        example: Example::Shown("connectors: a file beyond the limits is refused"),
    },
    Entry {
        code: "E0520",
        title: "the audit log is not what was written",
        text: "Each entry of the audit log carries the hash of the one before it. An entry was changed, taken out or moved,\n\
               or the end was cut off: somebody wrote to .seamount/state.db by other means than seamount, or the disk\n\
               holds it wrong. Flows go on. `seamount audit verify --head NUMBER:HASH` compares with a head kept elsewhere.",
        example: Example::Shown("cli: audit_log::edits_by_hand_are_named"),
    },
    Entry {
        code: "E0521",
        title: "a statement computes for too long",
        text: "A relational statement or a check computed for longer than it may: one hour, not counting the time it waits\n\
               for its inputs. Nothing of its result was published. Look for a join without a condition, or a series or\n\
               recursion without an end.",
        example: Example::Shown("query: a statement that never ends is stopped"),
    },
    Entry {
        code: "E0522",
        title: "POSITION_LOST: dead letters are lost",
        text: "The target says that changes were set aside which this .seamount folder does not know: it is an older copy.\n\
               They are taken from the log again where it still holds them; here it does not. Put the newer folder back,\n\
               or read the source again: `seamount resync FLOW` settles them, since every row is read.",
        example: Example::Shown(
            "engine: letters_that_are_lost_with_an_older_folder_are_no_silence",
        ),
    },
    Entry {
        code: "E0523",
        title: "certificates are not what was sealed",
        text: "A certificate carries the hash of each of its lines and of the certificate before it, and the audit log\n\
               keeps the head of each. A byte was changed, a certificate taken out, moved, written anew, or the newest\n\
               ones taken away: by other means than seamount, or the disk holds them wrong. The message names the\n\
               certificate and the line. Those before it stand; it and those behind it prove nothing. Rows are not\n\
               concerned: prove again what it was about. `seamount certificate verify FILE` compares with an export.",
        example: Example::Shown("cli: certified::every_flipped_byte_is_found_and_placed"),
    },
];
