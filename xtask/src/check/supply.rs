//! What comes in with dependencies: `deny.toml`, held to by cargo-deny where it is installed.
//!
//! It needs a list of advisories from the network, so it is not installed by anything here; without it the gate says so
//! and holds: a build must not depend on a service being reachable. What needs no tool is in `edges`.

use crate::process::{cargo, visibly};
use anyhow::Result;

/// What is not as it should be.
///
/// # Errors
/// The tool is there and cannot be started.
pub(crate) fn complaints() -> Result<Vec<String>> {
    let there = cargo(&["deny", "--version"]).output().is_ok_and(|output| output.status.success());
    if !there {
        println!(
            "supply: cargo-deny is not installed: licences, sources and advisories are not looked at"
        );
        return Ok(vec![]);
    }
    let status = visibly(&mut cargo(&["deny", "--all-features", "check"]))?;
    Ok(if status.success() { vec![] } else { vec!["see above".to_string()] })
}
