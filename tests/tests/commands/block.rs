//! The commands in a document.

use std::path::{Path, PathBuf};

const NOT_RUN: &str = "<!-- not run: ";

/// A fenced block of commands.
#[derive(Debug)]
pub(crate) struct Block {
    /// The document and the line.
    pub(crate) place: String,
    /// What bash is given.
    pub(crate) commands: String,
    /// Why it is not run.
    pub(crate) not_run: Option<String>,
}

impl Block {
    /// The blocks of a document, in its order.
    pub(crate) fn all_of(document: &Path) -> Vec<Self> {
        let text = std::fs::read_to_string(document).unwrap();
        let mut blocks = Vec::new();
        let mut before = "";
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let fence = line.trim_start();
            let indent = line.len() - fence.len();
            if let "```sh" | "```console" = fence {
                let is_console = fence.ends_with("console");
                let body = lines
                    .by_ref()
                    .map(|(_, line)| line.get(indent..).unwrap_or_default())
                    .take_while(|line| !line.starts_with("```"));
                let typed: Vec<&str> = if is_console {
                    body.filter_map(|line| line.strip_prefix("$ ")).collect()
                } else {
                    body.collect()
                };
                let reason = before.trim().strip_prefix(NOT_RUN);
                blocks.push(Self {
                    place: format!("{}:{}", document.display(), number + 1),
                    commands: typed.join("\n"),
                    not_run: reason.map(|reason| reason.trim_end_matches(" -->").to_owned()),
                });
            }
            if !fence.is_empty() {
                before = line;
            }
        }
        blocks
    }
}

/// Every Markdown file of the project.
pub(crate) fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != "data" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
