//! `pipe show`: an experiment or a run, by any prefix of its id that is unique.

use crate::cli::arguments::ShowArguments;
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session, load, project, runs};
use crate::digest::ActionKey;
use crate::engine::record::{ExperimentRecord, StageRecord};
use crate::engine::{EngineError, RunState, run_state};
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
        Err(Failure::Engine(EngineError::Store(StoreError::NotFound { .. }))) => {
            show_run(&store, &arguments.id, session)
        }
        Err(failure) => Err(failure),
    }
}

/// A run: how it ended, and what each of its stages gave.
fn show_run(store: &Store, id: &str, session: &Session) -> Result<Exit, Failure> {
    let run = store.find_run(id).map_err(|error| match error {
        StoreError::NotFound { .. } => Failure::Usage(format!(
            "neither an experiment nor a run has an id beginning with `{id}`; `pipe runs` lists them"
        )),
        error => error.into(),
    })?;
    let state = run_state(store, &run);
    say(&if session.console.json { runs::as_json(&run, &state).to_string() } else { run_page(&run, &state, store) });
    Ok(Exit::Ok)
}

fn run_page(run: &str, state: &RunState, store: &Store) -> String {
    let record = match state {
        RunState::Ended(record) => record,
        RunState::Live => return format!("run         {run}\nstate       running\n\nso far: pipe logs {run}"),
        RunState::Killed => return format!("run         {run}\nstate       killed\n\nuntil then: pipe logs {run}"),
    };
    let mut lines = vec![
        format!("run         {run}"),
        format!("manifest    {} ({})", record.name, record.manifest_path),
        format!("state       {}", runs::end_of(record)),
        format!("work        {} executed, {} from cache", record.executed, record.hits),
        format!("time        {}", units::seconds(record.seconds)),
    ];
    lines.extend(record.verdict.map(|verdict| format!("verdict     {verdict}")));
    lines.extend(record.experiment.map(|id| format!("experiment  {id}")));
    let rows: Vec<Vec<String>> = record.keys.iter().map(|(stage, key)| run_row(run, stage, key, store)).collect();
    let table = table::render(&["stage", "", "key", "time"], &rows, &[Align::Left; 4]);
    format!("{}\n\n{table}\n\nevents: pipe logs {run}", lines.join("\n"))
}

fn run_row(run: &str, stage: &str, key: &ActionKey, store: &Store) -> Vec<String> {
    let result = store.peek_result(key);
    let (how, time) = match &result {
        Some(result) if result.run == run => ("made here".to_owned(), units::seconds(result.seconds)),
        Some(result) => (format!("of {}", result.run), units::seconds(result.seconds)),
        None => ("no longer stored".to_owned(), String::new()),
    };
    vec![stage.to_owned(), how, key.short(), time]
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
