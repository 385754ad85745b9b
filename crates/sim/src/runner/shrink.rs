//! The shortest way to a violation: features are left out, then acts, as long as the same invariant is broken.

use crate::world::plan::{Feature, Less, Plan};
use crate::world::{self, Ran, Recording};

/// Finds a small plan of a seed that breaks the same invariant.
pub fn shortest(seed: u64, invariant: &str) -> (Less, Ran) {
    let fails = |less: &Less| {
        let ran = world::run(seed, less, Recording::Kept);
        ran.violation.as_ref().is_some_and(|v| v.invariant == invariant).then_some(ran)
    };
    let mut less = Less::default();
    let mut best = world::run(seed, &less, Recording::Kept);
    let first = Plan::of(seed, &less);
    for feature in Feature::ALL.iter().filter(|feature| first.has(**feature)) {
        let mut smaller = less.clone();
        smaller.without.insert(*feature);
        if let Some(ran) = fails(&smaller) {
            (less, best) = (smaller, ran);
        }
    }
    let mut acts = first.acts;
    let mut step = acts / 2;
    while step > 0 {
        let smaller = Less { acts: Some(acts.saturating_sub(step)), ..less.clone() };
        match fails(&smaller) {
            Some(ran) => {
                acts -= step.min(acts);
                (less, best) = (smaller, ran);
            }
            None => step /= 2,
        }
    }
    (less, best)
}
