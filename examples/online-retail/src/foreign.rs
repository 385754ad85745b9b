//! (e) Prove-only: somebody else's script copies the sales, and loses one row in a thousand. Seamount writes nothing,
//! and names every row that is missing.

use crate::countries;
use crate::hybrid::names_exactly;
use crate::oracle::sales_of;
use crate::project::open;
use crate::scene::{Scene, count};
use crate::seamount::Difference;
use crate::shops::insert;
use anyhow::{Result, bail};

const FLOW: &str = "foreign-copy";

/// One row in so many is lost.
const LOST: u64 = 1_000;

/// Runs the step.
///
/// # Errors
/// What does not hold.
pub(crate) fn run(scene: &Scene) -> Result<()> {
    let (copied, lost) = copy(scene)?;
    if lost.is_empty() {
        bail!("no row was lost: there are only {copied}");
    }
    let said = scene.seamount.run(&["reconcile", FLOW])?;
    names_exactly(&said, &lost)?;
    println!(
        "(e) foreign   {} rows copied by another hand, {} lost on the way: all named, 0 others",
        count(copied),
        count(lost.len() as u64),
    );
    Ok(())
}

/// The script: copies what the sites hold, but for the rows it loses. Returns the number copied, and what was lost.
fn copy(scene: &Scene) -> Result<(u64, Vec<Difference>)> {
    let mut foreign = scene.project.create_foreign()?;
    let transaction = foreign.transaction()?;
    let (mut copied, mut lost) = (0, Vec::new());
    for country in countries::all()? {
        let site = open(&scene.project.site(&country.file))?;
        for day in &scene.days {
            for sale in sales_of(&site, &country.name, &day.name)? {
                if (copied + lost.len() as u64 + scene.seed) % LOST == LOST / 2 {
                    lost.push(Difference { kind: "missing".into(), key: sale.key });
                } else {
                    insert(&transaction, &sale)?;
                    copied += 1;
                }
            }
        }
    }
    transaction.commit()?;
    Ok((copied, lost))
}
