//! How far something is, for people who watch.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How far something is, shown to people alone: `importing events ████ 12/100`.
pub(crate) fn progress_bar(doing: &'static str, length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length).with_message(doing);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {elapsed_precise}")
    {
        bar.set_style(style);
    }
    bar
}
