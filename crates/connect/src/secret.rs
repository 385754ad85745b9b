//! A secret: a text that is never printed, stored or sent, and where such texts come from.
//!
//! Not here: settings that hold references to secrets (`setting`), or hiding what was written down by mistake
//! (`redact`). The invariant: a [`Secret`] shows three stars to everybody but [`Secret::expose`], and its memory is
//! overwritten when it goes.

mod process;

pub use process::ProcessSecrets;

use crate::error::Result;
use std::fmt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// What stands for a secret wherever it would be shown.
pub const HIDDEN: &str = "***";

/// A text that nobody may see. It can be neither cloned nor serialised.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text over.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text itself, for the call that needs it; whoever copies it must not keep it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// Does not compile once `Secret` can be cloned or serialised: then there would be two ways to name the item below.
const _: fn() = || {
    trait OneWay<Which> {
        fn item() {}
    }
    struct Serialised;
    struct Cloned;
    impl<T: ?Sized> OneWay<()> for T {}
    impl<T: ?Sized + serde::Serialize> OneWay<Serialised> for T {}
    impl<T: Clone> OneWay<Cloned> for T {}
    let _ = <Secret as OneWay<_>>::item;
};

/// Where a secret is, as `${...}` says it. No part of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// `${env:NAME}`: a variable of the process's environment.
    Env(String),
    /// `${file:PATH}`: the text of a file that only its owner can read.
    File {
        /// The path as it was written.
        written: String,
        /// The file.
        path: PathBuf,
    },
    /// `${cmd:PROGRAM ARGUMENT ...}`: what a program prints.
    Command(String),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Env(name) => write!(f, "${{env:{name}}}"),
            Reference::File { written, .. } => write!(f, "${{file:{written}}}"),
            Reference::Command(line) => write!(f, "${{cmd:{line}}}"),
        }
    }
}

/// Where secrets come from. They are asked for each time one is used, so that a changed one needs no restart.
pub trait Secrets: Send + Sync {
    /// The secret now.
    ///
    /// # Errors
    /// `Unavailable` (E0209) when it is not there; `Invalid` when it may not be used as it is: a file that others
    /// can read (E0211), a program although those are not allowed (E0212).
    fn find(&self, reference: &Reference) -> Result<Secret>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_stars() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {:#?}", Some(&secret)),
            "*** *** Some(\n    ***,\n)"
        );
        assert_eq!(secret.expose(), "hunter2");
    }
}
