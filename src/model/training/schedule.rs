//! The learning rate of every step, as transformers' `get_scheduler` gives it.

use super::config::{Schedule, TrainConfig, Warmup};

/// The learning rate of update `step`, counted from 0, of `total`: in f64, operation for operation as the reference.
pub(super) fn learning_rate(config: &TrainConfig, step: u64, total: u64) -> f64 {
    let warmup = match config.warmup {
        Warmup::Steps(steps) => steps as f64,
        Warmup::Ratio(ratio) => (ratio * total as f64).ceil(),
    };
    config.learning_rate * factor(config.lr_scheduler_type, step as f64, warmup, total as f64)
}

fn factor(schedule: Schedule, step: f64, warmup: f64, total: f64) -> f64 {
    if step < warmup {
        return step / warmup.max(1.0);
    }
    match schedule {
        Schedule::Constant => 1.0,
        Schedule::Linear => ((total - step) / (total - warmup).max(1.0)).max(0.0),
        Schedule::Cosine => {
            let progress = (step - warmup) / (total - warmup).max(1.0);
            (0.5 * (1.0 + (std::f64::consts::PI * progress).cos())).max(0.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schedule: Schedule, step: u64, expected: f64) {
        let config = TrainConfig {
            learning_rate: 1.0,
            lr_scheduler_type: schedule,
            warmup: Warmup::Ratio(0.03),
            ..TrainConfig::default()
        };
        let found = learning_rate(&config, step, 100);
        assert!((found - expected).abs() < 1e-15, "{schedule:?} at {step} is {found}; expected {expected}");
    }

    #[test]
    fn a_hundred_steps_with_three_of_warmup() {
        for (step, expected) in [(0, 0.0), (1, 1.0 / 3.0), (2, 2.0 / 3.0), (3, 1.0), (4, 96.0 / 97.0), (99, 1.0 / 97.0)]
        {
            check(Schedule::Linear, step, expected);
        }
        check(Schedule::Cosine, 3, 1.0);
        check(Schedule::Constant, 2, 2.0 / 3.0);
        check(Schedule::Constant, 99, 1.0);
    }
}
