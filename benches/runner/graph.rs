//! The pipelines that every runner is given: stages that do next to nothing, so that what is timed is the runner.

/// One stage: it puts what it reads, and maybe the parameter, into one file.
pub struct Step {
    pub name: String,
    pub needs: Vec<String>,
    /// Whether it depends on the parameter `scale`.
    pub is_scaled: bool,
}

/// Some stages over the files `raw`, `exam` and `base`.
pub struct Graph {
    pub inputs: Vec<&'static str>,
    pub steps: Vec<Step>,
}

fn step(name: &str, needs: &[&str], is_scaled: bool) -> Step {
    Step { name: name.to_owned(), needs: needs.iter().map(|need| (*need).to_owned()).collect(), is_scaled }
}

/// Clean, render, train, merge, eval, gate; the parameter is of training, so four stages depend on it.
pub fn six() -> Graph {
    let steps = vec![
        step("clean", &["raw"], false),
        step("render", &["clean", "base"], false),
        step("train", &["render"], true),
        step("merge", &["train"], false),
        step("eval", &["merge", "exam"], false),
        step("gate", &["eval"], false),
    ];
    Graph { inputs: vec!["raw", "exam", "base"], steps }
}

/// Sixteen trainings of one preparation, each with another number, and one report over all: the cells of a matrix written out.
pub fn sixteen_cells() -> Graph {
    let cells: Vec<String> = (0..16).map(|cell| format!("train{cell}")).collect();
    let mut steps = vec![step("clean", &["raw"], false)];
    steps.extend(cells.iter().map(|cell| step(cell, &["clean"], true)));
    steps.push(Step { name: "report".into(), needs: cells, is_scaled: false });
    Graph { inputs: vec!["raw"], steps }
}

/// Each stage reads the one before it and the one ten before.
pub fn chain(stages: usize) -> Graph {
    let needs = |at: usize| {
        let mut needs: Vec<String> =
            [1, 10].into_iter().filter_map(|back| at.checked_sub(back)).map(|at| format!("s{at}")).collect();
        needs.dedup();
        if needs.is_empty() { vec!["raw".to_owned()] } else { needs }
    };
    let steps = (0..stages).map(|at| Step { name: format!("s{at}"), needs: needs(at), is_scaled: false }).collect();
    Graph { inputs: vec!["raw"], steps }
}

/// Stages that do not depend on each other.
pub fn independent(stages: usize) -> Graph {
    let steps = (0..stages).map(|at| step(&format!("s{at}"), &["raw"], false)).collect();
    Graph { inputs: vec!["raw"], steps }
}

/// One stage that reads one input, which may be large, and writes next to nothing of it.
pub fn one() -> Graph {
    Graph { inputs: vec!["raw"], steps: vec![step("look", &["raw"], false)] }
}
