//! Scores of answers by every metric of the settings: those of texts alone, and those that need an encoder.

use std::collections::HashMap;
use std::path::Path;

use super::sentence_encoder::SentenceEncoder;
use crate::diagnostic::Diagnostic;
use crate::stage::StageError;
use crate::text::metrics::{self, Metric, Normalisation, Semantic, best_score};

/// Everything that scores answers.
pub(super) struct Judge {
    scorers: Vec<(String, Scorer)>,
    normalisation: Normalisation,
    encoder: Option<SentenceEncoder>,
}

/// One metric.
enum Scorer {
    Text(&'static dyn Metric),
    Semantic(Semantic),
}

/// Texts with their embeddings.
type Embeddings<'a> = HashMap<&'a str, Vec<f32>>;

impl Judge {
    /// A judge for metrics by name; an encoder is loaded if one of them needs it.
    ///
    /// # Errors
    /// One needs an encoder and none is wired in, or it can't be loaded.
    ///
    /// # Panics
    /// When the settings were not checked.
    pub(super) fn new(
        names: &[String],
        normalisation: &Normalisation,
        encoder: Option<&Path>,
    ) -> Result<Self, StageError> {
        let scorer = |name: &String| {
            let text = metrics::find(name).map(Scorer::Text);
            let scorer = text.or_else(|| name.parse().ok().map(Scorer::Semantic));
            (name.clone(), scorer.expect("checked settings name known metrics"))
        };
        let scorers: Vec<_> = names.iter().map(scorer).collect();
        let needs_encoder = scorers.iter().find(|(_, scorer)| matches!(scorer, Scorer::Semantic(_)));
        let encoder = match (needs_encoder, encoder) {
            (None, _) => None,
            (Some(_), Some(folder)) => Some(SentenceEncoder::load(folder)?),
            (Some((name, _)), None) => {
                let message = format!("the metric `{name}` needs an encoder, and none is wired into `encoder`");
                let help = "wire a BERT-type model such as all-MiniLM-L6-v2 into `encoder`";
                return Err(StageError::Data(vec![Diagnostic::error("eval::no_encoder", message).help(help)]));
            }
        };
        Ok(Self { scorers, normalisation: normalisation.clone(), encoder })
    }

    /// The score of an output by each metric: the best over all answers that count.
    ///
    /// # Errors
    /// The encoder fails.
    pub(super) fn scores(&self, output: &str, answers: &[&str]) -> Result<Vec<(String, f64)>, StageError> {
        let embeddings = self.embeddings(output, answers)?;
        let score = |(name, scorer): &(String, Scorer)| {
            let score = match scorer {
                Scorer::Text(metric) => best_score(*metric, &self.normalisation, output, answers.iter().copied()),
                Scorer::Semantic(metric) => {
                    let cosines = answers.iter().flat_map(|answer| {
                        let expected = &embeddings[answer.trim()];
                        let parts = metric.parts(output, answer);
                        parts.into_iter().map(|part| cosine(expected, &embeddings[part])).collect::<Vec<_>>()
                    });
                    metric.score(cosines.max_by(f64::total_cmp))
                }
            };
            (name.clone(), score)
        };
        Ok(self.scorers.iter().map(score).collect())
    }

    /// The embeddings of everything that one output is compared by.
    fn embeddings<'a>(&self, output: &'a str, answers: &[&'a str]) -> Result<Embeddings<'a>, StageError> {
        let Some(encoder) = &self.encoder else { return Ok(Embeddings::new()) };
        let mut texts: Vec<&str> = answers.iter().map(|answer| answer.trim()).collect();
        for (_, scorer) in &self.scorers {
            if let Scorer::Semantic(metric) = scorer {
                texts.extend(answers.iter().flat_map(|answer| metric.parts(output, answer)));
            }
        }
        texts.sort_unstable();
        texts.dedup();
        let embeddings = encoder.embed(&texts)?;
        Ok(texts.into_iter().zip(embeddings).collect())
    }
}

/// The cosine of two vectors of length one.
fn cosine(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(left, right)| f64::from(*left) * f64::from(*right)).sum()
}
