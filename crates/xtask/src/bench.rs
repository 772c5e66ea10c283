//! Measures, and prints each figure beside what it is compared with.

use crate::{Outcome, cargo, tools};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these benchmarks; all of them unless given
    #[arg(value_name = "BENCHMARK", value_parser = BENCHMARKS.map(|benchmark| benchmark.name))]
    benchmarks: Vec<String>,
}

/// One program that measures.
#[derive(Clone, Copy)]
struct Benchmark {
    name: &'static str,
    what: &'static str,
    package: &'static str,
    /// What it needs beside cargo itself.
    tools: &'static [&'static str],
}

const BENCHMARKS: [Benchmark; 5] = [
    Benchmark {
        name: "append",
        what: "Commands through an application, beside a bare insert of the same rows",
        package: "boxes-recorder-sqlx",
        tools: &[],
    },
    Benchmark {
        name: "pages",
        what: "An archived page beside nginx, and catching up beside a bare download",
        package: "boxes-tests",
        tools: &["nginx", "wrk"],
    },
    Benchmark {
        name: "costs",
        what: "What encryption, personal parts, seals and the like cost, beside plain JSON",
        package: "boxes-tests",
        tools: &[],
    },
    Benchmark {
        name: "mapper",
        what: "An event to bytes and back in each way, beside serde_json by hand and beside plain JSON",
        package: "boxes-mapper",
        tools: &[],
    },
    Benchmark {
        name: "seal",
        what: "Sealing and verifying a log",
        package: "boxes-integrity",
        tools: &[],
    },
];

/// Runs the benchmarks, optimised, one after the other.
pub(crate) fn run(options: &Options) -> Outcome {
    let chosen = |benchmark: &&Benchmark| {
        options.benchmarks.is_empty()
            || options.benchmarks.iter().any(|name| name == benchmark.name)
    };
    for benchmark in BENCHMARKS.iter().filter(chosen) {
        println!("\n=== {}: {}", benchmark.name, benchmark.what);
        for tool in benchmark.tools {
            tools::find(tool)?;
        }
        let arguments = [
            "bench",
            "--package",
            benchmark.package,
            "--bench",
            benchmark.name,
        ];
        match cargo().args(arguments).status() {
            Ok(status) if status.success() => {}
            Ok(status) => {
                return Err(format!(
                    "the benchmark `{}` failed ({status})",
                    benchmark.name
                ));
            }
            Err(error) => return Err(format!("cargo can't be started: {error}")),
        }
    }
    Ok(())
}
