//! `pipe show`: an experiment or a run, by any prefix of its id that is unique.

use crate::cli::arguments::ShowArguments;
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session, load, project};
use crate::engine::record::{ExperimentRecord, StageRecord};
use crate::report::table::{self, Align};
use crate::report::units;
use crate::store::{Store, StoreError};

pub fn show(arguments: &ShowArguments, session: &Session) -> Result<Exit, Failure> {
    let store = load::open_store(&session.global, &project::current_root())?;
    match load::experiment(&store, &arguments.id) {
        Ok(record) => {
            let text =
                if session.console.json { serde_json::to_string(&record).unwrap_or_default() } else { page(&record) };
            say(&text);
            Ok(Exit::Ok)
        }
        Err(Failure::Engine(crate::engine::EngineError::Store(StoreError::NotFound { .. }))) => {
            show_run(&store, &arguments.id)
        }
        Err(failure) => Err(failure),
    }
}

/// A run's events, as they were written.
fn show_run(store: &Store, id: &str) -> Result<Exit, Failure> {
    let run = store.find_run(id).map_err(|_| {
        Failure::Usage(format!(
            "neither an experiment nor a run has an id beginning with `{id}`; `pipe runs` lists them"
        ))
    })?;
    for line in store.events(&run)?.lines {
        say(&line);
    }
    Ok(Exit::Ok)
}

fn page(record: &ExperimentRecord) -> String {
    let mut lines = vec![
        format!("experiment  {}", record.id),
        format!("manifest    {} ({})", record.name, record.manifest_path),
        format!("plan        {}", record.plan),
        format!("first run   {}", record.run),
    ];
    lines.extend(record.verdict.map(|verdict| format!("verdict     {verdict}")));
    lines.extend(record.overrides.iter().map(|(name, value)| format!("param       {name} = {value}")));
    lines.extend(
        record.inputs.iter().map(|(name, content)| format!("input       {name}  {}", content.digest().short())),
    );
    let rows: Vec<Vec<String>> = record.stages.iter().map(row).collect();
    let table = table::render(&["stage", "key", "time", "figures"], &rows, &[Align::Left; 4]);
    format!("{}\n\n{table}\n\nagain: pipe reproduce {}", lines.join("\n"), record.id.short())
}

fn row(stage: &StageRecord) -> Vec<String> {
    let verdict = stage.outcome.verdict.map(|verdict| verdict.to_string());
    let figures = units::metrics(&stage.outcome.metrics);
    let text = verdict.into_iter().chain([figures]).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    vec![stage.name.clone(), stage.key.short(), units::seconds(stage.seconds), text]
}
