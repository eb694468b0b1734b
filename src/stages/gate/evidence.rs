//! The numbers a rule needs, worked out from the examples of a report and of its baseline.

use std::collections::HashMap;

use super::settings::{Demand, Rule};
use super::verdict::{Comparison, Pairs, Responsible, ShownExample};
use crate::text::eval_report::{EvalReport, Example};
use crate::text::metrics::Normalisation;
use crate::text::statistics::{
    Bootstrap, Interval, detectable_difference, independent_difference, mcnemar_exact, mean, mean_interval, successes,
    wilson,
};

/// How many examples a verdict shows for each check.
const MOST_SHOWN: usize = 20;

/// The power at which a difference counts as detectable.
const POWER: f64 = 0.8;

/// What a report says about a rule's metric and slice.
pub(super) struct Evidence {
    pub(super) n: usize,
    pub(super) value: f64,
    pub(super) interval: Interval,
    pub(super) comparison: Option<Comparison>,
    pub(super) examples: Responsible,
}

/// Why two reports can't be compared in pairs.
#[derive(Debug, thiserror::Error)]
pub enum PairingError {
    /// One has examples that the other lacks.
    #[error(
        "{missing} of the report's {total} examples are not in the baseline, and {surplus} of the baseline's are not in \
         the report, such as `{example}`; expected the same examples in both"
    )]
    Examples {
        /// How many the baseline lacks.
        missing: usize,
        /// How many the report has.
        total: usize,
        /// How many the report lacks.
        surplus: usize,
        /// The id of one.
        example: String,
    },
    /// The same texts may be equal in one and different in the other.
    #[error("the report was scored with `normalize` {report}, the baseline with {baseline}; expected the same")]
    Normalisation {
        /// The report's.
        report: String,
        /// The baseline's.
        baseline: String,
    },
}

/// The evidence for a rule about one report; none when the metric or the slice is missing.
pub(super) fn single(rule: &Rule, demand: Demand, report: &EvalReport, bootstrap: &Bootstrap) -> Option<Evidence> {
    let members = members(rule, report)?;
    let is_responsible = |score: f64| if matches!(demand, Demand::Max(_)) { score > 0.0 } else { score < 1.0 };
    let responsible = members.iter().filter(|(_, score)| is_responsible(*score));
    let examples = responsible.map(|(example, score)| shown(example, *score, None)).collect();
    evidence(&members, bootstrap, None, capped(examples))
}

/// The evidence for a rule about a report and its baseline; none when the metric or the slice is missing in either.
///
/// # Errors
/// [`PairingError`].
pub(super) fn comparison(
    rule: &Rule,
    report: &EvalReport,
    baseline: &EvalReport,
    bootstrap: &Bootstrap,
) -> Result<Option<Evidence>, PairingError> {
    if rule.paired.unwrap_or(true) {
        check_pairing(report, baseline)?;
        Ok(paired(rule, report, baseline, bootstrap))
    } else {
        Ok(unpaired(rule, report, baseline, bootstrap))
    }
}

fn check_pairing(report: &EvalReport, baseline: &EvalReport) -> Result<(), PairingError> {
    let (ours, theirs) = (&report.settings.normalize, &baseline.settings.normalize);
    if ours != theirs {
        let text = |normalisation: &Normalisation| {
            serde_json::to_string(normalisation).expect("a list of words can be written as JSON")
        };
        return Err(PairingError::Normalisation { report: text(ours), baseline: text(theirs) });
    }
    let (reported, compared) = (by_id(&report.examples), by_id(&baseline.examples));
    let missing: Vec<&Example> = report.examples.iter().filter(|one| !compared.contains_key(&*one.id)).collect();
    let surplus: Vec<&Example> = baseline.examples.iter().filter(|one| !reported.contains_key(&*one.id)).collect();
    let Some(example) = missing.iter().chain(&surplus).next() else { return Ok(()) };
    Err(PairingError::Examples {
        missing: missing.len(),
        total: report.examples.len(),
        surplus: surplus.len(),
        example: example.id.clone(),
    })
}

fn by_id(examples: &[Example]) -> HashMap<&str, &Example> {
    examples.iter().map(|example| (example.id.as_str(), example)).collect()
}

/// An example in both reports.
struct Pair<'a> {
    example: &'a Example,
    score: f64,
    baseline: &'a Example,
    baseline_score: f64,
}

impl Pair<'_> {
    fn shown(&self) -> ShownExample {
        shown(self.example, self.score, Some((self.baseline, self.baseline_score)))
    }
}

fn paired(rule: &Rule, report: &EvalReport, baseline: &EvalReport, bootstrap: &Bootstrap) -> Option<Evidence> {
    let partners = by_id(&baseline.examples);
    let members = members(rule, report)?;
    let mut pairs = Vec::with_capacity(members.len());
    for (example, score) in &members {
        let baseline = *partners.get(example.id.as_str())?;
        let baseline_score = *baseline.scores.get(&rule.metric)?;
        pairs.push(Pair { example, score: *score, baseline, baseline_score });
    }
    let ours: Vec<f64> = pairs.iter().map(|pair| pair.score).collect();
    let theirs: Vec<f64> = pairs.iter().map(|pair| pair.baseline_score).collect();
    let differences: Vec<f64> = pairs.iter().map(|pair| pair.score - pair.baseline_score).collect();
    let flips = flips(&ours, &theirs, bootstrap.confidence);
    let interval = if flips.gained + flips.lost == 0 {
        // Resampling equal pairs gives [0, 0], a certainty that no finite number of pairs has.
        let unseen = wilson(0, pairs.len() as u64, bootstrap.confidence)?;
        Interval { lower: -unseen.upper, ..unseen }
    } else {
        bootstrap.paired_difference(&ours, &theirs)?
    };
    let comparison = Comparison {
        baseline_value: mean(&theirs)?,
        baseline_n: theirs.len(),
        difference: mean(&differences)?,
        interval,
        pairs: Some(flips),
    };
    let lost = pairs.iter().filter(|pair| pair.score < pair.baseline_score);
    let gained = pairs.iter().filter(|pair| pair.score > pair.baseline_score);
    let examples = lost.chain(gained).map(Pair::shown).collect();
    evidence(&members, bootstrap, Some(comparison), capped(examples))
}

fn flips(ours: &[f64], theirs: &[f64], confidence: f64) -> Pairs {
    let gained = ours.iter().zip(theirs).filter(|(ours, theirs)| ours > theirs).count();
    let lost = ours.iter().zip(theirs).filter(|(ours, theirs)| ours < theirs).count();
    let is_rate = successes(ours).is_some() && successes(theirs).is_some();
    let pairs = ours.len() as u64;
    let discordant = (gained + lost) as f64 / ours.len().max(1) as f64;
    Pairs {
        gained,
        lost,
        p_value: is_rate.then(|| mcnemar_exact(gained as u64, lost as u64)),
        detectable: if is_rate { detectable_difference(pairs, discordant, 1.0 - confidence, POWER) } else { None },
    }
}

fn unpaired(rule: &Rule, report: &EvalReport, baseline: &EvalReport, bootstrap: &Bootstrap) -> Option<Evidence> {
    let (ours, theirs) = (members(rule, report)?, members(rule, baseline)?);
    let scores = |members: &[(&Example, f64)]| members.iter().map(|(_, score)| *score).collect::<Vec<f64>>();
    let (our_scores, their_scores) = (scores(&ours), scores(&theirs));
    let (value, baseline_value) = (mean(&our_scores)?, mean(&their_scores)?);
    let interval = independent_difference(
        (value, mean_interval(&our_scores, bootstrap)?),
        (baseline_value, mean_interval(&their_scores, bootstrap)?),
    );
    // Over a common denominator, so that 80 of 100 is exactly 0.1 below 90 of 100.
    let (our_count, their_count) = (our_scores.len() as f64, their_scores.len() as f64);
    let (our_sum, their_sum) = (our_scores.iter().sum::<f64>(), their_scores.iter().sum::<f64>());
    let difference = (our_sum * their_count - their_sum * our_count) / (our_count * their_count);
    let comparison = Comparison { baseline_value, baseline_n: their_scores.len(), difference, interval, pairs: None };
    let wrong = ours.iter().filter(|(_, score)| *score < 1.0);
    let examples = wrong.map(|(example, score)| shown(example, *score, None)).collect();
    evidence(&ours, bootstrap, Some(comparison), capped(examples))
}

/// The examples of the rule's slice with their scores; none when there are none, or the metric is missing.
fn members<'a>(rule: &Rule, report: &'a EvalReport) -> Option<Vec<(&'a Example, f64)>> {
    let within = report.examples.iter().filter(|example| rule.slice.as_ref().is_none_or(|slice| slice.holds(example)));
    let members: Vec<_> =
        within.map(|example| Some((example, *example.scores.get(&rule.metric)?))).collect::<Option<_>>()?;
    if members.is_empty() { None } else { Some(members) }
}

fn evidence(
    members: &[(&Example, f64)],
    bootstrap: &Bootstrap,
    comparison: Option<Comparison>,
    examples: Responsible,
) -> Option<Evidence> {
    let scores: Vec<f64> = members.iter().map(|(_, score)| *score).collect();
    let (value, interval) = (mean(&scores)?, mean_interval(&scores, bootstrap)?);
    Some(Evidence { n: scores.len(), value, interval, comparison, examples })
}

fn shown(example: &Example, score: f64, baseline: Option<(&Example, f64)>) -> ShownExample {
    ShownExample {
        id: example.id.clone(),
        query: example.query.clone(),
        expected: example.expected.clone(),
        output: example.output.clone(),
        score,
        baseline_output: baseline.map(|(example, _)| example.output.clone()),
        baseline_score: baseline.map(|(_, score)| score),
    }
}

fn capped(mut shown: Vec<ShownExample>) -> Responsible {
    let total = shown.len();
    shown.truncate(MOST_SHOWN);
    Responsible { total, shown }
}
