//! What a command says on its way to whoever listens: secrets blotted out, a flood cut off, the last lines of stderr kept
//! for a failure.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Mutex, PoisonError};

use crate::command::Stream;
use crate::stage::StageObserver;
use crate::surroundings::Value;

/// More lines than anybody reads; what follows is counted.
const MOST_LINES: usize = 10_000;
/// As much of stderr as a failure shows.
const TAIL_LINES: usize = 10;

/// The two streams of one command.
pub(super) struct Relay<'a> {
    observer: &'a dyn StageObserver,
    /// Longest first, so that one that is part of another leaves nothing of it.
    secrets: Vec<&'a str>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lines: usize,
    tail: VecDeque<String>,
}

impl<'a> Relay<'a> {
    pub(super) fn new(observer: &'a dyn StageObserver, secrets: impl Iterator<Item = &'a Value>) -> Self {
        let mut secrets: Vec<&str> = secrets.flat_map(|secret| secret.reveal().lines()).collect();
        secrets.retain(|secret| !secret.trim().is_empty());
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { observer, secrets, state: Mutex::default() }
    }

    /// Takes a line; called from two threads.
    pub(super) fn take(&self, stream: Stream, line: &str) {
        let line = self.secrets.iter().fold(line.to_owned(), |line, secret| line.replace(secret, "***"));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.lines += 1;
        match state.lines.cmp(&MOST_LINES) {
            std::cmp::Ordering::Less => self.observer.line(&line),
            std::cmp::Ordering::Equal => self.observer.line("… further lines are not shown"),
            std::cmp::Ordering::Greater => {}
        }
        if stream == Stream::Error && !line.is_empty() {
            if state.tail.len() == TAIL_LINES {
                state.tail.pop_front();
            }
            state.tail.push_back(line);
        }
    }

    /// A failure with the last lines of stderr.
    pub(super) fn failure(&self, what: &str) -> Box<dyn Error + Send + Sync> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let tail: Vec<String> = state.tail.iter().map(|line| format!("\n  {line}")).collect();
        let tail = if tail.is_empty() { "; it wrote nothing to stderr".into() } else { format!(":{}", tail.concat()) };
        format!("{what}{tail}").into()
    }
}
