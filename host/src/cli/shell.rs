//! `ragtime completions` and `ragtime man`: what shells and `man` want to know.

use std::path::PathBuf;
use std::{fs, io};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{CliError, out};

/// For which shell.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Where the pages go.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// A folder for a page of each command, made if need be, instead of the
    /// first page on standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints the script that completes commands and flags.
pub fn completions(args: &CompletionsArgs, mut command: Command) -> Result<(), CliError> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    out::piece(&String::from_utf8_lossy(&script));
    Ok(())
}

/// Prints the manual page, or writes those of all commands.
pub fn man(args: &ManArgs, command: Command) -> Result<(), CliError> {
    let failed = |error: io::Error| CliError::new(format!("the manual cannot be written: {error}"));
    match &args.out {
        Some(dir) => fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(command, dir))
            .map_err(failed),
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page).map_err(failed)?;
            out::piece(&String::from_utf8_lossy(&page));
            Ok(())
        }
    }
}
