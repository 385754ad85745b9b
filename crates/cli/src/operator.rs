//! Who types, and what: for the audit log, the lock and the notes of letters. No secret of the command line is kept.

use connect::redact::{names_secret, redacted};
use connect::secret::HIDDEN;

/// The user's name, or the number where it has none.
pub(crate) fn user() -> String {
    let number = own_number();
    let named = number.and_then(|number| {
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, of) = (fields.next()?, fields.nth(1)?);
            (of.parse() == Ok(number)).then(|| name.to_string())
        })
    });
    named
        .or_else(|| number.map(|number| format!("user {number}")))
        .or_else(|| std::env::var("USER").ok())
        .unwrap_or_else(|| "somebody".into())
}

/// The machine's name.
pub(crate) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_string()
}

/// `user@host`.
pub(crate) fn who() -> String {
    format!("{}@{}", user(), host())
}

/// The command line, with stars for what may be a password.
pub(crate) fn command_line() -> String {
    hidden(std::env::args().skip(1))
}

fn hidden(arguments: impl Iterator<Item = String>) -> String {
    let mut line = "seamount".to_string();
    let mut secret_follows = false;
    for argument in arguments {
        line.push(' ');
        line.push_str(&if secret_follows { HIDDEN.to_string() } else { redacted(&argument) });
        secret_follows =
            argument.starts_with('-') && names_secret(&argument) && !argument.contains('=');
    }
    line
}

/// The effective user, as the system numbers it. The environment can name anybody.
#[cfg(unix)]
fn own_number() -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").ok().map(|process| process.uid())
}

#[cfg(not(unix))]
fn own_number() -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_kept_without_its_passwords() {
        let typed =
            ["init", "--from", "x://u:hunter2@h", "--token", "hunter2", "--password=hunter2"];
        let kept = hidden(typed.into_iter().map(String::from));
        assert_eq!(kept, "seamount init --from x://u:***@h --token *** --password=***");
    }
}
