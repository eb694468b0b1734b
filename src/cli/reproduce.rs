//! `pipe reproduce`: an experiment done again from the cache alone, and every byte compared.

use serde_json::json;

use crate::cli::arguments::ReproduceArguments;
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session, load, project, run};
use crate::engine::{Comparison, Reproduction};

pub fn reproduce(arguments: &ReproduceArguments, session: &Session) -> Result<Exit, Failure> {
    let store = load::open_store(&session.global, &project::current_root())?;
    let record = load::experiment(&store, &arguments.id)?;
    let plan = load::plan_of(&record, &store)?;
    session.heed_signals();
    let sink = run::sink(session);
    let reproduction = crate::engine::reproduce(&record, &plan, &store, &*sink, &session.cancel)?;
    drop(sink);
    if session.console.json {
        say(&as_json(&reproduction).to_string());
    } else {
        say(&page(&reproduction, &record.id.short()));
    }
    Ok(if reproduction.has_diverged() { Exit::Diverged } else { Exit::Ok })
}

fn page(reproduction: &Reproduction, id: &str) -> String {
    let mut lines = Vec::new();
    for stage in &reproduction.stages {
        if !stage.same_outcome {
            lines.push(format!("differs    {}: its verdict or figures are not the recorded ones", stage.name));
        }
        for (slot, comparison) in &stage.outputs {
            let class = stage.other_class.as_ref().map_or_else(String::new, |class| format!(" (recorded on: {class})"));
            lines.push(match comparison {
                Comparison::Identical => format!("identical  {}.{slot}", stage.name),
                Comparison::Differs(place) => format!("differs    {}.{slot}: {place}{class}", stage.name),
            });
        }
    }
    let verdict = match (reproduction.is_identical(), reproduction.has_diverged()) {
        (true, _) => format!("\nexperiment {id} is reproduced: every byte is identical"),
        (_, true) => format!("\nexperiment {id} diverged"),
        _ => format!(
            "\nexperiment {id} differs, and was recorded on another class of CPU, where other bits are possible"
        ),
    };
    lines.push(verdict);
    lines.join("\n")
}

fn as_json(reproduction: &Reproduction) -> serde_json::Value {
    let stages = reproduction.stages.iter().map(|stage| {
        let outputs = stage.outputs.iter().map(|(slot, comparison)| match comparison {
            Comparison::Identical => json!({ "slot": slot, "identical": true }),
            Comparison::Differs(place) => json!({ "slot": slot, "identical": false, "first_difference": place }),
        });
        json!({ "stage": stage.name, "outputs": outputs.collect::<Vec<_>>(), "same_outcome": stage.same_outcome,
            "other_class": stage.other_class })
    });
    json!({ "version": 1, "identical": reproduction.is_identical(), "stages": stages.collect::<Vec<_>>() })
}
