//! What the tasks need from outside.

use std::path::PathBuf;

use boxes_test_servers::find_program;

use crate::Outcome;

/// A program that a task starts.
#[derive(Debug)]
pub(crate) struct Tool {
    /// The file that is started.
    pub(crate) program: &'static str,
    /// What it is needed for.
    pub(crate) purpose: &'static str,
    /// Folders to look in beside those of `PATH`, which may lack what only administrators use.
    pub(crate) folders: &'static [&'static str],
    /// The command that installs it.
    pub(crate) install: &'static str,
}

/// Every tool that a task asks for.
pub(crate) const TOOLS: &[Tool] = &[
    Tool {
        program: "cargo-fmt",
        purpose: "test: the format",
        folders: &[],
        install: "rustup component add rustfmt",
    },
    Tool {
        program: "cargo-clippy",
        purpose: "test: the lints",
        folders: &[],
        install: "rustup component add clippy",
    },
    Tool {
        program: "cargo-fuzz",
        purpose: "fuzz: libFuzzer",
        folders: &[],
        install: "cargo install --locked cargo-fuzz",
    },
    Tool {
        program: "c++",
        purpose: "fuzz: the compiler that libFuzzer is built with",
        folders: &[],
        install: "apt-get install g++",
    },
    Tool {
        program: "nginx",
        purpose: "test: the caching proxy; bench: the server of files",
        folders: &["/usr/sbin", "/usr/local/sbin"],
        install: "apt-get install nginx-light",
    },
    Tool {
        program: "curl",
        purpose: "test: the commands of the documents",
        folders: &[],
        install: "apt-get install curl",
    },
    Tool {
        program: "openssl",
        purpose: "test: the commands of the documents",
        folders: &[],
        install: "apt-get install openssl",
    },
    Tool {
        program: "varnishd",
        purpose: "test: the caching proxy that asks without conditions",
        folders: &["/usr/sbin", "/usr/local/sbin"],
        install: "apt-get install varnish",
    },
    Tool {
        program: "pgbouncer",
        purpose: "test: a pooler in front of PostgreSQL",
        folders: &["/usr/sbin", "/usr/local/sbin"],
        install: "apt-get install pgbouncer",
    },
    Tool {
        program: "chromium",
        purpose: "test: what people see in a browser",
        folders: &[],
        install: "apt-get install chromium",
    },
    Tool {
        program: "wrk",
        purpose: "bench: the load on pages",
        folders: &[],
        install: "apt-get install wrk",
    },
];

impl Tool {
    /// Where it is.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        find_program(self.program, self.folders)
    }
}

/// Where the tool is, or a sentence that names it and the command that installs it.
pub(crate) fn find(program: &str) -> Result<PathBuf, String> {
    let Some(tool) = TOOLS.iter().find(|tool| tool.program == program) else {
        return Err(format!(
            "`{program}` is not among the tools of this project: add it to crates/xtask/src/tools.rs"
        ));
    };
    tool.find().ok_or_else(|| {
        format!(
            "`{program}` is missing ({}); install it with: {}",
            tool.purpose, tool.install
        )
    })
}

/// Prints what is here and what is missing.
pub(crate) fn list() -> Outcome {
    for tool in TOOLS {
        match tool.find() {
            Some(file) => println!(
                "found    {:13} {:50} {}",
                tool.program,
                tool.purpose,
                file.display()
            ),
            None => println!(
                "missing  {:13} {:50} install it with: {}",
                tool.program, tool.purpose, tool.install
            ),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_nobody_listed_is_an_error_of_the_task() {
        assert!(find("no-such-tool").unwrap_err().contains("tools.rs"));
    }
}
