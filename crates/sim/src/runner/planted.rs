//! The proof that the harness bites: each defect is planted, and must be caught within the seeds of its drill.

use crate::catchers::CATCHERS;
use change::planted::Defect;

/// What became of one defect.
#[cfg(feature = "planted")]
enum Fate {
    Caught { seed: u64, how: String },
    Missed { seeds: u64 },
}

/// Plants every defect that has a catcher (or the one that is named); says whether all were caught.
#[cfg(feature = "planted")]
pub fn planted(only: Option<&str>) -> bool {
    let drills = crate::drill::all();
    let (mut caught, mut all) = (0, 0);
    for (defect, name, seeds) in CATCHERS {
        if only.is_some_and(|only| only != format!("{defect:?}")) {
            continue;
        }
        all += 1;
        let Some(drill) = drills.iter().find(|drill| drill.name == *name) else {
            println!("{defect:?}  NOT CAUGHT: there is no drill {name}");
            continue;
        };
        change::planted::plant(Some(*defect));
        let fate = hunt(drill, *seeds);
        change::planted::plant(None);
        match fate {
            Fate::Caught { seed, how } => {
                caught += 1;
                println!("{:<22} caught by {name}, seed {seed}: {how}", format!("{defect:?}"));
            }
            Fate::Missed { seeds } => {
                println!("{defect:?}  NOT CAUGHT by {seeds} seeds of {name}");
            }
        }
    }
    list_unplanted();
    println!("{caught} of {all} caught");
    caught == all
}

#[cfg(feature = "planted")]
fn hunt(drill: &crate::drill::Drill, seeds: u64) -> Fate {
    for seed in 0..seeds {
        let ran = crate::runner::guarded(|_| crate::world::Ran {
            violation: (drill.run)(seed).err(),
            fingerprint: 0,
            steps: 0,
            situations: Default::default(),
        });
        if let Some(violation) = ran.violation {
            return Fate::Caught {
                seed,
                how: format!("{}: {}", violation.invariant, violation.what),
            };
        }
    }
    Fate::Missed { seeds }
}

/// This build has no defects: it says so.
#[cfg(not(feature = "planted"))]
pub fn planted(_: Option<&str>) -> bool {
    println!("this build has no planted defects; build it with --features planted");
    list_unplanted();
    false
}

fn list_unplanted() {
    let has = |defect: &Defect| CATCHERS.iter().any(|(caught, ..)| caught == defect);
    let without: Vec<String> =
        Defect::ALL.iter().filter(|d| !has(d)).map(|d| format!("{d:?}")).collect();
    if !without.is_empty() {
        println!("not planted: {}", without.join(", "));
    }
}
