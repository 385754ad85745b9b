//! (a) under fire: the engine is killed (`kill -9`) at random moments while the shops write, and started again.

use crate::event::settle;
use crate::random::Random;
use crate::scene::{LIVE, Scene, count};
use crate::shops::Shops;
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

/// The longest that an engine may live, in milliseconds.
const LIVES_MS: u64 = 1_500;

/// Runs the loop.
///
/// # Errors
/// What does not hold.
pub(crate) fn run(scene: &Scene, times: u64) -> Result<()> {
    let mut random = Random::new(scene.seed ^ 0x6B69_6C6C);
    let began = Instant::now();
    let shops = Shops::open(&scene.project)?;
    let mut handed = 0;
    let mut under_load = 0;
    for time in 1..=times {
        let until = share(scene.days.len(), time, times);
        for day in &scene.days[handed..until] {
            shops.hand(day)?;
        }
        handed = until;
        let before = shops.rows();
        let mut service = scene.seamount.start(&["run", LIVE])?;
        std::thread::sleep(Duration::from_millis(random.below(LIVES_MS)));
        service.must_live().with_context(|| format!("before kill {time}"))?;
        if !service.kill()? {
            bail!("the engine ended by itself before kill {time}");
        }
        under_load += u64::from(shops.rows() > before);
        if shops.done() {
            break;
        }
    }
    let mut service = scene.seamount.start(&["run", LIVE])?;
    let written = shops.close().wait().context("the shops")?;
    scene.arrive(&mut service, written.rows)?;
    service.stop()?;
    let right = settle(scene, &written)?;
    let fates = scene.seamount.status(LIVE)?.fates;
    println!(
        "kill-loop     {times} kills, {under_load} while rows were written; {} rows in = out, 0 duplicates; {} changes \
         read = {} applied + {} superseded + {} seen before; revenue {}; {:.1} s",
        count(right.rows),
        count(fates.read),
        count(fates.applied),
        count(fates.superseded),
        count(fates.deduplicated),
        right.revenue(),
        began.elapsed().as_secs_f64(),
    );
    Ok(())
}

/// How many of `all` are due after `time` of `times`: all of them after the last.
fn share(all: usize, time: u64, times: u64) -> usize {
    let due = all as u128 * u128::from(time) / u128::from(times);
    usize::try_from(due).expect("no more than all")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_days_are_spread_over_the_kills() {
        assert_eq!(share(305, 50, 50), 305);
        assert_eq!((share(305, 1, 50), share(305, 49, 50)), (6, 298));
        assert_eq!(share(3, 1, 50), 0);
    }
}
