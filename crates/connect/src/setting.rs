//! A value of `sites.toml`: text, and references to secrets that are looked up when the value is used.
//!
//! Not here: reading `sites.toml` (the crate flow). The invariant: a setting holds no secret, only where it is, and
//! shows stars in its place; so it may stand in errors, logs and on screens.

use crate::error::{Error, Result};
use crate::redact::redacted;
use crate::secret::{HIDDEN, Reference, Secret, Secrets};
use change::mask::Masks;
use change::planted::{Defect, is_planted};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A value with its secrets by reference.
#[derive(Clone, Default)]
pub struct Setting {
    parts: Vec<Part>,
}

#[derive(Clone)]
enum Part {
    Text(String),
    Secret(Reference, Arc<dyn Secrets>),
}

impl Setting {
    /// Appends text.
    pub fn add_text(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Text(text.into())),
        }
    }

    /// Appends a reference, and who knows what it refers to.
    pub fn add_secret(&mut self, reference: Reference, secrets: Arc<dyn Secrets>) {
        self.parts.push(Part::Secret(reference, secrets));
    }

    /// The text, where no secret is part of it.
    pub fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text in front of the first secret.
    pub fn beginning(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// The value as it is needed, its secrets looked up now.
    ///
    /// # Errors
    /// As [`Secrets::find`].
    pub fn resolve(&self) -> Result<Secret> {
        let mut found = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            found.push(match part {
                Part::Text(text) => Secret::new(text.as_str()),
                Part::Secret(reference, secrets) => secrets.find(reference)?,
            });
        }
        // Room for all of it at once: growing would leave copies behind.
        let mut all = String::with_capacity(found.iter().map(|part| part.expose().len()).sum());
        found.iter().for_each(|part| all.push_str(part.expose()));
        Ok(Secret::new(all))
    }
}

impl From<&str> for Setting {
    fn from(text: &str) -> Setting {
        Setting::from(text.to_string())
    }
}

impl From<String> for Setting {
    fn from(text: String) -> Setting {
        Setting { parts: vec![Part::Text(text)] }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_planted(Defect::SecretInError) {
            return f
                .write_str(self.resolve().map_or(String::new(), |s| s.expose().into()).as_str());
        }
        let shown: String = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Secret(..) => HIDDEN,
            })
            .collect();
        f.write_str(&redacted(&shown))
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A site's settings: secrets stay references until they are used.
#[derive(Clone)]
pub struct SiteSettings {
    /// The site's name, for messages.
    pub site: String,
    /// `sqlite:path/to.db`, `files:folder`: scheme, colon, rest.
    pub url: Setting,
    /// The project's folder; relative paths begin there.
    pub root: PathBuf,
    /// Everything else that `sites.toml` says of the site.
    pub options: std::collections::BTreeMap<String, Setting>,
    /// Columns that must not leave the site as they are; [`crate::Connectors`] sees to it.
    pub masks: Masks,
}

impl SiteSettings {
    /// The same site as one that is written: masks are for what is read from it.
    #[must_use]
    pub fn as_target(&self) -> SiteSettings {
        SiteSettings { masks: Masks::default(), ..self.clone() }
    }

    /// The part of the url before the first colon. A url that begins with a secret is looked up for it; one that is
    /// not there has none.
    pub fn scheme(&self) -> String {
        let scheme = |text: &str| text.split_once(':').map(|(scheme, _)| scheme.to_string());
        scheme(self.url.beginning())
            .or_else(|| scheme(self.url.resolve().ok()?.expose()))
            .unwrap_or_default()
    }

    /// The scheme where it may be shown: not if a secret brings it in.
    pub fn shown_scheme(&self) -> &str {
        self.url.beginning().split_once(':').map_or(HIDDEN, |(scheme, _)| scheme)
    }

    /// The part of the url behind the first colon, as a path below the project's folder.
    ///
    /// # Errors
    /// As [`Secrets::find`].
    pub fn path(&self) -> Result<PathBuf> {
        let url = self.url.resolve().map_err(|e| self.explain(e))?;
        Ok(self.root.join(url.expose().split_once(':').map_or("", |(_, rest)| rest)))
    }

    /// The same path for messages, with stars for secrets.
    pub fn shown_path(&self) -> String {
        let shown = self.url.to_string();
        match shown.split_once(':') {
            Some((_, rest)) => self.root.join(rest).display().to_string(),
            None => HIDDEN.into(),
        }
    }

    /// An option's value.
    ///
    /// # Errors
    /// As [`Secrets::find`].
    pub fn option(&self, name: &str) -> Result<Option<Secret>> {
        let value = self.options.get(name).map(Setting::resolve).transpose();
        value.map_err(|e| self.explain(e))
    }

    fn explain(&self, error: Error) -> Error {
        error.at(format!("site {}", self.site))
    }
}

impl fmt::Debug for SiteSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SiteSettings({}, {})", self.site, self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Known;
    impl Secrets for Known {
        fn find(&self, _: &Reference) -> Result<Secret> {
            Ok(Secret::new("sqlite:tr0ub4dor"))
        }
    }

    fn settings(text: &str, secret: bool) -> SiteSettings {
        let mut url = Setting::default();
        url.add_text(text);
        if secret {
            url.add_secret(Reference::Env("X".into()), Arc::new(Known));
        }
        let (options, masks) = Default::default();
        SiteSettings { site: "s".into(), url, root: "/r".into(), options, masks }
    }

    #[test]
    fn what_is_shown_holds_no_secret_and_what_is_used_does() {
        let site = settings("sqlite:a.db?key=", true);
        assert_eq!(site.path().unwrap(), PathBuf::from("/r/a.db?key=sqlite:tr0ub4dor"));
        assert_eq!(site.shown_path(), "/r/a.db?key=***");
        assert_eq!(format!("{site:?}"), "SiteSettings(s, sqlite:a.db?key=***)");
        let written = settings("postgres://u:hunter2@h/d", false);
        assert_eq!(written.url.to_string(), "postgres://u:***@h/d");
    }

    #[test]
    fn a_whole_url_can_be_a_secret() {
        let site = settings("", true);
        assert_eq!((site.scheme().as_str(), site.shown_scheme()), ("sqlite", HIDDEN));
        assert_eq!(site.path().unwrap(), PathBuf::from("/r/tr0ub4dor"));
        assert_eq!(site.shown_path(), HIDDEN);
    }
}
