//! `explain`: what a code means for the data, and what to do.

use crate::exit::{DONE, Failure};
use crate::output::Output;
use serde_json::json;

pub(crate) fn run(code: Option<&str>, output: &Output) -> Result<u8, Failure> {
    let Some(code) = code else {
        for entry in flow::explain::all() {
            output.object(&json!({ "type": "code", "code": entry.code, "title": entry.title }));
            output.line(&format!("{}  {}", entry.code, entry.title));
        }
        output.summary("seamount explain CODE says what a code means", &[]);
        return Ok(DONE);
    };
    let entry = flow::explain::of(code).ok_or_else(|| {
        let near = flow::explain::suggest(code);
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        Failure::Usage(format!("there is no code {code}{hint}"))
    })?;
    output.object(&json!({
        "type": "code", "code": entry.code, "title": entry.title, "text": entry.text,
    }));
    output.line(&entry.render());
    output.summary(&format!("{}: {}", entry.code, entry.title), &[]);
    Ok(DONE)
}
