//! Seeds that failed once, for ever: `seeds/failed-once.txt`.

use sim::drill::all;
use sim::runner::one_seed;

const FAILED_ONCE: &str = include_str!("../../seeds/failed-once.txt");

#[test]
fn seeds_that_failed_once_are_well_for_ever() {
    let drills = all();
    for line in FAILED_ONCE.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (name, seed) = (words.next().unwrap(), words.next().unwrap().parse().unwrap());
        let drill = drills.iter().find(|drill| drill.name == name);
        let drill = drill.unwrap_or_else(|| panic!("there is no drill {name}"));
        if let Some(violation) = one_seed(drill, seed).violation {
            panic!("{name} {seed}: {}: {}", violation.invariant, violation.what);
        }
    }
}
