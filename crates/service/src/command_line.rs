//! A command line on which settings may stand before and after a command.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use crate::options::argument;
use crate::setting::{SERVE, SETTINGS, Setting};

/// Parses a command line whose commands take the settings of a service: `shop --data x serve` and `shop serve --data x` mean the
/// same.
///
/// `command` has [`ServeOptions`](crate::ServeOptions) of its own and in each of its commands that takes settings. Where a
/// setting is given twice, what stands behind the command counts.
///
/// # Errors
///
/// What clap finds wrong; or names of boxes before a command, which would mean nothing there.
pub fn parse_command_line<T: Into<OsString> + Clone>(
    command: Command,
    arguments: impl IntoIterator<Item = T>,
) -> Result<ArgMatches, clap::Error> {
    let command = command
        .args_conflicts_with_subcommands(false)
        .subcommand_precedence_over_arg(true);
    let command = flags().fold(command, |command, setting| {
        command.mut_arg(setting.id(), |argument| argument.global(true))
    });
    let commands: Vec<String> = command
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    let mut command = commands.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, accepting_all)
    });
    let matches = command.try_get_matches_from_mut(arguments)?;
    if let Some((name, _)) = matches.subcommand()
        && matches.value_source(SERVE.id()) == Some(ValueSource::CommandLine)
    {
        let boxes = matches.get_many::<OsString>(SERVE.id());
        let boxes: Vec<_> = boxes
            .into_iter()
            .flatten()
            .map(|name| name.to_string_lossy())
            .collect();
        let message = format!(
            "`{}` stands before the command `{name}`: a command stands first, before its boxes",
            boxes.join(" ")
        );
        return Err(command.error(ErrorKind::ArgumentConflict, message));
    }
    Ok(matches)
}

fn flags() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| setting.flag.is_some())
}

/// The command with all settings. Those that mean nothing to it are not in its help: they may be given, as variables and files
/// are shared.
fn accepting_all(command: Command) -> Command {
    flags().fold(command, |command, setting| {
        let has = command
            .get_arguments()
            .any(|argument| argument.get_id() == setting.id());
        match argument(setting) {
            Some(argument) if !has => command.arg(argument.hide(true)),
            _ => command,
        }
    })
}
