//! Parts of a window, run side by side.
//!
//! A micro-batch is cut between rows into a few shards, and each shard runs forward and backward on one thread: threads
//! then meet once a step and not once an operation, which matters most for small models and on a busy machine. The cut
//! depends on the rows alone and the gradients are added in the order of the shards, so the number of threads changes
//! no bit.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::example::TrainExample;
use crate::model::config::ModelConfig;

/// The most shards of a micro-batch.
const MOST_SHARDS: usize = 4;
/// A shard has at least this many tokens, where rows allow it.
const TOKENS_PER_SHARD: usize = 128;
/// With more trained numbers than this, one more copy of their gradient costs too much memory.
const MOST_TRAINABLE: usize = 1 << 24;
/// Activations of all shards in flight together.
const MOST_BYTES: usize = 4 << 30;

/// Threads that each run whole shards.
pub(super) struct Workers {
    pools: Vec<ThreadPool>,
    bytes_per_token: usize,
    cuts: bool,
}

impl Workers {
    /// One worker for each thread of the current pool; none when there is but one, or too much is trained.
    pub(super) fn new(config: &ModelConfig, trainable_parameters: usize) -> Self {
        let cuts = trainable_parameters <= MOST_TRAINABLE;
        let threads = rayon::current_num_threads();
        let count = if cuts && threads > 1 { threads } else { 0 };
        // A pool of one thread runs everything below it on that thread: burn's loops, ours, and the products.
        let pool = |_| ThreadPoolBuilder::new().num_threads(1).build().ok();
        let numbers = config.num_hidden_layers * (9 * config.hidden_size + 3 * config.intermediate_size);
        Self { pools: (0..count).map_while(pool).collect(), bytes_per_token: numbers * size_of::<f32>(), cuts }
    }

    /// Cuts a micro-batch into shards of neighbouring rows with about equally many tokens.
    pub(super) fn cut<'a>(&self, rows: &'a [usize], examples: &[TrainExample]) -> Vec<&'a [usize]> {
        let length = |row: &usize| examples[*row].input_ids.len();
        let tokens: usize = rows.iter().map(length).sum();
        let count = if self.cuts { (tokens / TOKENS_PER_SHARD).clamp(1, MOST_SHARDS) } else { 1 };
        let mut shards = Vec::with_capacity(count);
        let (mut rest, mut seen) = (rows, 0);
        for shard in 1..=count {
            let goal = tokens * shard / count;
            let mut taken = 0;
            while taken < rest.len() && seen < goal {
                seen += length(&rest[taken]);
                taken += 1;
            }
            let (rows, after) = rest.split_at(taken);
            if !rows.is_empty() {
                shards.push(rows);
            }
            rest = after;
        }
        shards
    }

    /// Runs `work` on every shard and hands the results to `take` in the order of the shards.
    ///
    /// `largest` is the number of tokens of the largest shard.
    pub(super) fn run<T: Send>(
        &self,
        count: usize,
        largest: usize,
        work: impl Fn(usize) -> T + Sync,
        take: impl FnMut(T) + Send,
    ) {
        let fitting = (MOST_BYTES / (largest * self.bytes_per_token).max(1)).max(1);
        let workers = self.pools.len().min(count).min(fitting);
        if workers < 2 {
            (0..count).map(|shard| inside(|| work(shard))).for_each(take);
            return;
        }
        let next = AtomicUsize::new(0);
        let inbox = Mutex::new(InOrder { next: 0, early: BTreeMap::new(), take });
        std::thread::scope(|scope| {
            for pool in &self.pools[..workers] {
                scope.spawn(|| {
                    pool.install(|| {
                        loop {
                            let shard = next.fetch_add(1, Ordering::Relaxed);
                            if shard >= count {
                                break;
                            }
                            let result = work(shard);
                            inbox.lock().expect("no worker panics while it holds the lock").put(shard, result);
                        }
                    });
                });
            }
        });
    }
}

/// Runs `work` on a thread of the pool, so that its many small loops need not hand themselves over one by one.
pub(super) fn inside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::scope(|_| work())
}

/// Passes results on in their order, whatever the order in which they come.
struct InOrder<T, F> {
    next: usize,
    early: BTreeMap<usize, T>,
    take: F,
}

impl<T, F: FnMut(T)> InOrder<T, F> {
    fn put(&mut self, index: usize, result: T) {
        self.early.insert(index, result);
        while let Some(result) = self.early.remove(&self.next) {
            (self.take)(result);
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(cuts: bool) -> Workers {
        Workers { pools: Vec::new(), bytes_per_token: 1, cuts }
    }

    fn check(lengths: &[usize], cuts: bool, expected: &[&[usize]]) {
        let example = |length: &usize| TrainExample { input_ids: vec![0; *length], loss_mask: vec![true; *length] };
        let examples: Vec<TrainExample> = lengths.iter().map(example).collect();
        let rows: Vec<usize> = (0..lengths.len()).collect();
        assert_eq!(workers(cuts).cut(&rows, &examples), expected);
    }

    #[test]
    fn micro_batches_are_cut_by_tokens_and_never_inside_a_row() {
        check(&[20, 30, 40], true, &[&[0, 1, 2]]);
        check(&[1000], true, &[&[0]]);
        check(&[150, 150], true, &[&[0], &[1]]);
        check(&[200, 200, 200, 200, 200, 200], true, &[&[0, 1], &[2], &[3, 4], &[5]]);
        check(&[900, 50, 50], true, &[&[0], &[1, 2]]);
        check(&[200, 200], false, &[&[0, 1]]);
    }

    #[test]
    fn results_are_taken_in_order() {
        let pools = (0..3).map(|_| ThreadPoolBuilder::new().num_threads(1).build().expect("threads start"));
        let workers = Workers { pools: pools.collect(), bytes_per_token: 1, cuts: true };
        let mut taken = Vec::new();
        workers.run(20, 1, |shard| shard * shard, |square| taken.push(square));
        assert_eq!(taken, (0..20).map(|shard| shard * shard).collect::<Vec<_>>());
    }
}
