//! (b) Batch: the nightly export, a run for each day, all of it or nothing; killed in the middle, and run again.

use crate::oracle::{Totals, check_totals, expected_totals, published_totals};
use crate::scene::{Scene, count};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const FLOW: &str = "sales-by-day";

/// Runs the step.
///
/// # Errors
/// What does not hold.
pub(crate) fn run(scene: &Scene) -> Result<Totals> {
    let expected = expected_totals(&scene.days)?;
    let began = Instant::now();
    let survived = killed_in_the_middle(scene, &expected)?;
    let finished = scene.seamount.must(&["run", FLOW, "--once"])?;
    let took = began.elapsed();
    let central = scene.central()?;
    let published = published_totals(&central)?;
    check_totals(&expected, &published)?;

    let again = scene.seamount.must(&["run", FLOW, "--once"])?;
    if again.number("runs") != 0 {
        bail!("there was nothing new, and {} runs were made", again.number("runs"));
    }
    check_totals(&published, &published_totals(&central)?).context("after a run of nothing")?;
    let day = &scene.days[scene.days.len() / 2].name;
    scene.seamount.must(&["run", FLOW, "--once", "--interval", day])?;
    check_totals(&published, &published_totals(&central)?).context("after a day was run again")?;

    println!(
        "(b) batch     {} days: killed (-9) after {survived}, {} runs in the second call; {} totals of country and day \
         exact; {day} run again changes nothing; {:.1} s",
        scene.days.len(),
        finished.number("runs"),
        count(published.len() as u64),
        took.as_secs_f64(),
    );
    Ok(published)
}

/// Kills a run after a third of the days; returns how many were published. Each of them must be whole.
fn killed_in_the_middle(scene: &Scene, expected: &Totals) -> Result<usize> {
    let wanted = (scene.days.len() / 3).max(1);
    let central = scene.central()?;
    let mut run = scene.seamount.start(&["run", FLOW, "--once"])?;
    loop {
        let published = days_of(&published_totals(&central)?).len();
        let lives = run.must_live();
        if published == scene.days.len() {
            bail!("all {published} days were published before the run could be killed");
        }
        lives?;
        if published >= wanted {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    if !run.kill()? {
        bail!("the run ended before it could be killed");
    }
    let published = published_totals(&central)?;
    let days = days_of(&published);
    let whole = expected.iter().filter(|((_, day), _)| days.contains(day));
    let whole: Totals = whole.map(|(key, total)| (key.clone(), *total)).collect();
    check_totals(&whole, &published).context("after the kill, a day was not whole")?;
    Ok(days.len())
}

fn days_of(totals: &Totals) -> BTreeSet<String> {
    totals.keys().map(|(_, day)| day.clone()).collect()
}
