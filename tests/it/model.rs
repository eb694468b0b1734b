//! The model room from outside: golden numbers of the reference implementations, and the laws every model obeys.

#[path = "model_config_hostile.rs"]
mod config_hostile;
#[path = "model_fixtures.rs"]
pub mod fixtures;
#[path = "model_golden.rs"]
mod golden;
#[path = "model_hostile.rs"]
mod hostile;
#[path = "model_laws.rs"]
mod laws;
#[path = "model_peft.rs"]
mod peft;
#[path = "model_quantised.rs"]
mod quantised;
#[path = "model_sentences.rs"]
mod sentences;
#[path = "model_training.rs"]
mod training;
