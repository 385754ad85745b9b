//! Progress bars: on a terminal, and only after a second.

use crate::output::Output;
use engine::{Unwatched, Watch};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const BEFORE_FIRST: Duration = Duration::from_secs(1);

/// A bar that appears when work takes long.
struct Bar {
    began: Instant,
    bar: Mutex<Option<ProgressBar>>,
}

impl Watch for Bar {
    fn progress(&self, what: &str, done: u64, total: Option<u64>) {
        if self.began.elapsed() < BEFORE_FIRST {
            return;
        }
        let mut bar = self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let bar = bar.get_or_insert_with(|| new_bar(total));
        bar.set_message(what.to_string());
        bar.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Ok(bar) = self.bar.get_mut()
            && let Some(bar) = bar
        {
            bar.finish_and_clear();
        }
    }
}

fn new_bar(total: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let template = match total {
        Some(_) => "{bar:30} {human_pos} of {human_len} {msg}  {per_sec}  {eta} left",
        None => "{spinner} {human_pos} {msg}  {per_sec}  {elapsed}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Somebody to watch long work, where there is a terminal to draw on.
pub(crate) fn watch(output: &Output) -> Box<dyn Watch> {
    if output.draws() {
        Box::new(Bar { began: Instant::now(), bar: Mutex::new(None) })
    } else {
        Box::new(Unwatched)
    }
}
