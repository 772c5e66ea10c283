//! What a program says when it listens.

use std::fmt;

use boxes_application::App;

use crate::Running;

/// What a program says when it listens: the addresses to open, and commands to try.
#[derive(Debug)]
pub struct Greeting<'a> {
    running: &'a Running,
}

impl Running {
    /// What to print for people when the service listens: the addresses to open, and commands to try.
    #[must_use]
    pub const fn greeting(&self) -> Greeting<'_> {
        Greeting { running: self }
    }
}

impl fmt::Display for Greeting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = self.running.base_url();
        writeln!(f, "Listening at {here}")?;
        let base = match self.running.state.public_base.as_str() {
            "" => here,
            public => {
                writeln!(f, "Reached at {public}")?;
                public
            }
        };
        let width = self
            .running
            .boxes()
            .map(|app| app.name().len())
            .max()
            .unwrap_or(0)
            .max("readiness".len());
        for app in self.running.boxes() {
            writeln!(
                f,
                "  {:width$}  {base}/{}/notifications",
                app.name(),
                app.name()
            )?;
        }
        writeln!(f, "  {:width$}  {base}/", "index")?;
        writeln!(f, "  {:width$}  {base}/readyz", "readiness")?;
        writeln!(f, "  {:width$}  {base}/metrics", "metrics")?;
        let Some(first) = self.running.boxes().next().map(App::name) else {
            return Ok(());
        };
        let token = if !self.running.asks_for_tokens() {
            ""
        } else {
            " -H \"Authorization: Bearer $TOKEN\""
        };
        let page_size = self.running.state.boxes.first().map_or(20, |running| {
            running.writer.recorder().log().page_size.get()
        });
        writeln!(f, "Try")?;
        writeln!(
            f,
            "  curl -i{token} {base}/{first}/notifications            # the current page"
        )?;
        writeln!(
            f,
            "  curl -i{token} {base}/{first}/notifications/1,{page_size}       # the first page: once archived it never changes"
        )?;
        write!(
            f,
            "  curl -i{token} -H 'If-None-Match: *' {base}/{first}/notifications   # 304: as you know it already"
        )
    }
}
