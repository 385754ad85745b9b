//! What a section says of keys that are not built yet, and of keys that nobody knows.

use super::section::Section;
use crate::diagnostic::Problem;
use crate::suggest::nearest;
use std::ops::Range;

impl Section<'_> {
    /// Refuses a key whose feature is not built yet: ignoring it would change what is moved or promised.
    pub(crate) fn not_built(&mut self, key: &'static str, effect: &str, fix: &str) {
        if let Some((span, _)) = self.entry(key) {
            self.refuse_not_built(key, &span, effect, fix);
        }
    }

    /// Refuses a stretch of the file whose meaning is not built yet.
    pub(crate) fn refuse_not_built(&self, key: &str, span: &Range<usize>, effect: &str, fix: &str) {
        self.source.report(
            Problem::error("E0390", format!("`{}` is not built yet", self.dotted(key)))
                .at(self.source.place(span, "this version cannot do it"))
                .effect(effect)
                .fix(fix),
        );
    }

    /// Accepts a key without effect, and says so.
    pub(crate) fn without_effect(&mut self, key: &'static str, effect: &str) {
        if let Some((span, _)) = self.entry(key) {
            self.source.report(
                Problem::warning("E0391", format!("`{}` has no effect yet", self.dotted(key)))
                    .at(self.source.place(&span, "accepted; not built yet"))
                    .effect(effect),
            );
        }
    }

    /// Reports every key that nobody asked for.
    pub(crate) fn finish(self) {
        for (key, _) in self.table.iter() {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let meant = nearest(name, self.known.iter().copied());
            let label = meant
                .map_or("not a key of this section".into(), |m| format!("did you mean `{m}`?"));
            let mut known = self.known.clone();
            known.sort_unstable();
            let problem = Problem::error("E0104", format!("unknown key `{}`", self.dotted(name)))
                .at(self.source.place(&key.span(), label))
                .found(format!("the keys here are {}", known.join(", ")))
                .effect("it would be ignored, and the flow would do something else than it says");
            self.source.report(match meant {
                Some(meant) => problem.fix(format!("write `{meant}`")),
                None => problem.fix("remove it"),
            });
        }
    }
}
