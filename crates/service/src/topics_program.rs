//! The command that lists topics.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::Args;

use crate::program::Result;
use crate::suggestion::did_you_mean;
use crate::{BoundedContext, ConfigError};

/// What `topics` can be told.
#[derive(Debug, Clone, Args)]
#[non_exhaustive]
pub struct TopicsOptions {
    /// The boxes whose topics to list; all of them if none is named.
    #[arg(value_name = "BOX")]
    pub boxes: Vec<String>,
    /// Prints an array of what each log serves at `/{log}/topics`, with the JSON Schema of each topic's state.
    #[arg(long)]
    pub json: bool,
}

/// Prints the topics of the boxes that are asked for. Nothing is opened for it.
pub(crate) fn print_topics(contexts: &[BoundedContext], options: &TopicsOptions) -> Result {
    let names: Vec<&str> = contexts.iter().map(BoundedContext::name).collect();
    if let Some(unknown) = options
        .boxes
        .iter()
        .find(|name| !names.contains(&name.as_str()))
    {
        let reason = format!(
            "there is no box `{unknown}`{}; this program has {}",
            did_you_mean(unknown, names.iter().copied()),
            names.join(", ")
        );
        return Err(ConfigError::Together { reason }.into());
    }
    let logs: Vec<_> = contexts
        .iter()
        .filter(|context| {
            options.boxes.is_empty() || options.boxes.iter().any(|name| name == context.name())
        })
        .flat_map(BoundedContext::topics)
        .collect();
    let text = if options.json {
        let mut json = serde_json::to_string_pretty(&logs)?;
        json.push('\n');
        json
    } else {
        let tables: Vec<String> = logs.iter().map(ToString::to_string).collect();
        tables.join("\n")
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // Who reads has seen enough: `topics | head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        written => Ok(written.map(|()| ExitCode::SUCCESS)?),
    }
}
