//! What a url leaves out of a login: the service file, the environment and the password file say it, as for libpq.
//!
//! In this order: the url, its `service` (or `PGSERVICE`), the environment (`PGHOST`, ...), then the password file.
//! Invariant: a password file that others may read is not used, and no password is ever part of an error.

use connect::{Error, Result};
use postgres::Config;
use postgres::config::Host;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What surrounds the process, so that tests need not change it.
pub(super) struct Surroundings<'a> {
    /// A variable of the environment.
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Surroundings<'_> {
    fn file(&self, variable: &str, in_home: &str) -> Option<PathBuf> {
        let named = (self.variable)(variable).map(PathBuf::from);
        named.or_else(|| Some(PathBuf::from((self.variable)("HOME")?).join(in_home)))
    }
}

/// Completes a login.
///
/// # Errors
/// `Invalid` when a service is named that no file has, or a value is not what it should be.
pub(super) fn complete(
    config: &mut Config,
    service: Option<&str>,
    around: &Surroundings<'_>,
) -> Result<()> {
    let named = service.map(String::from).or_else(|| (around.variable)("PGSERVICE"));
    if let Some(name) = named {
        let entries = service_entries(&name, around)?;
        let said =
            |key: &str| entries.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone());
        fill(config, said)?;
    }
    let variables = [
        ("host", "PGHOST"),
        ("port", "PGPORT"),
        ("user", "PGUSER"),
        ("dbname", "PGDATABASE"),
        ("password", "PGPASSWORD"),
    ];
    fill(config, |key| {
        let (_, variable) = variables.iter().find(|(k, _)| *k == key)?;
        (around.variable)(variable).filter(|value| !value.is_empty())
    })?;
    if config.get_password().is_none()
        && let Some(password) = password(config, around)
    {
        config.password(password);
    }
    Ok(())
}

/// Takes what is missing from `said`.
fn fill(config: &mut Config, said: impl Fn(&str) -> Option<String>) -> Result<()> {
    if config.get_hosts().is_empty()
        && let Some(hosts) = said("host")
    {
        hosts.split(',').for_each(|host| {
            config.host(host);
        });
    }
    if config.get_ports().is_empty()
        && let Some(ports) = said("port")
    {
        for port in ports.split(',') {
            config.port(port.trim().parse().map_err(|_| Error::invalid("a port is no number"))?);
        }
    }
    if config.get_user().is_none()
        && let Some(user) = said("user")
    {
        config.user(&user);
    }
    if config.get_dbname().is_none()
        && let Some(name) = said("dbname")
    {
        config.dbname(&name);
    }
    if config.get_password().is_none()
        && let Some(password) = said("password")
    {
        config.password(password);
    }
    Ok(())
}

/// Entries of `[name]` in the service file of the user, or else of the system.
fn service_entries(name: &str, around: &Surroundings<'_>) -> Result<Vec<(String, String)>> {
    let ours = around.file("PGSERVICEFILE", ".pg_service.conf");
    let system =
        (around.variable)("PGSYSCONFDIR").unwrap_or_else(|| "/etc/postgresql-common".into());
    let files = ours.into_iter().chain([Path::new(&system).join("pg_service.conf")]);
    let texts = files.filter_map(|file| std::fs::read_to_string(file).ok());
    texts.filter_map(|text| section(&text, name)).next().ok_or_else(|| {
        Error::invalid(format!("there is no service {name}"))
            .found("neither the user's file of services nor the system's has it")
            .fix("add [NAME] with host, port, dbname and user to ~/.pg_service.conf, or name the file with PGSERVICEFILE")
    })
}

fn section(text: &str, name: &str) -> Option<Vec<(String, String)>> {
    let wanted = format!("[{name}]");
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != wanted);
    lines.next()?;
    let entries =
        lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#'));
    Some(
        entries
            .filter_map(|line| line.split_once('='))
            .map(|(k, v)| (k.trim().into(), v.trim().into()))
            .collect(),
    )
}

/// The password that the password file has for a login.
fn password(config: &Config, around: &Surroundings<'_>) -> Option<String> {
    let file = around.file("PGPASSFILE", ".pgpass")?;
    let mode = std::fs::metadata(&file).ok()?.permissions().mode();
    if mode & 0o077 != 0 {
        return None;
    }
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        _ => "localhost".into(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let user = config.get_user()?;
    let login = [host.as_str(), port.as_str(), config.get_dbname().unwrap_or(user), user];
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let (password, asked) = fields.split_last()?;
        let fits = asked.len() == 4
            && asked.iter().zip(login).all(|(field, is)| field == "*" || field == is);
        fits.then(|| password.clone())
    })
}

/// Fields between colons; a backslash keeps the letter behind it.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        let field = fields.last_mut().expect("there is always a field");
        match letter {
            '\\' => field.extend(letters.next()),
            ':' => fields.push(String::new()),
            other => field.push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(url: &str, folder: &Path, variables: &[(&str, &str)]) -> Result<Config> {
        let mut config: Config = url.parse().unwrap();
        let variable = |name: &str| {
            let own =
                variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string());
            own.or_else(|| (name == "HOME").then(|| folder.display().to_string()))
        };
        complete(&mut config, None, &Surroundings { variable: &variable })?;
        Ok(config)
    }

    #[test]
    fn the_url_comes_first_then_the_service_then_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join(".pg_service.conf"),
            "[other]\nhost=no\n[till]\n# the north\nhost=till.example\nport=5433\nuser=sync\n",
        )
        .unwrap();
        let around = [("PGSERVICE", "till"), ("PGUSER", "nobody"), ("PGDATABASE", "stock")];
        let config = completed("postgres:///", folder.path(), &around).unwrap();
        assert_eq!(config.get_hosts(), [Host::Tcp("till.example".into())]);
        assert_eq!(
            (config.get_ports(), config.get_user(), config.get_dbname()),
            (&[5433][..], Some("sync"), Some("stock"))
        );
        let config = completed("postgres://me@here/mine", folder.path(), &around).unwrap();
        assert_eq!((config.get_user(), config.get_dbname()), (Some("me"), Some("mine")));
        assert!(completed("postgres:///", folder.path(), &[("PGSERVICE", "none")]).is_err());
    }

    #[test]
    fn a_password_file_is_used_when_it_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".pgpass");
        std::fs::write(&file, "# ours\n*:5432:other:me:wrong\nhere:*:stock:me:a\\:b\\\\c\n")
            .unwrap();
        let password = || {
            let config = completed("postgres://me@here/stock", folder.path(), &[]).unwrap();
            config.get_password().map(<[u8]>::to_vec)
        };
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(password(), None);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(password().unwrap(), b"a:b\\c");
    }
}
