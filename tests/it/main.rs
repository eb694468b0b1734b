//! The one integration test binary: each further one would link burn again.

#![expect(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod architecture;
mod chat_template_fixtures;
mod chat_template_hostile;
mod clean_formats;
mod clean_harness;
mod clean_hostile;
mod clean_properties;
mod clean_stage;
mod disk;
mod doctor;
mod epochs;
mod eval_reports;
mod eval_stage;
mod fuzz;
mod gate_rules;
mod gate_stage;
mod gguf;
mod hub;
mod hub_server;
mod manifest_hostile;
mod manifest_invalid;
mod manifest_kinds;
mod manifest_schema;
mod model;
mod models_show;
mod pipeline;
mod pipeline_failures;
mod plan_id;
mod plan_valid;
mod preflight;
mod project;
mod real_models;
mod render_mask;
mod render_stages;
mod render_support;
mod sources;
mod stage_run;
mod store_commit;
mod store_crash;
mod store_damage;
mod store_disk;
mod tokenizer_files;
mod tokenizer_hostile;
