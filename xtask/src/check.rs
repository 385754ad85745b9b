//! `cargo x check`: the one gate before a commit. All gates run; the end names those that did not hold.

mod edges;
mod files;

use crate::metadata::Metadata;
use crate::process::{cargo, root, visibly};
use anyhow::{Result, bail};
use std::process::ExitCode;

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    if let Some(unknown) = arguments.first() {
        bail!("check takes no arguments, found `{unknown}`");
    }
    let mut failed = Vec::new();
    let mut gate = |name: &'static str, complaints: Vec<String>| {
        for complaint in &complaints {
            println!("{name}: {complaint}");
        }
        if !complaints.is_empty() {
            failed.push(name);
        }
    };
    gate("edges", edges::complaints(&Metadata::read()?));
    gate("files", files::complaints(&root())?);
    gate("format", tool("fmt", &["fmt", "--all", "--check"])?);
    let lints = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    gate("lints", tool("clippy", &lints)?);
    if failed.is_empty() {
        println!("check: edges, files, format and lints hold");
        return Ok(ExitCode::SUCCESS);
    }
    println!("check: {} did not hold", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Runs a tool of cargo that a toolchain may lack. Without it nothing is checked, and that is a complaint too: a gate
/// that is open unseen is none.
fn tool(name: &str, arguments: &[&str]) -> Result<Vec<String>> {
    let there = cargo(&[name, "--version"]).output().is_ok_and(|output| output.status.success());
    if !there {
        let component = if name == "fmt" { "rustfmt" } else { name };
        return Ok(vec![format!("not checked: `rustup component add {component}` first")]);
    }
    let status = visibly(&mut cargo(arguments))?;
    Ok(if status.success() { vec![] } else { vec!["see above".to_string()] })
}
