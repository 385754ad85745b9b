//! Which call fails in a run, and how. All steps of a scenario are known from a run without faults.

use super::trace::{Room, Touched};
use crate::random::Random;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Only the calls that are asked for stop the process.
const QUICK: &str = "--seccomp-bpf";

/// What the traced process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// The service over databases that nobody has captured: installation and first snapshots.
    First,
    /// The service over changes that wait.
    Changes,
    /// One batch, by hand.
    Batch,
    /// Changes and a proof, by hand.
    Proof,
}

impl Work {
    /// All of it.
    pub(super) const ALL: [Work; 4] = [Work::First, Work::Changes, Work::Batch, Work::Proof];

    /// What is typed.
    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            Work::First | Work::Changes => &["run"],
            Work::Batch => &["run", "sales", "--once"],
            Work::Proof => &["run", "articles", "--once"],
        }
    }

    /// Whether it goes on until somebody stops it.
    pub(super) fn is_service(self) -> bool {
        self.arguments() == ["run"]
    }
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The process is killed instead of it.
    Kill,
    /// A sync says that the disk failed; the next ones succeed, and lie.
    SyncFails,
    /// No space from here on.
    NoSpace,
    /// No space for so many calls, then there is some again.
    NoSpaceFor(u64),
    /// This one call takes long, in microseconds.
    Slow(u64),
}

/// One step: the `number`th call of a thread on files of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) work: Work,
    pub(super) room: Room,
    pub(super) call: &'static str,
    pub(super) number: u64,
    pub(super) fault: Fault,
    /// The room's files, below the root.
    pub(super) files: Vec<PathBuf>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { work, room, call, number, fault, .. } = self;
        write!(f, "{fault:?} at {call} {number} on {room:?} in {work:?}")
    }
}

impl Step {
    /// The words for strace, in front of the program.
    pub(super) fn words(&self, root: &Path, output: &Path) -> Vec<String> {
        let Step { call, number, .. } = self;
        let how = match self.fault {
            Fault::Kill => format!("signal=KILL:when={number}"),
            Fault::SyncFails => format!("error=EIO:when={number}"),
            Fault::NoSpace => format!("error=ENOSPC:when={number}+"),
            Fault::NoSpaceFor(calls) => format!("error=ENOSPC:when={number}..{}", number + calls),
            Fault::Slow(micros) => format!("delay_enter={micros}:when={number}"),
        };
        let mut words = traced(output, call);
        if self.fault == Fault::Kill {
            // With it, strace 6.1 sends no signal.
            words.retain(|word| word != QUICK);
        }
        words.extend(["-e".to_string(), format!("inject={call}:{how}")]);
        for file in &self.files {
            words.extend(["-P".to_string(), root.join(file).display().to_string()]);
        }
        words
    }
}

/// The words for strace that only watch.
pub(super) fn traced(output: &Path, calls: &str) -> Vec<String> {
    let output = output.display().to_string();
    let watch = format!("trace={calls}");
    let words = ["strace", "-f", "-q", "-y", QUICK, "-o", &output, "-e", &watch];
    words.into_iter().map(String::from).collect()
}

/// Every step that the runs without faults have shown.
pub(super) fn all(runs: &BTreeMap<Work, BTreeMap<Room, Touched>>) -> Vec<Step> {
    let mut steps = Vec::new();
    for (&work, rooms) in runs {
        for (&room, touched) in rooms {
            let files: Vec<PathBuf> = touched.files.iter().cloned().collect();
            for (&call, &most) in &touched.calls {
                for number in 1..=most {
                    let step =
                        |fault| Step { work, room, call, number, fault, files: files.clone() };
                    steps.extend(faults(call, number).into_iter().map(step));
                }
            }
        }
    }
    steps
}

/// How a call can fail. A lack of space is only asked of what writes.
fn faults(call: &str, number: u64) -> Vec<Fault> {
    let mut faults = vec![Fault::Kill];
    match call {
        "fdatasync" | "fsync" => faults.extend([Fault::SyncFails, Fault::Slow(30_000)]),
        "pwrite64" | "write" if number.is_multiple_of(3) => {
            faults.extend([Fault::NoSpace, Fault::NoSpaceFor(1 + number % 20)]);
        }
        _ => {}
    }
    faults
}

/// So many of the steps: six kills in ten, and of every kind of fault some.
pub(super) fn sample(mut steps: Vec<Step>, most: usize, random: &mut Random) -> Vec<Step> {
    if steps.len() <= most {
        return steps;
    }
    for at in (1..steps.len()).rev() {
        let other = usize::try_from(random.below(at as u64 + 1)).expect("an index");
        steps.swap(at, other);
    }
    let share = |percent: usize| most * percent / 100;
    let mut chosen = Vec::new();
    for (room, is_it) in [
        (share(20), (|f: &Fault| *f == Fault::SyncFails) as fn(&Fault) -> bool),
        (share(8), |f| *f == Fault::NoSpace),
        (share(8), |f| matches!(f, Fault::NoSpaceFor(_))),
        (share(4), |f| matches!(f, Fault::Slow(_))),
        (most, |f| *f == Fault::Kill),
    ] {
        let room = room.min(most - chosen.len());
        chosen.extend(steps.iter().filter(|step| is_it(&step.fault)).take(room).cloned());
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs() -> BTreeMap<Work, BTreeMap<Room, Touched>> {
        let touched = Touched {
            calls: BTreeMap::from([("pwrite64", 30), ("fdatasync", 5)]),
            files: [PathBuf::from("central/central.db-wal")].into(),
        };
        BTreeMap::from([(Work::Changes, BTreeMap::from([(Room::Centre, touched)]))])
    }

    #[test]
    fn every_call_is_a_step_and_fails_as_it_can() {
        let steps = all(&runs());
        let count = |fault: Fault| steps.iter().filter(|step| step.fault == fault).count();
        assert_eq!(count(Fault::Kill), 35);
        assert_eq!((count(Fault::SyncFails), count(Fault::NoSpace)), (5, 10));
    }

    #[test]
    fn a_sample_has_some_of_everything_and_the_seed_decides() {
        let chosen = |seed| sample(all(&runs()), 25, &mut Random::new(seed));
        let sample = chosen(3);
        assert_eq!(sample.len(), 25);
        for fault in [Fault::Kill, Fault::SyncFails, Fault::NoSpace] {
            assert!(sample.iter().any(|step| step.fault == fault), "{fault:?}");
        }
        assert_eq!(sample, chosen(3));
        assert_ne!(sample, chosen(4));
    }

    #[test]
    fn the_words_name_call_number_and_files() {
        let step = Step {
            fault: Fault::NoSpaceFor(4),
            ..all(&runs()).into_iter().find(|s| s.call == "pwrite64" && s.number == 6).unwrap()
        };
        let words = step.words(Path::new("/w"), Path::new("/t")).join(" ");
        assert!(words.contains("-e inject=pwrite64:error=ENOSPC:when=6..10"), "{words}");
        assert!(words.ends_with("-P /w/central/central.db-wal"), "{words}");
    }
}
