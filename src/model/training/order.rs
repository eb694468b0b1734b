//! Which rows each optimiser step sees.
//!
//! Rows are cut into micro-batches and micro-batches into windows, anew in each epoch; the last micro-batch and the
//! last window of an epoch may be shorter.

use super::config::TrainConfig;
use super::example::TrainExample;
use crate::model::random::{Purpose, Stream};

/// Micro-batches whose rows are sorted by length together, as in transformers' `LengthGroupedSampler`.
const MICRO_BATCHES_PER_GROUP: usize = 50;

/// The order of the rows over a whole run.
pub(super) struct Order<'a> {
    examples: &'a [TrainExample],
    config: &'a TrainConfig,
    total_steps: u64,
    steps_per_epoch: u64,
    epoch: Option<(u64, Vec<usize>)>,
}

impl<'a> Order<'a> {
    pub(super) fn new(examples: &'a [TrainExample], config: &'a TrainConfig) -> Self {
        let micro_batches = examples.len().div_ceil(config.per_device_train_batch_size);
        let steps_per_epoch = micro_batches.div_ceil(config.gradient_accumulation_steps) as u64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a checked, positive number")]
        let by_epochs = (config.num_train_epochs * steps_per_epoch as f64).ceil() as u64;
        let total_steps = config.max_steps.unwrap_or(by_epochs);
        Self { examples, config, total_steps, steps_per_epoch, epoch: None }
    }

    /// Optimiser steps in all.
    pub(super) const fn total_steps(&self) -> u64 {
        self.total_steps
    }

    /// Passes over the rows after `step`.
    pub(super) const fn epoch_after(&self, step: u64) -> f64 {
        (step + 1) as f64 / self.steps_per_epoch as f64
    }

    /// The micro-batches of `step`, as indices of rows.
    pub(super) fn window(&mut self, step: u64) -> Vec<Vec<usize>> {
        let epoch = step / self.steps_per_epoch;
        let rows = match self.epoch.take() {
            Some((known, rows)) if known == epoch => rows,
            _ => self.rows_of(epoch),
        };
        let size = self.config.per_device_train_batch_size;
        let accumulation = self.config.gradient_accumulation_steps;
        let first =
            usize::try_from(step % self.steps_per_epoch).expect("steps of an epoch fit in memory") * accumulation;
        let window = rows.chunks(size).skip(first).take(accumulation).map(<[usize]>::to_vec).collect();
        self.epoch = Some((epoch, rows));
        window
    }

    #[expect(clippy::cast_possible_truncation, reason = "nobody trains for 2^32 epochs")]
    fn rows_of(&self, epoch: u64) -> Vec<usize> {
        let mut rows = if self.config.shuffle {
            Stream::new(self.config.seed, Purpose::Shuffle, epoch as u32).permutation(self.examples.len())
        } else {
            (0..self.examples.len()).collect()
        };
        if self.config.group_by_length {
            let longest_first = |row: &usize| std::cmp::Reverse(self.examples[*row].input_ids.len());
            let group = MICRO_BATCHES_PER_GROUP * self.config.per_device_train_batch_size;
            rows.chunks_mut(group).for_each(|group| group.sort_by_key(longest_first));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize) -> Vec<TrainExample> {
        (1..=count).map(|length| TrainExample { input_ids: vec![0; length], loss_mask: vec![true; length] }).collect()
    }

    #[test]
    fn the_last_window_of_an_epoch_is_shorter_and_the_next_epoch_starts_over() {
        let config = TrainConfig {
            per_device_train_batch_size: 2,
            gradient_accumulation_steps: 2,
            num_train_epochs: 1.5,
            shuffle: false,
            ..TrainConfig::default()
        };
        let examples = rows(7);
        let mut order = Order::new(&examples, &config);
        assert_eq!(order.total_steps(), 3);
        assert_eq!(order.window(0), [vec![0, 1], vec![2, 3]]);
        assert_eq!(order.window(1), [vec![4, 5], vec![6]]);
        assert_eq!(order.window(2), [vec![0, 1], vec![2, 3]]);
    }

    #[test]
    fn shuffling_gives_each_epoch_another_order_of_all_rows() {
        let config = TrainConfig { per_device_train_batch_size: 20, ..TrainConfig::default() };
        let examples = rows(20);
        let mut order = Order::new(&examples, &config);
        let [mut first, mut second] = [0, 1].map(|step| order.window(step).concat());
        assert_ne!(first, second);
        first.sort_unstable();
        second.sort_unstable();
        assert_eq!(first, second);
    }

    #[test]
    fn grouping_puts_the_longest_rows_together() {
        let config = TrainConfig { per_device_train_batch_size: 5, group_by_length: true, ..TrainConfig::default() };
        let examples = rows(20);
        let mut first = Order::new(&examples, &config).window(0).concat();
        first.sort_unstable();
        assert_eq!(first, [15, 16, 17, 18, 19]);
    }
}
