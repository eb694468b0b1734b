//! The promise of the held-out file: no equal question, no equal value and no shared run of eight words with any
//! training row, and copying the first or the last value does not pay.

use super::record::{Question, Trajectory};
use super::scene::Scene;
use std::collections::{BTreeMap, BTreeSet};

const RUN: usize = 8;
const MOST_COPYING: f64 = 0.45;

/// The words of a text: lower case, letters and digits only.
pub fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// All that training says: its questions and its runs of eight words.
#[derive(Default)]
pub struct Index {
    questions: BTreeSet<Vec<String>>,
    runs: BTreeSet<Vec<String>>,
    answers: BTreeSet<String>,
}

impl Index {
    /// Adds a training row.
    pub fn add(&mut self, row: &Trajectory) {
        self.questions.insert(words(&row.instruction));
        self.answers.insert(row.final_answer.clone());
        let texts = row.steps.iter().map(|step| &step.observation).chain([&row.instruction]);
        for text in texts {
            self.runs.extend(words(text).windows(RUN).map(<[String]>::to_vec));
        }
    }

    /// Why the question is known to training, if it is.
    pub fn leak(&self, question: &Question) -> Option<String> {
        let query = words(&question.query);
        let context = question.context.as_deref().map(words).unwrap_or_default();
        let run = query.windows(RUN).chain(context.windows(RUN)).find(|run| self.runs.contains(*run));
        match run {
            Some(run) => Some(format!("`{}` is in training too", run.join(" "))),
            None if self.questions.contains(&query) => Some("the same question is in training".to_owned()),
            None if question.context.is_some() && self.answers.contains(&question.expected) => {
                Some(format!("`{}` is an answer in training too", question.expected))
            }
            None => None,
        }
    }
}

/// Checks the whole held-out file once more, and that a third of it is worded as no training row is.
pub fn verify(index: &Index, questions: &[Question]) -> Result<(), String> {
    for question in questions {
        if let Some(leak) = index.leak(question) {
            return Err(format!("held-out question `{}` leaks: {leak}", question.query));
        }
    }
    let unseen = questions.iter().filter(|question| question.tags.contains(&"unseen-phrasing")).count();
    if unseen * 3 < questions.len() {
        return Err(format!(
            "`{unseen}` of `{}` held-out questions have unseen phrasing; expected a third",
            questions.len()
        ));
    }
    Ok(())
}

/// How often thoughtless answers are right on the held-out file.
#[derive(Default)]
pub struct Baselines {
    rows: usize,
    first: usize,
    last: usize,
    answers: BTreeMap<String, usize>,
    with_note: usize,
}

impl Baselines {
    /// Counts one held-out scene.
    pub fn count(&mut self, scene: &Scene) {
        self.rows += 1;
        *self.answers.entry(scene.answer.clone()).or_default() += 1;
        self.with_note += usize::from(!scene.values.is_empty());
        self.first += usize::from(scene.values.first() == Some(&scene.answer));
        self.last += usize::from(scene.values.last() == Some(&scene.answer));
    }

    /// The rates, and whether they are low enough.
    pub fn summary(&self) -> Result<String, String> {
        let rate = |hits: usize, of: usize| {
            f64::from(u32::try_from(hits).unwrap_or(u32::MAX)) / f64::from(u32::try_from(of.max(1)).unwrap_or(u32::MAX))
        };
        let first = rate(self.first, self.with_note);
        let last = rate(self.last, self.with_note);
        let majority = rate(self.answers.values().copied().max().unwrap_or(0), self.rows);
        if first.max(last).max(majority) >= MOST_COPYING {
            return Err(format!("copying pays: first `{first:.3}`, last `{last:.3}`, majority `{majority:.3}`"));
        }
        Ok(format!(
            "baselines on held-out rows with a context: copy first value {first:.3}, copy last value {last:.3}; majority answer over all rows {majority:.3}\n"
        ))
    }
}
