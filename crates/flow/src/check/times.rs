//! Schedules and time zones of a flow.

use crate::diagnostic::Problem;
use crate::schedule::{Schedule, ScheduleError, nearest_zone, zone};
use crate::source_text::{At, SourceText};

/// Where a schedule is in the file.
pub(crate) struct ScheduleAt<'a> {
    /// `batch` or `reconcile`.
    pub(crate) section: &'a str,
    /// The expression.
    pub(crate) expression: Option<&'a At<String>>,
    /// The zone.
    pub(crate) timezone: Option<&'a At<String>>,
}

/// Checks expression and zone, whichever are there.
pub(crate) fn check_schedule(source: &SourceText, at: &ScheduleAt<'_>) {
    if let Some(timezone) = at.timezone {
        check_zone(source, at.section, timezone);
    }
    let Some(expression) = at.expression else { return };
    let section = at.section;
    match Schedule::parse(&expression.value, "UTC") {
        Ok(_) | Err(ScheduleError::Zone(_)) => {}
        Err(ScheduleError::Never) => source.report(
            Problem::error("E0304", format!("`{section}.schedule` never comes"))
                .at(source.place(&expression.span, "no calendar has this day"))
                .effect("nothing would ever run")
                .fix("schedule = \"0 1 * * *\""),
        ),
        Err(ScheduleError::Cron(error)) => {
            let code = if error.foreign { "E0305" } else { "E0304" };
            source.report(
                Problem::error(
                    code,
                    format!("`{section}.schedule` is not a five-field cron expression"),
                )
                .at(source.place(&expression.span, error.what.clone()))
                .effect("nothing would run, or at another time than meant")
                .fix(error.fix),
            );
        }
    }
}

/// Checks a flow's zone; `site` is not built yet.
fn check_zone(source: &SourceText, section: &str, timezone: &At<String>) {
    if timezone.value == "site" {
        source.report(
            Problem::error("E0390", format!("`{section}.timezone = \"site\"` is not built yet"))
                .at(source.place(&timezone.span, "this version cannot do it"))
                .effect("stores would not run at their own night")
                .fix("name one zone for the flow: timezone = \"Europe/Berlin\""),
        );
        return;
    }
    if zone(&timezone.value).is_none() {
        unknown_zone(source, timezone, "nothing would run at the time meant");
    }
}

/// Reports a zone that nobody knows.
pub(crate) fn unknown_zone(source: &SourceText, timezone: &At<String>, effect: &str) {
    let meant = nearest_zone(&timezone.value);
    let label = meant.map_or("no zone of this name".into(), |m| format!("did you mean `{m}`?"));
    source.report(
        Problem::error("E0210", format!("there is no time zone `{}`", timezone.value))
            .at(source.place(&timezone.span, label))
            .effect(effect)
            .fix(format!("timezone = \"{}\"", meant.unwrap_or("Europe/Berlin"))),
    );
}
