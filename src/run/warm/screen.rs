//! Progress for whoever looks on: bars on a terminal, now and then a line elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use tokio::time::{Instant, interval_at};

use crate::error::Error;
use crate::run::status::plain;
use crate::warm::fetching::{Progress, Watch};
use crate::warm::plan::Service;

/// Files that have a bar of their own.
const BARS: usize = 8;
/// How often a line is written where there is no terminal.
const LINES: Duration = Duration::from_secs(30);
/// How often counts are shown anew.
const TICK: Duration = Duration::from_millis(100);
/// Characters of a path that are shown.
const SHOWN: usize = 44;

/// What is shown.
pub(super) struct Screen {
    bars: MultiProgress,
    looking: Mutex<Option<ProgressBar>>,
    total: Mutex<Option<ProgressBar>>,
    running: std::sync::Arc<Mutex<usize>>,
    terminal: bool,
}

impl Screen {
    /// On standard error, if that is a terminal.
    pub(super) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self {
            bars: MultiProgress::with_draw_target(target),
            looking: Mutex::default(),
            total: Mutex::default(),
            running: Default::default(),
            terminal,
        }
    }

    /// What is being looked at.
    pub(super) fn looking(&self, path: &str) {
        let mut looking = self.looking.lock();
        let bar = looking.get_or_insert_with(|| {
            self.bars.add(ProgressBar::new_spinner().with_style(style("{spinner} looking at {wide_msg}")))
        });
        bar.set_message(end_of(path));
        bar.tick();
    }

    /// Nothing is shown any more.
    pub(super) fn clear(&self) {
        for bar in [self.looking.lock().take(), self.total.lock().take()].into_iter().flatten() {
            bar.finish_and_clear();
        }
        let _ = self.bars.clear();
    }

    /// The bar of all that is fetched.
    pub(super) fn begin(&self, services: &[Service], all: u64) {
        let figures = services.iter().map(|service| service.figures.bytes() + service.figures.partly);
        let bar = ProgressBar::new(figures.sum::<u64>().max(1));
        let look = "{bar:30} {bytes:>10} of {total_bytes:<10} {bytes_per_sec:>12}  {msg}  {eta} left";
        let bar = self.bars.add(bar.with_style(style(look)));
        bar.set_message(format!("0 of {all}"));
        *self.total.lock() = Some(bar);
    }

    /// Shows how far it has come until `work` is done.
    pub(super) async fn show_while(&self, progress: &Progress, all: u64, work: impl Future<Output = ()>) {
        tokio::pin!(work);
        let pause = if self.terminal { TICK } else { LINES };
        let mut ticks = interval_at(Instant::now() + pause, pause);
        loop {
            tokio::select! {
                () = &mut work => return,
                _ = ticks.tick() => self.show(progress, all),
            }
        }
    }

    fn show(&self, progress: &Progress, all: u64) {
        let text = format!("{} of {all}", progress.done());
        if self.terminal {
            if let Some(bar) = &*self.total.lock() {
                bar.set_message(text);
            }
        } else {
            let fetched = progress.bytes.load(std::sync::atomic::Ordering::Relaxed);
            let _ = writeln!(std::io::stdout(), "{text}, {} fetched", crate::run::status::bytes(fetched));
        }
    }
}

impl Watch for Screen {
    fn begins(&self, path: &str, length: Option<u64>) -> Box<dyn Fn(u64) + Send + Sync> {
        let total = self.total.lock().clone();
        let own = self.bar_of(path, length);
        Box::new(move |bytes| {
            if let Some(own) = &own {
                own.0.inc(bytes);
            }
            if let Some(total) = &total {
                total.inc(bytes);
                // The sum may have been an estimate.
                if total.length().is_some_and(|length| total.position() > length) {
                    total.set_length(total.position());
                }
            }
        })
    }

    fn failed(&self, path: &str, error: &Error) {
        let line = format!("dcmsfs: {}: {}", plain(path), plain(&error.to_string()));
        self.bars.suspend(|| eprintln!("{line}"));
    }
}

/// The bar of one file, until dropped.
struct Own(ProgressBar, std::sync::Arc<Mutex<usize>>);

impl Drop for Own {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        *self.1.lock() -= 1;
    }
}

impl Screen {
    fn bar_of(&self, path: &str, length: Option<u64>) -> Option<Own> {
        let mut running = self.running.lock();
        if *running >= BARS || !self.terminal {
            return None;
        }
        *running += 1;
        let look = match length {
            Some(_) => "  {bar:20} {bytes:>10} of {total_bytes:<10} {wide_msg}",
            None => "  {spinner} {bytes:>10} {wide_msg}",
        };
        let bar = ProgressBar::new(length.unwrap_or(0)).with_style(style(look)).with_message(end_of(path));
        Some(Own(self.bars.add(bar), std::sync::Arc::clone(&self.running)))
    }
}

fn style(look: &str) -> ProgressStyle {
    // A wrong template is found by the test below.
    ProgressStyle::with_template(look).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

/// The end of a path, which tells files apart.
fn end_of(path: &str) -> String {
    let path = plain(path);
    let count = path.chars().count();
    match count.checked_sub(SHOWN) {
        Some(cut) if cut > 0 => format!("…{}", path.chars().skip(cut + 1).collect::<String>()),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_show_their_ends_and_steer_no_terminal() {
        assert_eq!(end_of("a/b"), "a/b");
        let long = end_of(&format!("{}/é_B04_10m.jp2", "x".repeat(100)));
        assert!(long.chars().count() == SHOWN && long.starts_with('…') && long.ends_with("/é_B04_10m.jp2"));
        assert!(!end_of("a\u{1b}[31m").contains('\u{1b}'));
    }
}
