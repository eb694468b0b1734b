//! `pipe check`: everything that is wrong with some manifests.

use serde_json::json;

use crate::cli::arguments::{CheckArguments, ManifestArguments};
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::load::{self, Fetch, only_unfetched};
use crate::cli::{Failure, Session, frozen};
use crate::diagnostic::Diagnostic;
use crate::engine::event::EVENT_VERSION;
use crate::report::units;

pub fn check(arguments: &CheckArguments, session: &Session) -> Result<Exit, Failure> {
    let (mut found, mut exit) = (Vec::new(), Exit::Ok);
    for manifest in &arguments.manifests {
        if arguments.frozen {
            match frozen::check(manifest, session) {
                Ok(code) => exit = exit.worse(code),
                Err(Failure::Diagnostics(diagnostics)) => found.extend(diagnostics),
                Err(Failure::Usage(message)) => found.push(Diagnostic::error("manifest::unreadable", message)),
                Err(failure) => return Err(failure),
            }
            continue;
        }
        let one = ManifestArguments {
            manifest: manifest.clone(),
            stages: Vec::new(),
            param: arguments.param.clone(),
            backend: None,
        };
        match load::load(&one, session, Fetch::Nothing) {
            // A manifest is right without its models, so that CI need not have them.
            Err(Failure::Diagnostics(unfetched)) if only_unfetched(&unfetched) => {
                let inputs: Vec<&str> = unfetched.iter().map(|one| one.message.as_str()).collect();
                if session.console.json {
                    let fields = json!({
                        "v": EVENT_VERSION, "event": "manifest_ok", "manifest": manifest, "plan": null,
                        "unresolved": inputs,
                    });
                    say(&fields.to_string());
                } else if !session.console.quiet {
                    say(&format!("ok  {}: unresolved, {}", manifest.display(), inputs.join("; ")));
                }
            }
            Ok(loaded) if session.console.json => {
                let (id, stages) = (loaded.plan.id().to_string(), loaded.plan.order().len());
                let fields = json!({
                    "v": EVENT_VERSION, "event": "manifest_ok", "manifest": manifest, "stages": stages, "plan": id,
                });
                say(&fields.to_string());
            }
            Ok(loaded) if !session.console.quiet => {
                let (path, stages) = (manifest.display(), units::count(loaded.plan.order().len(), "stage"));
                say(&format!("ok  {path}: {stages}, plan {}", loaded.plan.id().short()));
            }
            Ok(_) => {}
            Err(Failure::Diagnostics(diagnostics)) => found.extend(diagnostics),
            // A file that can't be read is one more finding; what is wrong with the others is told all the same.
            Err(Failure::Usage(message)) => found.push(Diagnostic::error("manifest::unreadable", message)),
            Err(failure) => return Err(failure),
        }
    }
    if found.is_empty() { Ok(exit) } else { Err(Failure::Diagnostics(found)) }
}
