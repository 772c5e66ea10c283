//! A whole program: its command line, its start, its end.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::process::ExitCode;

use boxes_recorder::RecorderError;
use clap::{Args, Command, FromArgMatches, Subcommand};

use crate::config::unknown_variables;
use crate::open_files::raise_limit;
use crate::stop_signal::HangupSignal;
use crate::suggestion::did_you_mean;
use crate::{
    BoundedContext, BoxCommand, Config, ConfigError, Running, SETTINGS, ServeOptions, Service,
    StartError, StopSignal, Stopped, init_telemetry, parse_command_line, print_line,
};

/// Runs a program that has these boxes, until it is told to stop. It is all of `main`.
///
/// The command line is that of `serve`, which may be written or left away, or of another command; `--help` explains them.
/// Settings may stand before and after a command.
///
/// # Errors
///
/// None: what goes wrong is printed in one sentence, and the exit code is one of these:
///
/// | code | means |
/// |---|---|
/// | 0 | done, or stopped in order |
/// | 1 | something failed that may not fail the next time; or what was under way was cut off when it was stopped |
/// | 2 | the command line, the configuration or the declaration can't be used: to start again with the same is of no use |
/// | 3 | `verify` found something that is not as it was sealed |
///
/// The type lets `main` use `?` for what else it does.
pub async fn run(contexts: impl IntoIterator<Item = BoundedContext>) -> Result {
    Program::new(contexts).run().await
}

/// What `main` of a program returns.
pub type Result<T = ExitCode, E = Failure> = std::result::Result<T, E>;

/// Why a program ends early: any error, printed as its sentence and those of its causes.
pub struct Failure(Box<dyn Error + Send + Sync>);

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl Failure {
    /// The error, if it is an `E`.
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }

    /// Whether the same would fail again: what is configured, or the store that it names, has to be seen to first.
    fn is_of_configuration(&self) -> bool {
        self.downcast_ref::<ConfigError>().is_some()
            || self
                .downcast_ref::<StartError>()
                .is_some_and(StartError::is_of_configuration)
            || matches!(
                self.downcast_ref(),
                Some(RecorderError::Mismatch { .. } | RecorderError::Broken { .. })
            )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

// `main` prints the debug form of what it returns, so that is the one for people.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            // Some errors say their cause themselves.
            let text = error.to_string();
            if !said.contains(&text) {
                said.push_str(": ");
                said.push_str(&text);
            }
            cause = error.source();
        }
        f.write_str(&said)
    }
}

/// A program, with its name in `--help` and its `--version`.
#[derive(Debug)]
pub struct Program {
    contexts: Vec<BoundedContext>,
    name: &'static str,
    version: &'static str,
}

impl Program {
    /// A program that has these boxes.
    #[must_use]
    pub fn new(contexts: impl IntoIterator<Item = BoundedContext>) -> Self {
        Self {
            contexts: contexts.into_iter().collect(),
            name: "boxes",
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// The same with this name in `--version`, instead of the kit's. `--help` shows that of the file that was
    /// started.
    #[must_use]
    pub const fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// The same with this version, usually `env!("CARGO_PKG_VERSION")`, instead of the kit's.
    #[must_use]
    pub const fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// Runs it with the command line and the environment of the process, until it is told to stop.
    ///
    /// # Errors
    ///
    /// None; see [`run`].
    pub async fn run(self) -> Result {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let told = match self.parse(&arguments) {
            Ok(told) => told,
            Err(error) => {
                // To standard output for --help and --version, otherwise to standard error.
                error.print()?;
                return Ok(exit_code(error.exit_code()));
            }
        };
        Ok(match told {
            Told::Serve(options) => serve(self.contexts, &options, async |_| Ok(())).await,
            Told::Box(command) => command.run(self.contexts).await,
        })
    }

    fn parse(&self, arguments: &[OsString]) -> std::result::Result<Told, clap::Error> {
        let names: Vec<&str> = self.contexts.iter().map(BoundedContext::name).collect();
        let about = format!(
            "Serves the boxes {}, or some of them, and follows those that run elsewhere.",
            names.join(", ")
        );
        let command = ServeOptions::augment_args(
            Command::new(self.name)
                .version(self.version)
                .about(about.clone()),
        )
        .subcommand(ServeOptions::augment_args(
            Command::new("serve").about(about),
        ));
        let command = BoxCommand::augment_subcommands(command);
        let matches = parse_command_line(command, arguments)?;
        match matches.subcommand() {
            Some(("serve", serve)) => ServeOptions::from_arg_matches(serve).map(Told::Serve),
            Some(_) => {
                BoxCommand::from_arg_matches(&matches).map(|command| Told::Box(Box::new(command)))
            }
            None => ServeOptions::from_arg_matches(&matches).map(Told::Serve),
        }
    }
}

/// What the command line tells a program to do.
enum Told {
    Serve(ServeOptions),
    Box(Box<BoxCommand>),
}

fn exit_code(code: i32) -> ExitCode {
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Serves boxes as a program does: reads the configuration, sets up telemetry, starts, says where it listens,
/// does `meanwhile`, and stops when it is told to. What goes wrong is printed in one sentence.
///
/// For programs with a command line of their own, into which [`ServeOptions`] are flattened. To be told to stop
/// drops what is done `meanwhile` where it is; its failure stops the service.
pub async fn serve(
    contexts: impl IntoIterator<Item = BoundedContext>,
    options: &ServeOptions,
    meanwhile: impl AsyncFnOnce(&Running) -> Result<()>,
) -> ExitCode {
    exit_code_of(try_serve(contexts, options, meanwhile).await)
}

/// Prints what went wrong, if anything did, and says so to who started the program.
pub(crate) fn exit_code_of(result: Result) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure:?}");
            if failure.is_of_configuration() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// The environment of the process. `vars` would panic on a variable that is not UTF-8, of which none can be ours.
pub(crate) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

async fn try_serve(
    contexts: impl IntoIterator<Item = BoundedContext>,
    options: &ServeOptions,
    meanwhile: impl AsyncFnOnce(&Running) -> Result<()>,
) -> Result {
    let mut signal = StopSignal::listen()?;
    // From the beginning, so that a process that is still opening its stores is not ended by it.
    let hangup = HangupSignal::listen_outside_terminals()?;
    let config = Config::load(options, environment())?;
    init_telemetry(&config.log, config.log_format);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for variable in
        unknown_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
    {
        let known = SETTINGS.iter().map(|setting| setting.variable);
        let suggestion = did_you_mean(&variable, known);
        tracing::warn!("the variable {variable} is not known, and ignored{suggestion}: see --help");
    }
    if let Some(warning) = raise_limit(config.max_connections) {
        tracing::warn!("{warning}");
    }
    let running = tokio::select! {
        running = Service::start(contexts, config) => running?,
        () = signal.received() => return Ok(ExitCode::SUCCESS),
    };
    tracing::info!(address = %running.address(), "listening");
    if let Err(error) = print_line(running.greeting()) {
        tracing::warn!(%error, "nothing can be printed to standard output");
    }
    let done = async {
        meanwhile(&running).await?;
        std::future::pending().await
    };
    let done = tokio::select! {
        done = done => done,
        never = read_again(&running, options, hangup) => never,
        () = signal.received() => return Ok(stop(running, signal).await),
    };
    stop(running, signal).await;
    done
}

/// Reads the configuration again whenever the program is hung up on, as a start does, and takes from it what may change
/// while a service runs. In a terminal, one that is closed ends the program, as ever.
async fn read_again(
    running: &Running,
    options: &ServeOptions,
    hangup: Option<HangupSignal>,
) -> Result {
    let Some(mut signal) = hangup else {
        return std::future::pending().await;
    };
    loop {
        signal.received().await;
        let config = Config::load(options, environment()).map_err(StartError::from);
        let reloaded = config.and_then(|config| running.reload(&config).map(|()| config));
        match reloaded {
            Ok(config) => {
                for warning in &config.warnings {
                    tracing::warn!("{warning}");
                }
                tracing::info!("clients and certificate were read again");
            }
            Err(error) => {
                let error = Failure::from(error);
                tracing::error!(error = ?error, "what was read again can't be used, and nothing has changed");
            }
        }
    }
}

/// Stops in order; told a second time, at once.
async fn stop(running: Running, mut signal: StopSignal) -> ExitCode {
    tracing::info!("stopping");
    tokio::select! {
        stopped = running.shutdown() => {
            if stopped == Stopped::CutOff {
                return ExitCode::FAILURE;
            }
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        () = signal.received() => {
            tracing::warn!("told to stop again: ending at once");
            ExitCode::FAILURE
        }
    }
}
