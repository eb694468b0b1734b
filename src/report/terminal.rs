//! The run as a person watches it: one line a stage, a bar while it works, the verdict and the time at the end.
//!
//! On a terminal bars move and colours show; elsewhere only plain lines. Quiet mode keeps failures and the last lines.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value};

use crate::artifact::Verdict;
use crate::engine::event::{Event, Sink};
use crate::engine::why::Reason;
use crate::report::units;

/// How the terminal is to be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalStyle {
    /// Whether bars may move (a terminal that understands cursor movement).
    pub live: bool,
    /// Whether colours may be used.
    pub colour: bool,
    /// Whether only failures and the last lines are wanted.
    pub quiet: bool,
}

/// Shows a run on a terminal, or as plain lines.
pub struct Terminal {
    style: TerminalStyle,
    state: Mutex<State>,
}

struct State {
    bars: MultiProgress,
    by_stage: BTreeMap<String, ProgressBar>,
    plain_marks: BTreeMap<String, u64>,
    out: Box<dyn Write + Send>,
    width: usize,
}

const NAME_WIDTH: usize = 16;

impl Terminal {
    /// A sink that writes lines to `out` (stderr, in the program) and draws bars on stderr when the style is live.
    #[must_use]
    pub fn new(style: TerminalStyle, out: Box<dyn Write + Send>) -> Self {
        let target = if style.live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let state = State { bars, by_stage: BTreeMap::new(), plain_marks: BTreeMap::new(), out, width: NAME_WIDTH };
        Self { style, state: Mutex::new(state) }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.style.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn verdict(&self, verdict: Verdict) -> String {
        let code = match verdict {
            Verdict::Passed => "1;32",
            Verdict::Inconclusive => "1;33",
            Verdict::Failed => "1;31",
        };
        self.paint(code, verdict.name())
    }

    fn stage_line(&self, state: &mut State, stage: &str, word: &str, code: &str, rest: &str) {
        let width = state.width;
        let line = format!("{stage:<width$}  {}  {rest}", self.paint(code, &format!("{word:<7}")));
        self.print(state, line.trim_end());
    }

    /// Prints a line above the bars. A closed pipe is no error.
    fn print(&self, state: &mut State, line: &str) {
        let State { bars, out, .. } = state;
        if self.style.live {
            bars.suspend(|| drop(writeln!(out, "{line}")));
        } else {
            drop(writeln!(out, "{line}"));
        }
    }

    fn progress(&self, state: &mut State, stage: &str, done: u64, total: Option<u64>, unit: &str, text: &str) {
        if self.style.quiet {
            return;
        }
        if let Some(bar) = state.by_stage.get(stage) {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
            bar.set_message(format!("{unit}  {text}"));
            return;
        }
        // Without a terminal: a line at each tenth, so that a log stays short.
        let Some(total) = total.filter(|total| *total > 0) else { return };
        let tenth = done * 10 / total;
        let mark = state.plain_marks.entry(stage.to_owned()).or_insert(0);
        if tenth > *mark {
            *mark = tenth;
            self.stage_line(
                state,
                stage,
                &format!("{}%", done * 100 / total),
                "36",
                &format!("{unit} {done}/{total}  {text}"),
            );
        }
    }

    fn begin(&self, state: &mut State, stage: &str, reasons: &[Reason]) {
        if self.style.quiet {
            return;
        }
        // One whose input turned out to be damaged begins anew.
        Self::end(state, stage);
        self.stage_line(state, stage, "run", "36", &because(reasons));
        if self.style.live {
            let bar = state.bars.add(ProgressBar::new_spinner());
            let width = state.width;
            let template = format!("{{prefix:<{width}}}  {{spinner}} {{bar:24}} {{pos}}/{{len}} {{msg}}");
            bar.set_style(ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(stage.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            state.by_stage.insert(stage.to_owned(), bar);
        }
    }

    fn end(state: &mut State, stage: &str) {
        state.plain_marks.remove(stage);
        if let Some(bar) = state.by_stage.remove(stage) {
            bar.finish_and_clear();
        }
    }

    fn done(&self, verdict: Option<Verdict>, metrics: &Map<String, Value>, time: &str) -> String {
        let mut parts = Vec::new();
        parts.extend(verdict.map(|verdict| self.verdict(verdict)));
        if !metrics.is_empty() {
            parts.push(units::metrics(metrics));
        }
        parts.push(self.paint("2", time));
        parts.join(" · ")
    }

    fn finish(&self, state: &mut State, event: &Event) {
        let Event::RunFinished { experiment, verdict, executed, hits, failed, seconds, interrupted, .. } = event else {
            return;
        };
        let head = match (interrupted, failed, verdict) {
            (true, _, _) => self.paint("1;31", "interrupted"),
            (_, 1.., _) => self.paint("1;31", "failed"),
            (_, _, Some(verdict)) => self.verdict(*verdict),
            (_, _, None) => self.paint("1;32", "done"),
        };
        let work = match (executed, hits) {
            (0, hits) if *failed == 0 && !interrupted => format!("nothing executed, {hits} from cache"),
            (executed, hits) => format!("{executed} executed, {hits} from cache"),
        };
        let failures = if *failed > 0 { format!(", {failed} failed") } else { String::new() };
        let id = experiment.map_or_else(String::new, |id| format!(" · experiment {}", id.short()));
        self.print(state, &format!("\n{head} · {work}{failures} · {}{id}", units::seconds(*seconds)));
        if let Some(id) = experiment {
            self.print(state, &self.paint("2", &format!("next: pipe show {}", id.short())));
        }
    }
}

fn because(reasons: &[Reason]) -> String {
    match reasons {
        [] => String::new(),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            format!("{first}{more}")
        }
    }
}

impl Sink for Terminal {
    fn emit(&self, event: &Event) {
        let state = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::RunStarted { name, plan, stages, .. } if !self.style.quiet => {
                let stages = units::count(*stages, "stage");
                self.print(state, &format!("{name} · {stages} · plan {}\n", plan.short()));
            }
            Event::StageHit { stage, verdict, metrics, saved_seconds, .. } => {
                // It may have begun, only to find that another run has made the result meanwhile.
                Self::end(state, stage);
                if self.style.quiet {
                    return;
                }
                let text = self.done(*verdict, metrics, &format!("saved {}", units::seconds(*saved_seconds)));
                self.stage_line(state, stage, "hit", "32", &text);
            }
            Event::StageWaiting { stage, holder } if !self.style.quiet => {
                self.stage_line(state, stage, "wait", "33", &format!("another run ({holder}) is making it"));
            }
            Event::StageStarted { stage, reasons, .. } => self.begin(state, stage, reasons),
            Event::StageProgress { stage, done, total, unit, fields } => {
                self.progress(state, stage, *done, *total, unit, &units::metrics(fields));
            }
            Event::StageLine { stage, text } => self.print(state, &format!("{stage}: {text}")),
            Event::StageRetry { stage, attempt, attempts, wait_seconds, message } => {
                let wait = units::seconds(*wait_seconds);
                let rest = format!("attempt {attempt} of {attempts} failed, the next in {wait}: {message}");
                self.stage_line(state, stage, "retry", "33", &rest);
            }
            Event::StageWarning { stage, message } => self.stage_line(state, stage, "warning", "33", message),
            Event::StageFinished { stage, seconds, verdict, metrics, .. } => {
                Self::end(state, stage);
                if !self.style.quiet {
                    let text = self.done(*verdict, metrics, &units::seconds(*seconds));
                    self.stage_line(state, stage, "done", "32", &text);
                }
            }
            Event::StageFailed { stage, message } => {
                Self::end(state, stage);
                self.stage_line(state, stage, "failed", "1;31", message);
            }
            Event::Failed { what, message } => self.stage_line(state, what, "failed", "1;31", message),
            Event::StageSkipped { stage, because } if !self.style.quiet => {
                self.stage_line(state, stage, "skipped", "33", &format!("`{because}` did not succeed"));
            }
            Event::Damaged { owner, message } => self.stage_line(state, owner, "damaged", "1;31", message),
            Event::Exported { path, unchanged: false } if !self.style.quiet => {
                self.stage_line(state, "export", "wrote", "32", path);
            }
            Event::Locked { path } if !self.style.quiet => self.stage_line(state, "lock", "wrote", "32", path),
            Event::ExportSkipped { path, reason } => {
                self.stage_line(state, "export", "left", "33", &format!("{path}: {reason}"));
            }
            Event::RunFinished { .. } => {
                for (_, bar) in std::mem::take(&mut state.by_stage) {
                    bar.finish_and_clear();
                }
                self.finish(state, event);
            }
            _ => {}
        }
    }
}
