//! The text of a new project, from tables as they are.
//!
//! Writes no file: the caller does, and asks before it overwrites. What comes out loads without a problem; a test
//! keeps it so.

use crate::spec::form;
use change::TableSchema;
use std::path::PathBuf;

/// Where a new project reads.
pub struct InitFrom {
    /// The url of the site.
    pub url: String,
    /// Its tables with their shapes; those without a key get a flow that says what is missing.
    pub tables: Vec<(String, TableSchema)>,
}

/// Files of a new project, below its folder. `from` is `None` where nothing was measured: an example flow is
/// written then, as a comment's worth of advice.
pub fn init(name: &str, from: Option<&InitFrom>, to: Option<&str>) -> Vec<(PathBuf, String)> {
    let mut files = vec![
        (PathBuf::from("seamount.toml"), project(name)),
        (PathBuf::from("sites.toml"), sites(from.map(|f| f.url.as_str()), to)),
        (PathBuf::from(".gitignore"), "/.seamount/\n".to_string()),
    ];
    for (table, schema) in from.iter().flat_map(|from| &from.tables) {
        let file = format!("flows/{}.toml", file_name(table));
        files.push((PathBuf::from(file), flow(table, schema)));
    }
    files
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

/// A name for a flow that moves a table.
fn file_name(table: &str) -> String {
    let plain: String =
        table.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).collect();
    let plain = plain.trim_start_matches('_').to_string();
    if form::is_name(&plain) { plain } else { "table".into() }
}

/// `seamount.toml`.
fn project(name: &str) -> String {
    let name = if form::is_name(name) { name } else { "integration" };
    format!(
        "name = {}\nlog  = {{ kind = \"embedded\", keep = \"30d\" }}   # how long history is kept\n",
        quoted(name)
    )
}

/// `sites.toml`.
fn sites(from: Option<&str>, to: Option<&str>) -> String {
    let from = from.unwrap_or("sqlite:source.db");
    let to = to.unwrap_or("sqlite:target.db");
    format!(
        "# Every place with data. Passwords are references: ${{env:NAME}} or ${{file:/run/secrets/name}}.\n\
         [source]\nurl = {}\n\n[target]\nurl = {}\n\n\
         # Many alike: one entry and a list with the columns site, host, region, timezone.\n\
         # [stores]\n# each_in = \"stores.csv\"\n# url = \"sqlite:stores/{{site}}.db\"\n",
        quoted(from),
        quoted(to)
    )
}

/// One flow file.
fn flow(table: &str, schema: &TableSchema) -> String {
    let key: Vec<&str> = schema.key_names().collect();
    let key_line = if key.is_empty() {
        "# key = [\"...\"]      # this table has none: name columns that tell its rows apart\n"
            .to_string()
    } else {
        String::new()
    };
    // Without a key nothing can be captured; a whole run still can be made.
    let mode = if key.is_empty() { "batch" } else { "hybrid" };
    let columns: Vec<String> = schema
        .columns()
        .iter()
        .map(|c| format!("{} {}", c.name.replace(['\n', '\r'], " "), c.ty))
        .collect();
    format!(
        "mode  = \"{mode}\"      # event | batch | hybrid\n\n\
         [from]\nsites = \"source\"\ntable = {table}\n{key_line}\
         # columns: {}\n\n\
         [to]\nsite  = \"target\"\ntable = {table}\n\n\
         [batch]\nschedule = \"0 1 * * *\"\ntimezone = \"UTC\"\nload     = \"replace\"\n\n\
         [reconcile]\nschedule = \"0 2 * * *\"\ntimezone = \"UTC\"\n",
        columns.join(", "),
        table = quoted(table),
    )
}
