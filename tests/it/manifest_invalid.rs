//! Each manifest in `fixtures/manifests/invalid` has one mistake (a few have several); what is said about it is a
//! snapshot.

use std::fs;
use std::path::{Path, PathBuf};

use crate::manifest_kinds::{plan_in, project, rendered};
use pipe::manifest::Override;

pub fn fixtures(folder: &str) -> Vec<(String, PathBuf)> {
    let folder = Path::new(file!()).parent().expect("a folder").join("../fixtures/manifests").join(folder);
    let mut found: Vec<(String, PathBuf)> = fs::read_dir(&folder)
        .expect("fixtures")
        .map(|entry| entry.expect("entry").path())
        .map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), path))
        .collect();
    found.sort();
    found
}

fn check(name: &str, text: &[u8], overrides: &[Override]) -> Vec<pipe::diagnostic::Diagnostic> {
    let project = project();
    let diagnostics = plan_in(project.path(), name, text, overrides).err().unwrap_or_default();
    assert!(!diagnostics.is_empty(), "{name} is planned without complaint");
    let snapshot = name.trim_end_matches(".yaml").to_owned();
    insta::with_settings!({
        snapshot_path => "../fixtures/manifests/snapshots",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, { insta::assert_snapshot!(snapshot, rendered(&diagnostics)) });
    diagnostics
}

#[test]
fn every_invalid_manifest_is_diagnosed_as_its_snapshot_says() {
    let found = fixtures("invalid");
    assert!(found.len() >= 40, "{} fixtures", found.len());
    let mut miscounted = Vec::new();
    for (name, path) in found {
        let several = name.contains("several");
        let diagnostics = check(&name, &fs::read(path).expect("fixture"), &[]);
        if (diagnostics.len() > 1) != several {
            miscounted.push(name.clone());
        }
        for diagnostic in &diagnostics {
            assert!(diagnostic.source.is_some() && !diagnostic.labels.is_empty(), "{name} says where");
        }
    }
    assert!(miscounted.is_empty(), "one mistake a file, one diagnostic a mistake: {miscounted:?}");
}

const TWO_PARAMS: &str = "\
version: 1
name: overridden
params: { lr: 2.0e-4, epochs: 3 }
inputs: { base: models/base, raw: data/raw.jsonl }
stages:
  clean: { in: { sources: raw } }
  render-prompts: { in: { records: clean.records, model: base }, with: { max_seq_len: 512 } }
  train:
    in: { model: base, prompts: render-prompts.prompts }
    with: { learning_rate: \"${params.lr}\", num_train_epochs: \"${params.epochs}\" }
";

#[test]
fn overrides_that_do_not_fit_are_diagnosed_on_the_command_line() {
    let overrides = ["lrr=1", "epochs=1.5", "lr=[1", "epochs=many"].map(|text| text.parse().expect("name=value"));
    let diagnostics = check("override-several.yaml", TWO_PARAMS.as_bytes(), &overrides);
    assert_eq!(diagnostics.len(), 4);
}

#[test]
fn an_override_out_of_range_is_shown_where_it_is_used() {
    let overrides = ["epochs=-1".parse().expect("name=value")];
    check("override-out-of-range.yaml", TWO_PARAMS.as_bytes(), &overrides);
}
