//! What holds for every training run: windows, determinism, freezing, learning, cancelling.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use pipe::device::DeviceSpec;
use pipe::model::{LoraConfig, Method, ModelError, TrainConfig, TrainExample, train};
use tempfile::TempDir;

use super::fixtures::{config, golden, greedy, load, lora, rows, run, tensors, try_run};

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

/// One window of eight rows, in one micro-batch or in eight, gives the same losses and gradient norms.
#[test]
fn the_split_of_a_window_into_micro_batches_does_not_matter() {
    for method in [Method::Full, Method::Lora(lora())] {
        let split = |batch: usize, accumulation: usize| {
            let config = TrainConfig {
                per_device_train_batch_size: batch,
                gradient_accumulation_steps: accumulation,
                learning_rate: 1e-3,
                max_steps: Some(3),
                ..config()
            };
            run(&method, &config).1
        };
        for (step, reference) in split(1, 8).iter().zip(&split(8, 1)) {
            let loss = (step.loss_nats / reference.loss_nats - 1.0).abs();
            let norm = (step.grad_norm / reference.grad_norm - 1.0).abs();
            assert!(loss < 1e-5 && norm < 1e-5, "step {}: loss {loss}, norm {norm}", step.step);
        }
    }
}

#[test]
fn training_leaves_the_base_as_it_was_and_touches_only_the_adapter() {
    let before = files(&golden("lora/tiny_base"));
    let targets = vec!["v_proj".to_owned()];
    let (output, _, summary) = run(&Method::Lora(LoraConfig { target_modules: targets, ..lora() }), &config());
    assert_eq!(files(&golden("lora/tiny_base")), before);
    let written = tensors(&output.path().join("adapter_model.safetensors"));
    assert_eq!(written.len(), 6, "three layers, one projection, two matrices");
    assert!(written.iter().all(|(name, ..)| name.contains("v_proj.lora_")));
    assert_eq!(summary.trainable_parameters, written.iter().map(|(.., numbers)| numbers.len()).sum::<usize>());
    assert!(written.iter().all(|(.., numbers)| numbers.iter().any(|number| *number != 0.0)), "every matrix has moved");
}

#[test]
fn full_training_moves_every_weight_and_keeps_names_and_shapes() {
    let (output, ..) = run(&Method::Full, &config());
    let before = tensors(&golden("lora/tiny_base/model.safetensors"));
    let after = tensors(&output.path().join("model.safetensors"));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&before.0, &before.1), (&after.0, &after.1));
        assert_ne!(before.2, after.2, "{} has moved", before.0);
    }
    assert_eq!(before.len(), after.len());
    assert_eq!(
        fs::read(output.path().join("config.json")).unwrap(),
        fs::read(golden("lora/tiny_base/config.json")).unwrap()
    );
}

/// The base is one whose frozen head can express certainty: that of `tiny_base` is too small to get below 2.9 nats.
#[test]
fn one_batch_is_learnt_by_heart() {
    let base = golden("model/llama");
    let batch: Vec<TrainExample> = rows().into_iter().take(4).collect();
    let adapter = Method::Lora(LoraConfig { rank: 16, alpha: 32.0, ..lora() });
    for (method, learning_rate) in [(Method::Full, 0.003), (adapter, 0.01)] {
        let config = TrainConfig { per_device_train_batch_size: 4, max_steps: Some(200), learning_rate, ..config() };
        let (output, steps, _) = try_run(&base, &batch, &method, &config).unwrap();
        let [first, last] = [steps[0], steps[199]].map(|step| step.loss_nats);
        assert!(first > 5.0 && last < 0.05, "{method:?}: from {first} to {last}");
        if method == Method::Full {
            let row = &batch[0].input_ids;
            assert_eq!(greedy(&load(output.path()), &[row[..4].to_vec()], row.len() - 4)[0], row[4..]);
        }
    }
}

/// Everything that has randomness or sums in parallel: shuffling, dropout, full and adapter training.
fn bytes_of_two_runs() -> Vec<(String, Vec<u8>)> {
    let config = TrainConfig { shuffle: true, per_device_train_batch_size: 5, ..config() };
    let (full, ..) = run(&Method::Full, &config);
    let (adapter, ..) = run(&Method::Lora(LoraConfig { dropout: 0.1, ..lora() }), &config);
    [files(full.path()), files(adapter.path())].concat()
}

/// Run by the test below in a process of its own; without its variable it has nothing to do.
#[test]
fn child_that_trains_with_a_given_number_of_threads() {
    if let Some(output) = std::env::var_os("PIPE_TEST_TRAIN_OUTPUT") {
        let bytes: Vec<u8> = bytes_of_two_runs().into_iter().flat_map(|(_, bytes)| bytes).collect();
        fs::write(output, bytes).unwrap();
    }
}

#[test]
fn two_runs_are_equal_to_the_bit_for_one_thread_and_for_two() {
    let here = bytes_of_two_runs();
    assert!(here == bytes_of_two_runs(), "two runs in one process are equal");
    let here: Vec<u8> = here.into_iter().flat_map(|(_, bytes)| bytes).collect();
    for threads in ["1", "2", "3"] {
        let folder = TempDir::new().unwrap();
        let output = folder.path().join("bytes");
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "model::training::child_that_trains_with_a_given_number_of_threads"])
            .env("RAYON_NUM_THREADS", threads)
            .env("PIPE_TEST_TRAIN_OUTPUT", &output)
            .output()
            .unwrap();
        assert!(status.status.success());
        assert!(fs::read(&output).unwrap() == here, "{threads} threads give the same bytes");
    }
}

#[test]
fn a_seed_decides_order_dropout_and_first_weights() {
    let losses = |seed: u64, dropout: f64| -> Vec<f64> {
        let config = TrainConfig { shuffle: true, seed, ..config() };
        run(&Method::Lora(LoraConfig { dropout, ..lora() }), &config).1.iter().map(|step| step.loss_nats).collect()
    };
    assert_eq!(losses(1, 0.2), losses(1, 0.2));
    assert_ne!(losses(1, 0.2), losses(2, 0.2));
    assert_ne!(losses(1, 0.2), losses(1, 0.0));
}

#[test]
fn cancelling_writes_nothing() {
    let output = TempDir::new().unwrap();
    let result = train(
        &golden("lora/tiny_base"),
        &rows(),
        &Method::Full,
        &config(),
        DeviceSpec::default(),
        output.path(),
        &mut |_| ControlFlow::Break(()),
    );
    assert!(matches!(result, Err(ModelError::Cancelled)));
    assert_eq!(files(output.path()), []);
}

#[test]
fn rows_and_settings_that_cannot_work_are_refused() {
    let check = |rows: &[TrainExample], method: Method, config: TrainConfig, expected: &str| {
        let error = try_run(&golden("lora/tiny_base"), rows, &method, &config)
            .map(drop)
            .expect_err("the run is refused")
            .to_string();
        assert_eq!(error, expected);
    };
    let row = |ids: Vec<u32>, mask: Vec<bool>| vec![TrainExample { input_ids: ids, loss_mask: mask }];
    let full = || Method::Full;
    check(&[], full(), config(), "examples is `[]`; expected at least one row");
    check(&row(vec![], vec![]), full(), config(), "row 0: has no tokens");
    check(
        &row(vec![1, 288], vec![true; 2]),
        full(),
        config(),
        "row 0: token id is `288`; expected below vocab_size `288`, so the row was made by another tokenizer",
    );
    check(
        &row(vec![1, 2], vec![true]),
        full(),
        config(),
        "row 0: loss_mask has `1` entries; expected one a token, `2`",
    );
    check(
        &row(vec![1; 257], vec![true; 257]),
        full(),
        config(),
        "row 0: has `257` tokens; expected at most max_position_embeddings `256`",
    );
    check(
        &row(vec![1, 2], vec![true, false]),
        full(),
        config(),
        "step 0: no token of its rows is a target; check the loss masks",
    );
    let lora_of = |rank: usize, target: &str| {
        Method::Lora(LoraConfig { rank, target_modules: vec![target.to_owned()], ..lora() })
    };
    check(&rows(), lora_of(0, "q_proj"), config(), "lora_r is `0`; expected at least 1");
    check(
        &rows(),
        lora_of(2, "c_attn"),
        config(),
        "target_modules is `c_attn`; expected the last part of a projection's name, such as `q_proj` or `down_proj`",
    );
    let config = TrainConfig { adam_beta1: 1.0, ..config() };
    check(&rows(), full(), config, "adam_beta1 is `1`; expected a number from 0 to below 1");
}

#[test]
fn an_exploding_run_says_so() {
    let config = TrainConfig { learning_rate: 1e30, max_steps: Some(20), ..config() };
    let error =
        try_run(&golden("lora/tiny_base"), &rows(), &Method::Full, &config).map(drop).expect_err("the run diverges");
    assert!(matches!(error, ModelError::Diverged { .. }), "{error}");
}
