//! The collector: moves what nothing keeps to `trash/`, from where it can be had back.
//!
//! # What is kept
//! Whatever is reached from a root: lock files (which the caller hands in), every file below `roots/`, live runs and the
//! latest ones. A kept record keeps all that its text names ([`Names`]), a kept listing the files of its folder. What was
//! put or used within the grace period stays too, and so does whatever was put or used since the oldest live process
//! began: it may belong to work that is not finished.
//!
//! # Why a run beside it loses nothing
//! 1. A run renews what it relies on before it does (`renew.rs`), and has a live session from before that.
//! 2. Records go first. Each is looked at again, alone, in the moment in which it is moved: a renewed one stays.
//! 3. Then all records that are still there are followed anew, and only bytes that none of them names go, after another
//!    look each. So at no time, whenever the collector is killed, is there a result without its bytes.
//! 4. A run that comes too late finds no result, and does the work again.
//!
//! It refuses to go on when a root can't be read, and never touches files outside the store: of a large input, which
//! lies elsewhere, only the note goes. Fetched models, the stat cache and the quarantine are not its business.

mod choose;
mod names;
mod reach;
mod roots;
mod shares;
mod survey;
mod sweep;

use std::time::Duration;

pub use names::Names;
pub use roots::Root;
pub use shares::Share;
pub use survey::KeptBy;

use crate::store::error::StoreError;
use crate::store::gc::survey::{Item, Survey};
use crate::store::layout::{Class, Store};

/// What to keep.
#[derive(Debug, Clone)]
pub struct GcOptions<'a> {
    /// What the caller knows must be kept.
    pub roots: &'a [Root],
    /// How many of the latest runs are kept with what they used.
    pub keep_runs: usize,
    /// For how long a thing is left alone after it was put or last used.
    pub grace: Duration,
    /// How large the store may stay: only as much goes as is needed for that, least recently used first.
    pub max_bytes: Option<u64>,
}

/// Something that goes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Going {
    /// What it is.
    pub class: Class,
    /// Its digest or id.
    pub name: String,
    /// How many bytes it has.
    pub bytes: u64,
}

/// What goes, and why the rest stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcReport {
    /// What goes, or went.
    pub going: Vec<Going>,
    /// What stays, by the first reason that was found.
    pub kept: Vec<KeptBy>,
    /// How many bytes there were before.
    pub total_bytes: u64,
    /// By how much the rest is larger than it may be.
    pub over_bytes: u64,
    /// The name under which what went can be had back; absent when nothing was moved.
    pub trash: Option<String>,
}

impl GcReport {
    /// How many bytes go.
    #[must_use]
    pub fn going_bytes(&self) -> u64 {
        self.going.iter().map(|going| going.bytes).sum()
    }

    fn new(kept: Vec<KeptBy>, going: &[Item], total_bytes: u64, max_bytes: Option<u64>) -> Self {
        let going: Vec<Going> = going
            .iter()
            .map(|Item { class, name, bytes, .. }| Going { class: *class, name: name.clone(), bytes: *bytes })
            .collect();
        let left = total_bytes.saturating_sub(going.iter().map(|going| going.bytes).sum());
        let over_bytes = max_bytes.map_or(0, |most| left.saturating_sub(most));
        Self { going, kept, total_bytes, over_bytes, trash: None }
    }
}

impl Store {
    /// Says what would go; moves nothing.
    ///
    /// # Errors
    /// [`StoreError::UnreadableRoot`] when it is not certain what must be kept, [`StoreError::Io`].
    pub fn garbage(&self, options: &GcOptions<'_>) -> Result<GcReport, StoreError> {
        let (survey, going) = self.look_over(options)?;
        Ok(GcReport::new(survey.kept, &going, survey.total_bytes, options.max_bytes))
    }

    /// Moves to the trash what nothing keeps. Works beside running pipelines.
    ///
    /// # Errors
    /// As [`Store::garbage`]; then, and when it is killed, what was moved so far can be restored.
    pub fn collect_garbage(&self, options: &GcOptions<'_>) -> Result<GcReport, StoreError> {
        let _alone = self.lock_trash()?;
        let (survey, going) = self.look_over(options)?;
        if going.is_empty() {
            return Ok(GcReport::new(survey.kept, &[], survey.total_bytes, options.max_bytes));
        }
        let (trash, gone) = self.sweep(options, survey.cutoff_ns, going)?;
        let report = GcReport::new(survey.kept, &gone, survey.total_bytes, options.max_bytes);
        // Nothing went when all of it was renewed meanwhile.
        Ok(GcReport { trash: (!report.going.is_empty()).then_some(trash), ..report })
    }

    fn look_over(&self, options: &GcOptions<'_>) -> Result<(Survey, Vec<Item>), StoreError> {
        let mut survey = self.survey(options)?;
        let loose = std::mem::take(&mut survey.loose);
        let Some(most) = options.max_bytes else { return Ok((survey, loose)) };
        let (going, spared) = self.choose(loose, survey.total_bytes.saturating_sub(most))?;
        if !spared.is_empty() {
            survey.kept.push(KeptBy {
                what: "kept by nothing, but there is room for it".to_owned(),
                things: spared.len() as u64,
                bytes: spared.iter().map(|item| item.bytes).sum(),
            });
        }
        Ok((survey, going))
    }
}
