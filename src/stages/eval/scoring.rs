//! Rows and answers become a report.

use std::collections::BTreeMap;

use super::judge::Judge;
use super::settings::EvalSettings;
use crate::stage::StageError;
use crate::text::baselines::{Baselines, ContextRow};
use crate::text::eval_report::{EvalReport, Example, ExampleIds, ReportSettings, StopReason};
use crate::text::eval_rows::EvalRow;

/// What a model said to one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// The new tokens as text.
    pub(super) text: String,
    /// How many there were, without the stop token.
    pub(super) new_tokens: usize,
    /// Why it ended.
    pub(super) stop_reason: StopReason,
}

/// The report of some rows and the answers to them. `style` says how conversations were shown.
///
/// # Errors
/// The judge fails.
pub(super) fn report(
    settings: &EvalSettings,
    judge: &Judge,
    style: String,
    rows: &[EvalRow],
    answers: Vec<Answer>,
) -> Result<EvalReport, StageError> {
    assert_eq!(rows.len(), answers.len(), "each row has its answer");
    let mut ids = ExampleIds::default();
    let examples = rows.iter().zip(answers).map(|(row, answer)| example(judge, &mut ids, row, answer));
    let examples = examples.collect::<Result<_, _>>()?;
    let with_context: Vec<ContextRow<'_>> = rows
        .iter()
        .filter_map(|row| {
            let context = row.context.as_deref()?;
            Some(ContextRow { context, expected: &row.expected, accept: &row.accept })
        })
        .collect();
    let baselines = Baselines::of(&with_context, &settings.normalize);
    let settings = ReportSettings {
        context_as: settings.context_as,
        style,
        max_new_tokens: settings.max_new_tokens,
        metrics: settings.metrics.clone(),
        normalize: settings.normalize.clone(),
    };
    Ok(EvalReport::new(settings, baselines, examples))
}

fn example(judge: &Judge, ids: &mut ExampleIds, row: &EvalRow, answer: Answer) -> Result<Example, StageError> {
    let answers: Vec<&str> =
        std::iter::once(row.expected.as_str()).chain(row.accept.iter().map(String::as_str)).collect();
    let scores: BTreeMap<String, f64> = judge.scores(&answer.text, &answers)?.into_iter().collect();
    Ok(Example {
        id: ids.next(&row.query, row.context.as_deref(), &row.expected, &row.accept),
        query: row.query.clone(),
        expected: row.expected.clone(),
        accept: row.accept.clone(),
        tags: row.tags.clone(),
        has_context: row.context.is_some(),
        output: answer.text,
        new_tokens: answer.new_tokens,
        stop_reason: answer.stop_reason,
        scores,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::eval_report::{Slice, read};

    fn row(context: Option<&str>, expected: &str, accept: &[&str]) -> EvalRow {
        EvalRow {
            query: "How much?".to_owned(),
            context: context.map(str::to_owned),
            expected: expected.to_owned(),
            accept: accept.iter().map(|answer| (*answer).to_owned()).collect(),
            tags: vec!["fees".to_owned()],
        }
    }

    fn answer(text: &str) -> Answer {
        Answer { text: text.to_owned(), new_tokens: 3, stop_reason: StopReason::StopToken }
    }

    #[test]
    fn answers_are_scored_by_every_metric_and_slice_and_the_report_can_be_read() {
        let rows = [
            row(Some("It grew 18% then 20%."), "18%", &[]),
            row(Some("It is 30 euros."), "30", &["30 euros"]),
            row(None, "yes", &[]),
            row(None, "yes", &[]),
        ];
        let answers = vec![answer(" 18%"), answer("30 euros"), answer("yes, it is"), answer("no")];
        let settings = EvalSettings::default();
        let judge = Judge::new(&settings.metrics, &settings.normalize, None).expect("no encoder is needed");
        let report = report(&settings, &judge, "native mode".to_owned(), &rows, answers).expect("a report");
        assert_eq!(report.metrics["exact"].value, Some(0.5));
        assert_eq!(report.metrics["contains"].value, Some(0.75));
        assert_eq!(report.slices[&Slice::WithContext]["exact"].value, Some(1.0));
        assert_eq!(report.slices[&Slice::WithoutContext]["contains"].value, Some(0.5));
        assert_eq!(report.slices[&Slice::Tag("fees".to_owned())]["exact"].n, 4);
        assert_eq!(report.baselines.copy_first.value, Some(1.0));
        assert_eq!(report.baselines.copy_last.value, Some(0.5));
        assert_eq!(report.examples[3].id, format!("{}#2", report.examples[2].id));
        let json = report.to_json().expect("json");
        assert_eq!(read(&json).expect("the same report"), report);
    }
}
