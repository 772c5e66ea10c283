//! A whole program: its command line, its start, its end.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io::IsTerminal;
use std::process::ExitCode;

use boxes_recorder::RecorderError;
use clap::{Args, Command, FromArgMatches, Subcommand};

use crate::config::unknown_variables;
use crate::stop_signal::HangupSignal;
use crate::{
    BoundedContext, BoxCommand, Config, ConfigError, Running, ServeOptions, Service, StartError,
    StopSignal, Stopped, init_telemetry,
};

/// Runs a program that has these boxes, until it is told to stop. It is all of `main`.
///
/// The command line is that of `serve`, which may be written or left away, or of `import`; `--help` explains them.
///
/// # Errors
///
/// None: what goes wrong is printed in one sentence, and the exit code is 1, or 2 if what the program is told can't
/// be used: then it is of no use to start it again with the same.
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
        let of_store = match self.downcast_ref() {
            Some(StartError::Config(_) | StartError::Certificate(_)) => return true,
            Some(StartError::Store { source, .. }) => Some(source),
            _ => self.downcast_ref::<RecorderError>(),
        };
        self.downcast_ref::<ConfigError>().is_some()
            || matches!(
                of_store,
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
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
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
        .args_conflicts_with_subcommands(true)
        .subcommand_precedence_over_arg(true)
        .subcommand(ServeOptions::augment_args(
            Command::new("serve").about(about),
        ));
        let command = BoxCommand::augment_subcommands(command);
        let matches = command.try_get_matches_from(arguments)?;
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
    let config = Config::load(options, environment())?;
    init_telemetry(&config.log, config.log_format);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for variable in
        unknown_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
    {
        tracing::warn!("the variable {variable} is not known, and ignored: see --help");
    }
    let running = tokio::select! {
        running = Service::start(contexts, config) => running?,
        () = signal.received() => return Ok(ExitCode::SUCCESS),
    };
    println!("{}", running.greeting());
    let done = async {
        meanwhile(&running).await?;
        std::future::pending().await
    };
    let done = tokio::select! {
        done = done => done,
        failed = read_again(&running, options) => failed,
        () = signal.received() => return Ok(stop(running, signal).await),
    };
    stop(running, signal).await;
    done
}

/// Reads the certificate, the tokens and their scopes again whenever the program is hung up on. Where there are none, and
/// where it runs in a terminal, one that is closed ends the program, as ever.
async fn read_again(running: &Running, options: &ServeOptions) -> Result {
    let has_any = running.speaks_tls() || running.asks_for_tokens();
    if !has_any || std::io::stdin().is_terminal() {
        return std::future::pending().await;
    }
    let mut signal = HangupSignal::listen()?;
    loop {
        signal.received().await;
        if let Err(error) = running.reload_certificate() {
            tracing::error!(%error, "the certificate can't be read again; the old one is still shown");
        }
        let replaced = Config::load(options, environment())
            .and_then(|config| running.replace_tokens(config.tokens));
        if let Err(error) = replaced {
            tracing::error!(%error, "the tokens can't be read again; the old ones still count");
        }
        tracing::info!("what may change while the service runs was read again");
    }
}

/// Stops in order; told a second time, at once.
async fn stop(running: Running, mut signal: StopSignal) -> ExitCode {
    tracing::info!("stopping");
    tokio::select! {
        stopped = running.shutdown() => {
            if stopped == Stopped::Drained {
                tracing::info!("stopped");
            }
            ExitCode::SUCCESS
        }
        () = signal.received() => {
            tracing::warn!("told to stop again: ending at once");
            ExitCode::FAILURE
        }
    }
}
