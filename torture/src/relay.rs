//! `proxy`: the failing TCP proxy as a tool, until it is interrupted. What it does is a plan of its seed, and is told first.

use anyhow::{Context, Result, bail};
use seamount_torture::proxy::{Plan, Proxy};
use std::time::Duration;

/// Runs it for ever.
///
/// # Errors
/// A word is not known, or the address cannot be listened on.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let (mut listen, mut to, mut seed) = ("127.0.0.1:0".to_string(), None, 1);
    for pair in words.chunks(2) {
        let [word, value] = pair else { bail!("{} needs a value", pair[0]) };
        match word.as_str() {
            "--listen" => listen.clone_from(value),
            "--to" => to = Some(value.clone()),
            "--seed" => seed = value.parse().with_context(|| format!("--seed {value}"))?,
            other => bail!("there is no option `{other}`"),
        }
    }
    let to = to.context("name the server: --to HOST:PORT")?;
    let plan = Plan::by_seed(seed);
    println!("plan of seed {seed}: {plan:?}");
    let proxy = Proxy::start(&listen, &to, plan).with_context(|| listen.clone())?;
    println!("{} -> {to}; stop with ctrl-c", proxy.address());
    let mut before = proxy.passed();
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = proxy.passed();
        if now != before {
            println!(
                "{} connections, {} bytes to the server, {} to the client, {} faults",
                now.connections, now.to_server, now.to_client, now.faults
            );
            before = now;
        }
    }
}
