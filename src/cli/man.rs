//! `pipe man`: the manual, made of the same texts as `--help`.

use std::fs;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::cli::Failure;
use crate::cli::arguments::{Arguments, ManArguments};
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::diagnostic::nearest;

pub fn man(arguments: &ManArguments) -> Result<Exit, Failure> {
    let command = Arguments::command();
    if let Some(folder) = &arguments.folder {
        let wrote = fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
        wrote.map_err(|error| Failure::Usage(format!("cannot write to `{}`: {error}", folder.display())))?;
        return Ok(Exit::Ok);
    }
    let mut page = Vec::new();
    Man::new(named(command, &arguments.verb)?)
        .render(&mut page)
        .map_err(|error| Failure::Usage(format!("cannot write the page: {error}")))?;
    say(&String::from_utf8_lossy(&page));
    Ok(Exit::Ok)
}

/// The command that some verbs lead to. Building gives each the name of its page: `pipe-cache-gc`.
fn named(mut command: Command, verbs: &[String]) -> Result<Command, Failure> {
    command.build();
    let mut found = command;
    for verb in verbs {
        let Some(next) = found.find_subcommand(verb).cloned() else {
            let known: Vec<&str> =
                found.get_subcommands().filter(|one| !one.is_hide_set()).map(Command::get_name).collect();
            let hint = nearest(verb, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            let name = found.get_bin_name().unwrap_or("pipe").to_owned();
            return Err(Failure::Usage(format!("`{name}` has no verb `{verb}`{hint}")));
        };
        found = next;
    }
    Ok(found)
}
