//! `pipe baseline`: names for experiments, which gates compare with.

use serde_json::json;

use crate::cli::arguments::BaselineVerb;
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session, load, project};
use crate::diagnostic::nearest;
use crate::reference::Name;
use crate::report::table::{self, Align};
use crate::store::{Baseline, Store, utc};

pub fn baseline(verb: &BaselineVerb, session: &Session) -> Result<Exit, Failure> {
    let store = load::open_store(&session.global, &project::current_root())?;
    match verb {
        BaselineVerb::Set { id, name } => set(id, name.as_deref(), &store, session),
        BaselineVerb::List => list(&store, session),
        BaselineVerb::Remove { name } => remove(name, &store, session),
    }
}

fn set(id: &str, name: Option<&str>, store: &Store, session: &Session) -> Result<Exit, Failure> {
    let record = load::experiment(store, id)?;
    let name: Name = name.unwrap_or(&record.name).parse().map_err(|error| Failure::Usage(format!("{error}")))?;
    let before = store.baseline(name.as_str())?;
    let baseline = store.set_baseline(name.as_str(), &record.id)?;
    if session.console.json {
        say(&json!({ "version": 1, "set": baseline, "before": before.map(|before| before.experiment) }).to_string());
        return Ok(Exit::Ok);
    }
    let before = before.filter(|before| before.experiment != record.id);
    let before = before.map_or_else(String::new, |before| format!(", before {}", before.experiment.short()));
    say(&format!("baseline {name} is experiment {} ({}){before}", record.id.short(), record.name));
    let report = record.stages.iter().find_map(|stage| {
        let has_report = stage.outputs.contains_key("report");
        has_report.then(|| format!("in a manifest: inputs: {{ before: experiment:{name}#{}.report }}", stage.name))
    });
    report.iter().for_each(|line| say(line));
    Ok(Exit::Ok)
}

fn list(store: &Store, session: &Session) -> Result<Exit, Failure> {
    let baselines = store.baselines()?;
    if session.console.json {
        say(&json!({ "version": 1, "baselines": baselines }).to_string());
    } else if baselines.is_empty() {
        say("no baselines yet; `pipe baseline set ID NAME` makes one");
    } else {
        let row = |one: &Baseline| vec![one.name.clone(), one.experiment.short(), utc(one.since_unix_s)];
        let rows: Vec<Vec<String>> = baselines.iter().map(row).collect();
        say(&table::render(&["baseline", "experiment", "since"], &rows, &[Align::Left; 3]));
    }
    Ok(Exit::Ok)
}

fn remove(name: &str, store: &Store, session: &Session) -> Result<Exit, Failure> {
    if !store.remove_baseline(name)? {
        let known = store.baselines()?;
        let near = nearest(name, known.iter().map(|baseline| baseline.name.as_str()));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return Err(Failure::Usage(format!("no baseline is called `{name}`{hint}")));
    }
    if session.console.json {
        say(&json!({ "version": 1, "removed": name }).to_string());
    } else {
        say(&format!("removed baseline {name}; its experiment stays until `pipe cache gc --yes`"));
    }
    Ok(Exit::Ok)
}
