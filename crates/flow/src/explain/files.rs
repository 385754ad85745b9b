//! E01: the files as such.

use super::{Entry, Example};

/// Laid over the project's flow by examples that need only one more line.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        code: "E0101",
        title: "not a project",
        text: "The folder has no seamount.toml, so nothing was read and nothing was written. `seamount init` makes a\n\
               project here; `-C DIR` names another folder.",
        example: Example::Files(&[("seamount.toml", "")]),
    },
    Entry {
        code: "E0102",
        title: "a file cannot be read",
        text: "The file is not there, not readable for this user, or not UTF-8 text. Nothing runs until it is: flows\n\
               name sites, and sites.toml says where they are.",
        example: Example::Files(&[("sites.toml", "")]),
    },
    Entry {
        code: "E0103",
        title: "not TOML",
        text: "The file breaks off or breaks the rules of TOML at the place shown. Nothing in it is used. Often a\n\
               quote or a bracket is missing on the line itself or on the one before, or a key is there twice.",
        example: Example::Files(&[("seamount.toml", "name = \"retail\nlog = {}\n")]),
    },
    Entry {
        code: "E0104",
        title: "unknown key",
        text: "A key that nobody reads is refused instead of ignored: a misspelt `owner` would let one store write\n\
               over another without a word. The message names the keys that exist in that section.",
        example: Example::Files(&[(
            "seamount.toml",
            "name = \"retail\"\nlgo = { keep = \"30d\" }\n",
        )]),
    },
    Entry {
        code: "E0105",
        title: "wrong type",
        text: "The value is of another type than the key takes: a number where a text is expected, one text where a\n\
               list is. Nothing in the file is used until it is corrected.",
        example: Example::Files(&[("seamount.toml", "name = \"retail\"\nlog = { keep = 30 }\n")]),
    },
    Entry {
        code: "E0106",
        title: "missing key",
        text: "A key that has no default is not there. Defaults are only given where they cannot lose data.",
        example: Example::Files(&[("seamount.toml", "log = { keep = \"30d\" }\n")]),
    },
    Entry {
        code: "E0107",
        title: "not one of the words",
        text: "The key takes one of a few words, which the message lists. For `mode` they are event, batch, hybrid.",
        example: Example::Files(&[(
            "flows/prices.toml",
            "mode = \"hybird\"\n[from]\nsites = \"paris\"\ntable = \"prices\"\n[to]\nsite = \"central\"\n",
        )]),
    },
    Entry {
        code: "E0108",
        title: "a value that does not read",
        text: "The value has the right type and not the right form: times are written 30s, 5m, 2h or 30d, sizes 50GB,\n\
               shares 1%, and names are made of letters, digits, -, _ and .",
        example: Example::Files(&[(
            "seamount.toml",
            "name = \"retail\"\nlog = { keep = \"a month\" }\n",
        )]),
    },
    Entry {
        code: "E0109",
        title: "named twice",
        text: "A list names the same thing twice. Reading a site twice would count its rows twice, and a key column\n\
               that appears twice is most often another one misspelt.",
        example: Example::Files(&[(
            "flows/prices.toml",
            "mode = \"event\"\n[from]\nsites = [\"paris\", \"paris\"]\ntable = \"prices\"\nkey = [\"sku\"]\n[to]\nsite = \"central\"\n",
        )]),
    },
    Entry {
        code: "E0110",
        title: "no flows",
        text: "The folder flows/ holds no .toml file, so there is nothing to run. A warning: a new project begins so.",
        example: Example::Files(&[("flows/inventory.toml", "")]),
    },
];
