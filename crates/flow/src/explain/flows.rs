//! E03: flows, each alone and beside each other.

use super::{Entry, Example};

/// A whole flow file.
macro_rules! flow {
    ($($line:literal)*) => { Example::Files(&[("flows/prices.toml", concat!($($line, "\n"),*))]) };
}

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        code: "E0301",
        title: "no flow of this name",
        text: "A command names a flow for which there is no file flows/NAME.toml. The name of a flow is the name of its\n\
               file.",
        example: Example::Shown("engine: an unknown flow is named with those there are"),
    },
    Entry {
        code: "E0302",
        title: "many sites, one table, no owner in the key",
        text: "When many sites write one table, its key must hold a column that says whose row it is. Otherwise two\n\
               stores with the same article number overwrite each other, and a delete in one removes the other's row.\n\
               `owner` in [to] names the column that carries the site's name; `site_column` in [from] adds one.",
        example: flow!("mode = \"event\"" "[from]" "sites = \"stores\"" "table = \"prices\"" "key = [\"sku\"]" "[to]" "site = \"central\""),
    },
    Entry {
        code: "E0303",
        title: "flows wait in a circle",
        text: "`after` lets a flow run once others have published the same interval. In a circle each waits for the\n\
               next, and none ever runs.",
        example: Example::Files(&[
            (
                "flows/a.toml",
                "mode = \"batch\"\n[from]\nsites = \"paris\"\ntable = \"a\"\n[to]\nsite = \"central\"\n[batch]\nafter = [\"b\"]\n",
            ),
            (
                "flows/b.toml",
                "mode = \"batch\"\n[from]\nsites = \"paris\"\ntable = \"b\"\n[to]\nsite = \"central\"\n[batch]\nafter = [\"a\"]\n",
            ),
        ]),
    },
    Entry {
        code: "E0304",
        title: "not a schedule",
        text: "A schedule has five fields: minute, hour, day of month, month, day of week (0 or 7 is Sunday), each `*`,\n\
               a number, a name, a range `1-5`, a step `*/15`, or a list of these; or @hourly, @daily, @weekly, @monthly,\n\
               @yearly. It must name a day that exists.",
        example: flow!("mode = \"batch\"" "[from]" "sites = \"paris\"" "table = \"prices\"" "[to]" "site = \"central\"" "[batch]" "schedule = \"0 25 * * *\""),
    },
    Entry {
        code: "E0305",
        title: "a schedule of another scheduler",
        text: "Six or seven fields, `?`, `L`, `W` and `#` come from Quartz and Spring. They are refused, because read as\n\
               five fields they would mean another time. The fix shows the same schedule in five fields where there is one.\n\
               Weekdays count from 0 = Sunday here, and from 1 in Quartz.",
        example: flow!("mode = \"batch\"" "[from]" "sites = \"paris\"" "table = \"prices\"" "[to]" "site = \"central\"" "[batch]" "schedule = \"0 0 1 * * ?\""),
    },
    Entry {
        code: "E0306",
        title: "waits for no flow",
        text: "`after` names a flow for which there is no file. The flow would wait for ever.",
        example: flow!("mode = \"batch\"" "[from]" "sites = \"paris\"" "table = \"prices\"" "[to]" "site = \"central\"" "[batch]" "after = [\"inventry\"]"),
    },
    Entry {
        code: "E0307",
        title: "waits for a flow that publishes no runs",
        text: "Only batch flows publish runs. A flow that moves events, or only proves, never says that an interval is\n\
               done, so waiting for it would never end.",
        example: flow!("mode = \"batch\"" "[from]" "sites = \"paris\"" "table = \"prices\"" "[to]" "site = \"central\"" "[batch]" "after = [\"inventory\"]"),
    },
    Entry {
        code: "E0308",
        title: "not clear what is moved",
        text: "A flow reads either `table`, or `tables`, or `files`; files also need the name of the table they go to.",
        example: flow!("mode = \"event\"" "[from]" "sites = \"paris\"" "[to]" "site = \"central\""),
    },
    Entry {
        code: "E0309",
        title: "files outside batch",
        text: "A folder sends no changes, so flows that move or prove changes cannot read files. A batch flow reads each\n\
               file as an interval.",
        example: flow!("mode = \"event\"" "[from]" "sites = \"drop\"" "files = \"*.csv\"" "key = [\"sku\"]" "[to]" "site = \"central\"" "table = \"prices\""),
    },
    Entry {
        code: "E0310",
        title: "a folder taken for a database, or the reverse",
        text: "Sites with a files: url are folders: they are read with `files`, and never written. All others have\n\
               tables.",
        example: flow!("mode = \"batch\"" "[from]" "sites = \"drop\"" "table = \"prices\"" "[to]" "site = \"central\""),
    },
    Entry {
        code: "E0311",
        title: "files without a key",
        text: "Files have no primary key. Without one a row that comes again cannot be told from a new one. Name the\n\
               columns in `key`, or say `load = \"append\"` where rows are only ever added.",
        example: flow!("mode = \"batch\"" "[from]" "sites = \"drop\"" "files = \"*.csv\"" "[to]" "site = \"central\"" "table = \"prices\""),
    },
    Entry {
        code: "E0312",
        title: "interval_by without intervals",
        text: "`interval_by` names the column that says which run a row belongs to. That needs runs with a name: files\n\
               whose pattern holds {interval}. Without it, a run would replace rows that belong to another.",
        example: flow!("mode = \"batch\"" "[from]" "sites = \"paris\"" "table = \"prices\"" "[to]" "site = \"central\"" "[batch]" "interval_by = \"day\""),
    },
    Entry {
        code: "E0313",
        title: "each file would replace the whole table",
        text: "With one file for each interval and load = \"replace\", every run would remove the rows of all others.\n\
               `interval_by` names the column that holds the interval; then a run replaces only its own rows, and a\n\
               file that is delivered again restates its day.",
        example: flow!("mode = \"batch\"" "[from]" "sites = \"drop\"" "files = \"{interval}.csv\"" "key = [\"sku\"]" "[to]" "site = \"central\"" "table = \"prices\""),
    },
    Entry {
        code: "E0314",
        title: "append would add all rows again",
        text: "A run is added once for each interval. Where nothing divides the rows into intervals, every run reads\n\
               all of them, and after two runs each would be there twice.",
        example: flow!("mode = \"batch\"" "[from]" "sites = \"paris\"" "table = \"prices\"" "[to]" "site = \"central\"" "[batch]" "load = \"append\""),
    },
    Entry {
        code: "E0315",
        title: "a prove-only flow with a transform",
        text: "With writer = \"other\" the flow compares somebody else's table with the source itself. Through a\n\
               transform, rows would be called different that only look different.",
        example: flow!("mode = \"event\"" "[from]" "sites = \"paris\"" "table = \"prices\"" "[to]" "site = \"central\"" "writer = \"other\"" "[transform]" "sql = \"select sku from prices\"" "[reconcile]" "schedule = \"@daily\""),
    },
    Entry {
        code: "E0316",
        title: "repair of a table that somebody else writes",
        text: "Two writers of one row overwrite each other, and the older change may win. A prove-only flow reports\n\
               the rows that differ and leaves them alone.",
        example: flow!("mode = \"event\"" "[from]" "sites = \"paris\"" "table = \"prices\"" "[to]" "site = \"central\"" "writer = \"other\"" "[reconcile]" "schedule = \"@daily\"" "repair = { max_rows = 10, max_share = \"1%\" }"),
    },
    Entry {
        code: "E0317",
        title: "several tables into one",
        text: "Several tables keep their names and keys at the target. Only a statement in [transform] can bring them\n\
               together in one table, which then needs a name.",
        example: flow!("mode = \"event\"" "[from]" "sites = \"paris\"" "tables = [\"prices\", \"articles\"]" "[to]" "site = \"central\"" "table = \"all\""),
    },
    Entry {
        code: "E0318",
        title: "a flow that writes what it reads",
        text: "Source and target are the same table of the same site: its own writes would come back as changes, for\n\
               ever.",
        example: flow!("mode = \"event\"" "[from]" "sites = \"central\"" "table = \"prices\"" "[to]" "site = \"central\""),
    },
    Entry {
        code: "E0319",
        title: "two flows write one table",
        text: "Each would remove or overwrite the rows of the other: a replace load takes all rows for its own, and a\n\
               reconciliation would delete what the other wrote. Allowed only when both have the same owner column and\n\
               read sites that differ.",
        example: Example::Files(&[
            (
                "flows/a.toml",
                "mode = \"event\"\n[from]\nsites = \"paris\"\ntable = \"prices\"\n[to]\nsite = \"central\"\n",
            ),
            (
                "flows/b.toml",
                "mode = \"event\"\n[from]\nsites = \"oslo\"\ntable = \"prices\"\n[to]\nsite = \"central\"\n",
            ),
        ]),
    },
    Entry {
        code: "E0323",
        title: "never reconciled",
        text: "A hybrid or prove-only flow without [reconcile] schedule proves nothing on its own. A warning:\n\
               `seamount reconcile FLOW` still proves whenever you ask.",
        example: flow!("mode = \"hybrid\"" "[from]" "sites = \"paris\"" "table = \"prices\"" "[to]" "site = \"central\""),
    },
    Entry {
        code: "E0324",
        title: "the flow needs a column that is masked",
        text: "A key column whose mask is \"drop\" or \"mask\" no longer tells rows apart, and an owner column with any\n\
               mask no longer names its site. As a key column \"hash\" works in batch flows: what differs stays different.",
        example: Example::Files(&[(
            "sites.toml",
            "[central]\nurl = \"sqlite:central.db\"\n[stores]\neach_in = \"stores.csv\"\nurl = \"sqlite:{site}.db\"\nmask = { inventory = { sku = \"mask\" } }\n",
        )]),
    },
    Entry {
        code: "E0390",
        title: "not built yet",
        text: "The key is part of the language, and this version cannot do what it asks. It is refused, because\n\
               ignoring it would change what is moved or promised without a word.",
        example: flow!("mode = \"event\"" "[from]" "sites = \"paris\"" "table = \"prices\"" "order_by = \"seq\"" "[to]" "site = \"central\""),
    },
    Entry {
        code: "E0391",
        title: "no effect yet",
        text: "The key is accepted, and this version does not act on it. Nothing is moved otherwise because of that; the\n\
               message says what you may expect in vain.",
        example: Example::Files(&[(
            "seamount.toml",
            "name = \"retail\"\nlisten = \"127.0.0.1:7070\"\n",
        )]),
    },
];
