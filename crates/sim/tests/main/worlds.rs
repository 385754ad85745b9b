//! Seeds of the world, of the scenes and of the steps; two runs of one seed do the same.

use sim::drill::all;
use sim::runner::{one_seed, seeds};
use sim::world::plan::Less;
use sim::world::{self, Recording};

fn run(name: &str, count: u64) {
    let drills = all();
    let drill = drills.iter().find(|drill| drill.name == name).unwrap();
    let tally = seeds(drill, 0..count, 2, &|_| {});
    if let Some((seed, violation)) = tally.violations.first_key_value() {
        panic!("{name} {seed}: {}: {}", violation.invariant, violation.what);
    }
    assert_eq!(tally.seeds, count);
}

#[test]
fn worlds_that_fail_lose_nothing() {
    run("world", 300);
}

#[test]
fn a_machine_that_stops_at_a_step_loses_nothing() {
    run("every-step", 60);
}

#[test]
fn scenes_play_well() {
    let scenes = [
        "held-disk",
        "unique-swap",
        "unsent-cell",
        "late-run",
        "lost-parking",
        "older-folder",
        "late-repair",
    ];
    scenes.iter().for_each(|scene| run(scene, 3));
}

#[test]
fn two_runs_of_a_seed_do_the_same() {
    for seed in 0..5 {
        let run = || world::run(seed, &Less::default(), Recording::Not).fingerprint;
        assert_eq!(run(), run(), "seed {seed}");
    }
}

/// A run that panics is a violation, not the end of all other seeds.
#[test]
fn a_broken_assertion_is_a_violation() {
    let drill = sim::Drill {
        name: "breaks",
        about: "breaks an assertion",
        seeds_in_ci: 1,
        run: |_| panic!("an invariant of the engine"),
    };
    let violation = one_seed(&drill, 0).violation.unwrap();
    assert!(violation.what.contains("an invariant of the engine"), "{}", violation.what);
}
