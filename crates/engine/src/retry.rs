//! Back-off between attempts. The kind of an error alone decides whether there is another one.

use connect::{Error, Kind, State as Named};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(30);

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Try again after this long.
    Again(Duration),
    /// Stop this lane or flow until somebody acts.
    Stop,
    /// Stop the engine: its log or state cannot be trusted until it is opened again.
    StopEngine,
}

/// Counts attempts and doubles the wait between them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// Something worked: the next failure is the first again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Decides about an error.
    pub fn decide(&mut self, error: &Error) -> Decision {
        match error.kind {
            Kind::Unavailable => Decision::Again(self.wait()),
            Kind::Corrupt if error.state != Some(Named::LogBehindTarget) => Decision::StopEngine,
            Kind::Corrupt | Kind::Invalid | Kind::Refused | Kind::Conflict | Kind::Internal => {
                Decision::Stop
            }
        }
    }

    /// The next wait.
    pub fn wait(&mut self) -> Duration {
        let wait = FIRST.saturating_mul(1 << self.attempts.min(16)).min(LONGEST);
        self.attempts += 1;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_start_over() {
        let mut backoff = Backoff::default();
        let gone = Error::unavailable("gone");
        assert_eq!(backoff.decide(&gone), Decision::Again(FIRST));
        assert_eq!(backoff.decide(&gone), Decision::Again(FIRST * 2));
        for _ in 0..40 {
            backoff.decide(&gone);
        }
        assert_eq!(backoff.decide(&gone), Decision::Again(LONGEST));
        backoff.reset();
        assert_eq!(backoff.decide(&gone), Decision::Again(FIRST));
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.decide(&Error::conflict("fenced")), Decision::Stop);
        assert_eq!(backoff.decide(&Error::invalid("wrong")), Decision::Stop);
        assert_eq!(backoff.decide(&Error::corrupt("fsync")), Decision::StopEngine);
        let behind = Error::corrupt("behind").state(Named::LogBehindTarget);
        assert_eq!(backoff.decide(&behind), Decision::Stop);
    }
}
