//! The command line of a service.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::layers::Values;
use crate::setting::{SETTINGS, Setting, Shape};

/// What the command line says of the settings, to be flattened into a program's own.
///
/// Which flags there are comes from [`SETTINGS`](crate::SETTINGS), so `--help` can't miss one. Values are
/// read and checked by [`Config::load`](crate::Config::load), together with those of the environment and the
/// configuration file.
///
/// ```
/// use clap::Parser;
///
/// #[derive(Parser)]
/// struct Cli {
///     #[command(flatten)]
///     serve: boxes_service::ServeOptions,
///     /// Do it quietly.
///     #[arg(long)]
///     quiet: bool,
/// }
///
/// let cli = Cli::parse_from(["shop", "orders", "--bind", "127.0.0.1:0", "--quiet"]);
/// let config = boxes_service::Config::load(&cli.serve, [])?;
/// assert_eq!((config.serve, config.bind.port()), (vec!["orders".to_owned()], 0));
/// # Ok::<(), boxes_service::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ServeOptions {
    values: Values,
}

impl ServeOptions {
    pub(crate) const fn values(&self) -> &Values {
        &self.values
    }

    fn collect(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in SETTINGS {
            let id = setting.id();
            // A secret has no argument, and asking clap for one that it does not know would panic.
            if setting.flag.is_none() && setting.key.is_none() {
                continue;
            }
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            let values: Result<Vec<String>, OsString> = matches
                .get_many::<OsString>(id)
                .into_iter()
                .flatten()
                .cloned()
                .map(OsString::into_string)
                .collect();
            let values = values.map_err(|value| {
                clap::Error::raw(
                    ErrorKind::InvalidUtf8,
                    format!("`{}` is not UTF-8\n", value.to_string_lossy()),
                )
            })?;
            self.values.insert(id, values);
        }
        Ok(())
    }
}

impl Args for ServeOptions {
    fn augment_args(command: Command) -> Command {
        let command = command.args(SETTINGS.iter().filter_map(argument));
        if command.get_after_help().is_some() {
            command
        } else {
            command.after_help(after_help())
        }
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = Self::default();
        options.collect(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.collect(matches)
    }
}

/// How a setting is given on a command line, if it may be.
pub(crate) fn argument(setting: &Setting) -> Option<Arg> {
    let argument = Arg::new(setting.id())
        .allow_negative_numbers(setting.flag.is_some())
        .value_name(setting.value)
        .value_parser(clap::value_parser!(OsString));
    let argument = match (setting.flag, setting.shape) {
        (Some(flag), Shape::One) => argument.long(flag).action(ArgAction::Set),
        (Some(flag), _) => argument.long(flag).action(ArgAction::Append),
        (None, Shape::List) if setting.key.is_some() => {
            argument.num_args(0..).action(ArgAction::Append)
        }
        (None, _) => return None,
    };
    Some(argument.help(format!(
        "{}\n[env: {}] [default: {}]",
        setting.help, setting.variable, setting.default
    )))
}

/// What has no flag: the secrets, and how the sources go together.
fn after_help() -> String {
    let mut text =
        "Secrets stand in the environment or in files, never on the command line:\n".to_owned();
    for setting in SETTINGS
        .iter()
        .filter(|setting| setting.flag.is_none() && setting.key.is_none())
    {
        text.push_str(&format!(
            "  {}={}\n          {}\n          [default: {}]\n",
            setting.variable, setting.value, setting.help, setting.default
        ));
    }
    text.push_str("\nA flag is stronger than its variable, and a variable than the configuration file, where a setting's key is its flag with underscores. In a variable, several values are separated by commas.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        ServeOptions::augment_args(Command::new("shop"))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn help_explains_every_setting_with_its_variable_its_unit_and_its_default() {
        let help = command().term_width(0).render_long_help().to_string();
        for setting in SETTINGS {
            for part in [
                setting.help,
                setting.variable,
                setting.value,
                setting.default,
            ] {
                assert!(help.contains(part), "{part} is missing in:\n{help}");
            }
            if let Some(flag) = setting.flag {
                assert!(help.contains(&format!("--{flag} <")), "{help}");
            }
        }
    }

    #[test]
    fn a_token_can_not_be_given_on_the_command_line() {
        for flag in ["--tokens", "--read-tokens", "--upstream-token"] {
            assert!(
                command()
                    .try_get_matches_from(["shop", flag, "0123456789abcdef"])
                    .is_err(),
                "{flag}"
            );
        }
    }
}
