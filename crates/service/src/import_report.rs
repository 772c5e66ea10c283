//! What an import says it did.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use boxes_recorder_sqlx::PythonEvent;

/// Counts what is imported, and writes which old id became which new one.
#[derive(Debug)]
pub(crate) struct ImportReport {
    file: Option<ReportFile>,
    summary: ImportSummary,
}

/// The rows stand in `part` until all are there: a report is whole, or the one before it.
#[derive(Debug)]
struct ReportFile {
    path: PathBuf,
    part: PathBuf,
    rows: BufWriter<File>,
}

/// What was imported, by this run and those before it. Displayed as lines for a person.
#[derive(Debug, Default)]
pub(crate) struct ImportSummary {
    /// Events in the table.
    n_events: u64,
    /// Those of them that this run recorded.
    n_recorded: u64,
    n_aggregates: u64,
    n_gaps: u64,
    /// Ids in the gaps.
    n_missing: u64,
    n_without_time: u64,
    last_old_id: u64,
    /// How many events there are of each topic: the old one and the new one.
    topics: BTreeMap<(String, String), u64>,
}

impl ImportReport {
    /// A report in the file, or none.
    pub(crate) fn new(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(ReportFile::new).transpose()?;
        Ok(Self {
            file,
            summary: ImportSummary::default(),
        })
    }

    /// So many of the events that are told are new.
    pub(crate) fn recorded(&mut self, n_events: usize) {
        let n_events = u64::try_from(n_events).unwrap_or(u64::MAX);
        self.summary.n_recorded = self.summary.n_recorded.saturating_add(n_events);
    }

    /// The next event, in the order of the ids.
    pub(crate) fn event(
        &mut self,
        row: &PythonEvent,
        new_id: u64,
        topic: &str,
        has_time: bool,
    ) -> io::Result<()> {
        let old_id = row.notification_id;
        if let Some(file) = &mut self.file {
            writeln!(file.rows, "{old_id},{new_id}")?;
        }
        let summary = &mut self.summary;
        let missing = old_id.saturating_sub(summary.last_old_id).saturating_sub(1);
        summary.n_gaps = summary.n_gaps.saturating_add(u64::from(missing > 0));
        summary.n_missing = summary.n_missing.saturating_add(missing);
        summary.last_old_id = old_id;
        summary.n_events = new_id;
        let is_first = u64::from(row.originator_version == 1);
        summary.n_aggregates = summary.n_aggregates.saturating_add(is_first);
        summary.n_without_time = summary.n_without_time.saturating_add(u64::from(!has_time));
        let topics = (row.topic.clone(), topic.to_owned());
        let n_of_topic = summary.topics.entry(topics).or_default();
        *n_of_topic = n_of_topic.saturating_add(1);
        Ok(())
    }

    /// Puts the file in its place.
    pub(crate) fn finish(self) -> io::Result<ImportSummary> {
        if let Some(mut file) = self.file {
            file.rows.flush()?;
            file.rows.get_ref().sync_all()?;
            std::fs::rename(&file.part, &file.path)?;
        }
        Ok(self.summary)
    }
}

impl ReportFile {
    fn new(path: &Path) -> io::Result<Self> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let mut rows = BufWriter::new(File::create(&part)?);
        writeln!(rows, "old_id,new_id")?;
        Ok(Self {
            path: path.to_owned(),
            part,
            rows,
        })
    }
}

impl fmt::Display for ImportSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} events of {} aggregates are in the box; this run recorded {} of them.",
            self.n_events, self.n_aggregates, self.n_recorded
        )?;
        if self.n_gaps == 0 {
            writeln!(f, "There were no gaps: every event has kept its id.")?;
        } else {
            writeln!(
                f,
                "Gaps closed: {}, of {} ids; the last id was {}, and is {} now.",
                self.n_gaps, self.n_missing, self.last_old_id, self.n_events
            )?;
        }
        if self.n_without_time > 0 {
            writeln!(
                f,
                "{} events do not say when they happened, and have the time of the import.",
                self.n_without_time
            )?;
        }
        for ((old, new), n_events) in &self.topics {
            write!(f, "{n_events:>10} {old}")?;
            if old != new {
                write!(f, " -> {new}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
