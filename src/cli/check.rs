//! `pipe check`: everything that is wrong with some manifests.

use crate::cli::arguments::{CheckArguments, ManifestArguments};
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session, load};

pub fn check(arguments: &CheckArguments, session: &Session) -> Result<Exit, Failure> {
    let mut found = Vec::new();
    for manifest in &arguments.manifests {
        let one = ManifestArguments {
            manifest: manifest.clone(),
            stages: Vec::new(),
            param: arguments.param.clone(),
            backend: None,
        };
        match load::load(&one, session) {
            Ok(loaded) if !session.console.quiet => {
                let (path, stages) = (manifest.display(), loaded.plan.order().len());
                say(&format!("ok  {path}: {stages} stages, plan {}", loaded.plan.id().short()));
            }
            Ok(_) => {}
            Err(Failure::Diagnostics(diagnostics)) => found.extend(diagnostics),
            Err(failure) => return Err(failure),
        }
    }
    if found.is_empty() { Ok(Exit::Ok) } else { Err(Failure::Diagnostics(found)) }
}
