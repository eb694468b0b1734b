//! The command line of `pipe cache`. The texts here are the `--help` that teaches.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::cache::amounts::{parse_duration, parse_size};

const GC_EXAMPLES: &str = "\
Kept is what these lead to: the locks of the project (pipelines/**/*.lock), pins, baselines, live runs, the latest runs,
and whatever was put or used within the grace period or since the oldest running pipe began. Files outside the cache are
never touched: of large inputs, which lie elsewhere, only the note goes.

Examples:
  pipe cache gc                          what would go, how much, and why the rest stays
  pipe cache gc --yes                    move it to the trash, which frees no room yet
  pipe cache gc --undo                   have the latest trash back
  pipe cache gc --empty-trash --yes      delete it for good
  pipe cache gc --max-size 20GB --yes    only as much as needed, least recently used first";

/// What stands for the latest trash where none is named.
pub const LATEST: &str = "latest";

const PIN_EXAMPLES: &str = "\
Examples:
  pipe cache pin 5fe0ab91 --note 'the one in the paper'   an experiment: manifest, inputs and all results
  pipe cache pin train                                    what the stage gave in the latest run that has it
  pipe cache pin 0c4417e2                                 a result, by its key (`pipe show` lists them)";

const ARCHIVE_EXAMPLES: &str = "\
Examples:
  pipe cache export 5fe0ab91 lms.pipe      on this machine
  pipe cache import lms.pipe               on another one
  pipe reproduce 5fe0ab91                  does it again there and compares every byte";

/// The verbs of `pipe cache`.
#[derive(Debug, Clone, Subcommand)]
pub enum CacheVerb {
    /// Say how much is stored.
    Stat,
    /// Say what takes the space: by experiment, alone or shared, and by kind of stage.
    Du,
    /// Read every stored byte again and compare it with its digest; damage goes to quarantine.
    Verify,
    /// Move what nothing keeps to the trash; without --yes only say what would go.
    #[command(after_help = GC_EXAMPLES)]
    Gc(GcArguments),
    /// Keep an experiment or a result, whatever else goes.
    #[command(after_help = PIN_EXAMPLES)]
    Pin(PinArguments),
    /// Let go what was pinned; nothing is removed before the next `gc --yes`.
    Unpin {
        /// What was pinned: any prefix of its id or key that is unique.
        #[arg(required = true, value_name = "ID|KEY")]
        targets: Vec<String>,
    },
    /// List what is pinned.
    Pins,
    /// Write one file with an experiment's manifest, inputs, actions, results and all their bytes.
    #[command(after_help = ARCHIVE_EXAMPLES)]
    Export {
        /// The experiment: any prefix of its id that is unique.
        #[arg(value_name = "EXPERIMENT")]
        id: String,
        /// The file to write; never over an existing one.
        #[arg(value_name = "FILE.pipe")]
        file: PathBuf,
    },
    /// Take in the experiment of such a file, once every digest in it was verified.
    #[command(after_help = ARCHIVE_EXAMPLES)]
    Import {
        /// The file.
        #[arg(value_name = "FILE.pipe")]
        file: PathBuf,
    },
}

/// `pipe cache gc`.
#[derive(Debug, Clone, Args)]
pub struct GcArguments {
    /// Do it.
    #[arg(long)]
    pub yes: bool,
    /// Let only as much go that the cache gets as small as this: `20GB`, `512MiB`. The trash does not count.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_size: Option<u64>,
    /// Keep the latest runs with what they used.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub keep_runs: usize,
    /// Leave alone what was put or used so recently: `24h`, `30min`, `7d`.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_duration)]
    pub grace: Duration,
    /// Heed the locks of this project too, where several share the cache. May be given several times.
    #[arg(long, value_name = "FOLDER")]
    pub project: Vec<PathBuf>,
    /// Put back what is in the latest trash, or in the one whose name begins so.
    #[arg(long, value_name = "TRASH", num_args = 0..=1, default_missing_value = LATEST, conflicts_with_all = ["yes", "max_size", "empty_trash"])]
    pub undo: Option<String>,
    /// Delete for good all that is in the trash, and collect nothing.
    #[arg(long, conflicts_with = "max_size")]
    pub empty_trash: bool,
    /// With --yes, delete for good what has been in the trash for so long.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_duration)]
    pub keep_trash: Duration,
}

/// `pipe cache pin`.
#[derive(Debug, Clone, Args)]
pub struct PinArguments {
    /// Experiments by their ids, results by their keys (unique prefixes do), or names of stages of the latest runs.
    #[arg(required = true, value_name = "ID|KEY|STAGE")]
    pub targets: Vec<String>,
    /// Why, for whoever wonders later.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub note: String,
}
