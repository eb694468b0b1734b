//! `pipe run`: what changed is run, the rest comes from the cache; the last lines are verdict, time and id.

use std::io;
use std::num::NonZeroUsize;

use crate::artifact::{ArtifactKind, Verdict};
use crate::cli::arguments::{ManifestArguments, RunArguments};
use crate::cli::console::{note, say};
use crate::cli::exit::Exit;
use crate::cli::load::{self, Fetch};
use crate::cli::part::Part;
use crate::cli::{Failure, Session, frozen, plan};
use crate::engine::event::Sink;
use crate::engine::{PreviewedStage, RunOptions, RunSummary, unstored};
use crate::plan::Note;
use crate::report::json_lines::JsonLines;
use crate::report::terminal::Terminal;
use crate::report::verdict;
use crate::store::Store;

pub fn run(arguments: &RunArguments, session: &Session) -> Result<Exit, Failure> {
    let all = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let cores = arguments.jobs.unwrap_or(all);
    // Nothing has used the pool yet, so this does not fail; were it to, all cores would be used.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(cores.get()).build_global();
    if arguments.dry_run {
        return dry_run(arguments, session);
    }
    let mut loaded = load::whole(&arguments.manifest, session, Fetch::Missing)?;
    if arguments.frozen && frozen::told_stale(&loaded, session) {
        return Ok(Exit::Stale);
    }
    let Part { plan, whole, may_run, force } = Part::of(arguments, &loaded.plan)?;
    loaded.plan = plan;
    // Before anything runs for minutes and then fails.
    let notes = loaded.preflight(&unstored(&loaded.plan, &loaded.store))?;
    for Note { stage, note: text } in notes.iter().filter(|_| !session.console.json && !session.console.quiet) {
        note(&format!("note: `{stage}`: {text}"));
    }
    let options = RunOptions {
        project: loaded.root.clone(),
        manifest: loaded.manifest.clone(),
        whole,
        lock: (whole && is_as_committed(&arguments.manifest)).then(|| loaded.lock_target.clone()),
        force,
        may_run,
        keep_going: arguments.keep_going,
        cores,
    };
    session.heed_signals();
    let sink = sink(session);
    let summary = crate::engine::run(&loaded.plan, &loaded.store, &options, &*sink, &session.cancel)?;
    drop(sink);
    for (what, error) in &summary.failures {
        session.console.explain_failure(what, error);
    }
    if !session.console.json {
        show_verdicts(&summary, &loaded.store, session)?;
    }
    Ok(Exit::of_run(&summary))
}

/// What `plan` says, of this part and with what is forced; the exit code tells whether anything would run.
fn dry_run(arguments: &RunArguments, session: &Session) -> Result<Exit, Failure> {
    let mut loaded = match load::whole(&arguments.manifest, session, Fetch::Nothing) {
        Err(Failure::Diagnostics(found)) if load::only_unfetched(&found) => {
            plan::unresolved(&found, session);
            return Ok(Exit::Stale);
        }
        loaded => loaded?,
    };
    let part = Part::of(arguments, &loaded.plan)?;
    loaded.plan = part.plan.clone();
    let previews = loaded.preview(&part.force)?;
    part.check(&previews)?;
    plan::show(&loaded, &previews, session)?;
    Ok(if previews.iter().any(PreviewedStage::would_run) { Exit::Stale } else { Exit::Ok })
}

/// Whether a run is of what is committed: nothing overridden. Any other leaves the lock alone.
const fn is_as_committed(arguments: &ManifestArguments) -> bool {
    arguments.param.is_empty() && arguments.backend.is_none()
}

/// Where the events of a run go.
pub fn sink(session: &Session) -> Box<dyn Sink> {
    if session.console.json {
        Box::new(JsonLines::new(io::stdout()))
    } else {
        Box::new(Terminal::new(session.console.terminal_style(), Box::new(io::stderr())))
    }
}

/// The tables of the gates that did not pass: which rule, by how much, on which examples.
fn show_verdicts(summary: &RunSummary, store: &Store, session: &Session) -> Result<(), Failure> {
    for stage in &summary.stages {
        if stage.outcome.verdict.is_none_or(|verdict| verdict == Verdict::Passed && session.console.quiet) {
            continue;
        }
        for output in stage.outputs.values().filter(|output| output.kind == ArtifactKind::Verdict) {
            let bytes = store.read(output.content.digest())?;
            say(&verdict::render(&stage.name, &bytes));
        }
    }
    Ok(())
}
