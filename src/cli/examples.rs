//! The examples below `--help`, one text a verb: what to type, and what it is good for.

/// Of `pipe`, with the exit codes.
pub const PIPE: &str = "\
Examples:
  pipe run pipelines/quickstart.yaml              run what changed, then say the verdict
  pipe run pipelines/quickstart.yaml -p epochs=3  the same with another value of a param
  pipe plan pipelines/quickstart.yaml             what would run, and why
  pipe why pipelines/quickstart.yaml train        why this stage would run
  pipe check --frozen pipelines/*.yaml            in CI: is what is committed what was run?
  pipe reproduce 5fe0ab91                         do an experiment again and compare every byte

Exit codes:
  0 ok   1 a stage failed   2 usage or manifest error   3 gate failed   4 gate inconclusive
  5 store corrupt   6 diverged   7 lock or plan out of date   130 interrupted";

/// Of `pipe run`.
pub const RUN: &str = "\
Examples:
  pipe run pipelines/quickstart.yaml                     what changed
  pipe run pipelines/quickstart.yaml eval                `eval` and what it needs
  pipe run pipelines/quickstart.yaml --downstream train  `train`, all that reads from it, and what these need
  pipe run pipelines/quickstart.yaml --only train        `train` alone: what it reads has to be stored
  pipe run pipelines/quickstart.yaml --from train        everything, but nothing before `train` may run
  pipe run pipelines/quickstart.yaml --force train       `train` even if it is stored
  pipe run pipelines/quickstart.yaml eval --force        the targets, here `eval`, even if they are stored
  pipe run pipelines/quickstart.yaml --dry-run           what would run: exit code 7 when anything would";

/// Of `pipe why`.
pub const WHY: &str = "\
Examples:
  pipe why pipelines/quickstart.yaml eval               down to what changed in the first place, with file and line
  pipe why pipelines/quickstart.yaml eval -p epochs=3   the same for another value of a param
  pipe why pipelines/quickstart.yaml train --hit        which run made the stored result, when, and what that took";

/// Of `pipe diff`.
pub const DIFF: &str = "\
Examples:
  pipe runs                       lists the experiments
  pipe diff 5fe0ab91 80c6c65f     what differs, the first on the left
  pipe diff 5fe0 80c6 | grep metric
  pipe diff --json 5fe0 80c6      one document, for programs";

/// Of `pipe logs`.
pub const LOGS: &str = "\
Examples:
  pipe logs                            the latest run
  pipe logs 20261123-101530 train      what one stage of a run told
  pipe logs --json 5fe0ab91            the events as they were written, one a line";

/// Of `pipe baseline set`.
pub const BASELINE: &str = "\
Examples:
  pipe baseline set 5fe0ab91 in-production
then, in a manifest:
  inputs: { before: experiment:in-production#eval.report }
  stages:
    gate: { in: { reports: eval.report, baseline: before }, with: { rules: [{ metric: exact, max_drop: 0.02 }] } }
The name is looked up when the manifest is planned; the bytes that it stands for are in the key and in the lock.";

/// Of `pipe gate verify`.
pub const GATE: &str = "\
Examples:
  pipe gate verify pipelines/quickstart.yaml
  pipe gate verify 5fe0ab91
  pipe gate verify in-production      a baseline";

/// Of `pipe completions`.
pub const COMPLETION: &str = "\
Examples:
  bash   echo 'source <(pipe completions bash)' >> ~/.bashrc
  zsh    echo 'source <(pipe completions zsh)' >> ~/.zshrc
  fish   pipe completions fish > ~/.config/fish/completions/pipe.fish";

/// Of `pipe man`.
pub const MAN: &str = "\
Examples:
  pipe man | man -l -
  pipe man cache gc | man -l -
  pipe man --folder ~/.local/share/man/man1";
