//! (c) Hybrid: somebody damages head office's table by hand; a reconciliation names exactly these rows and mends them.

use crate::data::Day;
use crate::oracle;
use crate::random::Random;
use crate::sale::{Key, read_day};
use crate::scene::{LIVE, Scene, count};
use crate::seamount::{DIFFERENT, Difference, Said};
use anyhow::{Result, bail};
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

/// Rows changed, deleted, invented.
const CHANGED: usize = 20;
const DELETED: usize = 20;
const INVENTED: usize = 10;

/// Runs the step.
///
/// # Errors
/// What does not hold.
pub(crate) fn run(scene: &Scene) -> Result<()> {
    scene.project.set_mode(LIVE, "event", "hybrid")?;
    let damage = damage(&scene.central()?, &scene.days, scene.seed)?;
    let first = scene.seamount.run(&["reconcile", LIVE])?;
    names_exactly(&first, &damage)?;
    let repair = scene.seamount.run(&["reconcile", LIVE, "--repair"])?;
    let repaired = repair.number("repaired");
    if repaired != damage.len() as u64 {
        bail!("{repaired} rows were repaired: {}", repair.complaint());
    }
    let second = scene.seamount.must(&["reconcile", LIVE])?;
    if second.summary("verdict") != "EQUAL" || second.number("differences") != 0 {
        bail!("the second reconciliation says {}", second.complaint());
    }
    let right = oracle::check_sales(&scene.central()?, &scene.days)?;
    println!(
        "(c) hybrid    {} rows damaged ({CHANGED} changed, {DELETED} deleted, {INVENTED} invented), all named, 0 others; \
         {repaired} repaired; second reconciliation EQUAL over {} rows",
        damage.len(),
        count(right.rows),
    );
    Ok(())
}

/// Whether a proof has found these differences and no others.
///
/// # Errors
/// It has not; with the first that are wrong.
pub(crate) fn names_exactly(said: &Said, expected: &[Difference]) -> Result<()> {
    let found: BTreeSet<Difference> = said.differences()?.into_iter().collect();
    let expected: BTreeSet<Difference> = expected.iter().cloned().collect();
    if said.code == Some(DIFFERENT) && found == expected {
        return Ok(());
    }
    let show = |rows: Vec<&Difference>| {
        let named = rows.iter().take(3).map(|row| format!("{} {}", row.key, row.kind));
        format!("{} ({})", rows.len(), named.collect::<Vec<_>>().join(", "))
    };
    bail!(
        "not named {}, named wrongly {}: {}",
        show(expected.difference(&found).collect()),
        show(found.difference(&expected).collect()),
        said.complaint()
    )
}

/// Damages rows and says which, and how.
fn damage(central: &Connection, days: &[Day], seed: u64) -> Result<Vec<Difference>> {
    let mut random = Random::new(seed ^ 0x6861_726D);
    let keys = draw(&mut random, days, CHANGED + DELETED + INVENTED)?;
    let mut damage = Vec::new();
    for (place, key) in keys.into_iter().enumerate() {
        let (kind, key) = match place {
            _ if place < CHANGED => ("changed", key),
            _ if place < CHANGED + DELETED => ("missing", key),
            // A line that no file has.
            _ => ("extra", Key { line: 1_000_000 + key.line, ..key }),
        };
        let statement = match (kind, place % 3) {
            ("changed", 0) => "UPDATE sale SET quantity = quantity + 1",
            ("changed", 1) => "UPDATE sale SET unit_price = 4321.0987",
            ("changed", _) => "UPDATE sale SET description = 'SOMETHING ELSE'",
            ("missing", _) => "DELETE FROM sale",
            (_, _) => {
                "INSERT INTO sale(country, day, line, invoice, quantity) VALUES (?1, ?2, ?3, 'X', 1)"
            }
        };
        let place = " WHERE country = ?1 AND day = ?2 AND line = ?3";
        let statement = format!("{statement}{}", if kind == "extra" { "" } else { place });
        let rows = central.execute(&statement, params![key.country, key.day, key.line])?;
        if rows != 1 {
            bail!("{key}: {rows} rows were damaged");
        }
        damage.push(Difference { kind: kind.to_string(), key });
    }
    damage.sort();
    Ok(damage)
}

/// Keys of rows that are there, each once.
fn draw(random: &mut Random, days: &[Day], many: usize) -> Result<Vec<Key>> {
    let mut keys: Vec<Key> = Vec::new();
    while keys.len() < many {
        let day = random.pick(days);
        let sales = read_day(&day.path, &day.name)?;
        if sales.is_empty() {
            continue;
        }
        let key = random.pick(&sales).key.clone();
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}
