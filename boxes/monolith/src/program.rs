//! The program `shop`: its command line.

use std::process::ExitCode;

use boxes::service::{BoxCommand, Failure, Running, ServeOptions, parse_command_line, serve};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{Endpoints, contexts, demo};

/// Four boxes on real orders: orders, inventory, payments and shipping, all in this process or some of them.
#[derive(Debug, Parser)]
#[command(name = "shop", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the boxes (what is done when no command is given).
    Serve(ServeOptions),
    /// Serve all boxes, load the products, replay 830 real orders through the HTTP API, print the totals beside
    /// the expected ones, and keep serving. What was replayed before is found and left as it is.
    Demo(DemoOptions),
    #[command(flatten)]
    Box(BoxCommand),
}

#[derive(Debug, Args)]
struct DemoOptions {
    /// How many orders are under way at a time. With 1 the result is exactly the expected one.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    in_flight: u16,
    #[command(flatten)]
    serve: ServeOptions,
}

/// Runs the program with the command line and the environment of the process. It is all of `main`.
pub async fn run() -> ExitCode {
    let matches = parse_command_line(Cli::command(), std::env::args_os());
    let cli = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    let Cli {
        command,
        serve: options,
    } = cli.unwrap_or_else(|error| error.exit());
    match command.unwrap_or(Command::Serve(options)) {
        Command::Serve(options) => serve(contexts(), &options, async |_: &Running| Ok(())).await,
        Command::Box(command) => command.run(contexts()).await,
        Command::Demo(DemoOptions {
            in_flight,
            serve: options,
        }) => {
            serve(contexts(), &options, async |running: &Running| {
                let endpoints = Endpoints::of(running)?;
                demo::demo(&endpoints, in_flight.into())
                    .await
                    .map_err(Failure::from)
            })
            .await
        }
    }
}
