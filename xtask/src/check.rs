//! `cargo x check`: the one gate before a commit. All gates run; the end names those that did not hold.

mod edges;
mod files;
mod promises;
mod supply;
mod unsafety;

use crate::metadata::Metadata;
use crate::process::{cargo, root, visibly};
use anyhow::{Result, bail};
use std::process::ExitCode;

/// The gates, quick ones first.
const GATES: [&str; 7] = ["edges", "files", "unsafe", "promises", "supply", "format", "lints"];

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    if let Some(unknown) = arguments.iter().find(|name| !GATES.contains(&name.as_str())) {
        bail!("there is no gate `{unknown}`; gates are {}", GATES.join(", "));
    }
    let asked = |gate: &str| arguments.is_empty() || arguments.iter().any(|name| name == gate);
    let gates: Vec<&str> = GATES.into_iter().filter(|gate| asked(gate)).collect();
    let mut failed = Vec::new();
    for gate in &gates {
        let complaints = complaints_of(gate)?;
        for complaint in &complaints {
            println!("{gate}: {complaint}");
        }
        if !complaints.is_empty() {
            failed.push(*gate);
        }
    }
    if failed.is_empty() {
        println!("check: {} hold", gates.join(", "));
        return Ok(ExitCode::SUCCESS);
    }
    println!("check: FAILED: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// What one gate has to say.
fn complaints_of(gate: &str) -> Result<Vec<String>> {
    match gate {
        "edges" => Ok(edges::complaints(&Metadata::read()?)),
        "files" => files::complaints(&root()),
        "unsafe" => unsafety::complaints(&root(), &Metadata::read()?.manifests()),
        "promises" => promises::complaints(&root()),
        "supply" => supply::complaints(),
        "format" => tool("fmt", &["fmt", "--all", "--check"]),
        _ => tool(
            "clippy",
            &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"],
        ),
    }
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
