"""What runners do when something goes wrong: DVC, Snakemake and pipe on the same two stages, each as its manual says.

    python3 scripts/compare/correctness.py --pipe target/release/pipe --peers VENV/bin > docs/correctness.md

VENV has `pip install dvc==3.67.1 snakemake==9.27.1`. Standard library only. Every cell is what was seen in this run; a cell is
good when the right thing happened without the user doing more than running again.
"""

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SLOW_SECONDS = 1
AT_ONCE = 16
TRAIN, TEST = "the rows to train on\n", "the rows to test on\n"


def expected(greeting="hello", train=TRAIN, test=TEST):
    return f"{train}{test}{greeting}\n"


class Runner:
    """A project in a folder of its own."""

    def __init__(self, options):
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name.lower()}-"))
        self.environment = {"PATH": f"{options.peers}:/usr/bin:/bin", "HOME": str(self.folder), "GREETING": "hello", "LANG": "C.UTF-8"}
        self.pipe = Path(options.pipe).resolve()
        (self.folder / "data").mkdir()
        self.write("data/train.txt", TRAIN)
        self.write("data/test.txt", TEST)
        # What was there before the first run is older than its results.
        time.sleep(0.05)
        self.set_up()

    def write(self, path, text):
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def call(self, *command, **environment):
        return subprocess.run(
            command, cwd=self.folder, env={**self.environment, **environment}, capture_output=True, text=True, timeout=120
        )

    def start(self, *command):
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def result(self):
        place = self.folder / self.final
        return place.read_text() if place.exists() else None

    def run(self, **environment):
        return self.call(*self.run_command, **environment)


class Dvc(Runner):
    name = "DVC"
    final = "final.txt"
    run_command = ("dvc", "repro")
    dry_command = ("dvc", "repro", "--dry")

    def set_up(self):
        for command in (("git", "init", "-q"), ("dvc", "init", "-q"), ("dvc", "config", "core.analytics", "false")):
            assert self.call(*command).returncode == 0, command
        self.write(
            "dvc.yaml",
            f"""stages:
  prepare:
    cmd: (cat data/train.txt data/test.txt; echo $GREETING) > prepared.txt
    deps: [data/train.txt, data/test.txt]
    outs: [prepared.txt]
  final:
    cmd: head -c 5 prepared.txt > final.txt; sleep {SLOW_SECONDS}; cat prepared.txt > final.txt
    deps: [prepared.txt]
    outs: [final.txt]
""",
        )

    def flip_stored(self):
        """A byte of the stored final result, which is then to be restored."""
        blobs = [path for path in (self.folder / ".dvc/cache/files").rglob("*") if path.is_file() and path.read_text() == expected()]
        for blob in blobs:
            flip(blob)
        for path in ("final.txt", "prepared.txt"):
            (self.folder / path).unlink()
        return len(blobs)


class Snakemake(Runner):
    name = "Snakemake"
    final = "final.txt"
    run_command = ("snakemake", "--cores", "2", "--quiet")
    dry_command = ("snakemake", "--cores", "2", "--dry-run")

    def set_up(self):
        self.write(
            "Snakefile",
            f"""envvars: "GREETING"
rule final:
    input: "prepared.txt"
    output: "final.txt"
    shell: "head -c 5 {{input}} > {{output}}; sleep {SLOW_SECONDS}; cat {{input}} > {{output}}"
rule prepare:
    input: "data/train.txt", "data/test.txt"
    output: "prepared.txt"
    shell: "(cat {{input}}; echo $GREETING) > {{output}}"
""",
        )

    def flip_stored(self):
        """It stores results in the working tree only: a byte of the first stage's, and the second's is gone."""
        flip(self.folder / "prepared.txt")
        (self.folder / "final.txt").unlink()
        return 1


class Pipe(Runner):
    name = "pipe"
    final = "outputs/final.txt"

    @property
    def run_command(self):
        return (str(self.pipe), "run", "pipelines/table.yaml")

    @property
    def dry_command(self):
        return (str(self.pipe), "run", "--dry-run", "pipelines/table.yaml")

    def set_up(self):
        self.write(
            "pipelines/table.yaml",
            f"""version: 1
name: table
inputs: {{ train: data/train.txt, test: data/test.txt }}
stages:
  prepare:
    run: [sh, -c, '(cat "$1" "$2"; echo $GREETING) > prepared', sh, "{{in.train}}", "{{in.test}}"]
    in: {{ train: train, test: test }}
    out: {{ prepared: file }}
    env: [GREETING]
    tools: [cat]
  final:
    run: [sh, -c, 'head -c 5 "$1" > final; sleep {SLOW_SECONDS}; cat "$1" > final', sh, "{{in.prepared}}"]
    in: {{ prepared: prepare.prepared }}
    out: {{ final: file }}
    tools: [cat, head, sleep]
exports: {{ outputs/final.txt: final.final }}
""",
        )

    def flip_stored(self):
        blobs = [path for path in (self.folder / "cache/blobs").rglob("*") if path.is_file() and path.read_text() == expected()]
        for blob in blobs:
            flip(blob)
        (self.folder / self.final).unlink()
        return len(blobs)


def flip(path):
    """Flips one bit, as a disk does: mode bits and times stay."""
    mode, times = path.stat().st_mode, path.stat()
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    path.chmod(mode)


def environment_change(runner):
    """A variable that the first stage reads, and declares where the runner lets it, changes between two runs."""
    runner.run()
    runner.run(GREETING="goodbye")
    right = runner.result() == expected("goodbye")
    return right, "the stage ran again" if right else "nothing ran: the result has the old value"


def swap(runner):
    """Two inputs swap names with `mv`, which keeps their times."""
    runner.run()
    data = runner.folder / "data"
    for old, new in (("train.txt", "x"), ("test.txt", "train.txt"), ("x", "test.txt")):
        os.rename(data / old, data / new)
    runner.run()
    right = runner.result() == expected(train=TEST, test=TRAIN)
    return right, "ran again" if right else "nothing ran: the result is that of the other order"


def bit_flip(runner):
    """A bit of a stored result flips; the working copy is gone, and the runner is run again."""
    runner.run()
    assert runner.flip_stored() > 0
    done = runner.run()
    right = runner.result() == expected()
    if right:
        return True, "found, and made again"
    return False, f"damaged result, exit code {done.returncode}" if runner.result() else f"no result, exit code {done.returncode}"


def kill(runner):
    """`kill -9` of the runner alone while the second stage has half of its output; then it is run again."""
    process = runner.start(*runner.run_command)
    wait_for_half(runner)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.2)
    orphans = sleeping_below(runner.folder)
    torn = runner.result() is not None
    done = runner.run()
    right = runner.result() == expected() and done.returncode == 0
    facts = [f"{orphans} orphan" if orphans else "no orphan", "half a result in the working tree" if torn else "no half result"]
    if right:
        facts.append("running again is enough")
    else:
        line = (done.stderr.strip() or done.stdout.strip()).splitlines() or [""]
        facts.append(f"running again ends with {done.returncode}: {line[0][:80]}")
    return right and not orphans and not torn, ", ".join(facts)


def wait_for_half(runner):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if sleeping_below(runner.folder):
            return
        time.sleep(0.02)
    raise TimeoutError(f"{runner.name} never came to its second stage")


def sleeping_below(folder):
    """How many `sleep` processes work in a folder of the project."""
    found = 0
    for process in Path("/proc").iterdir():
        try:
            if (process / "comm").read_text() == "sleep\n" and Path(os.readlink(process / "cwd")).is_relative_to(folder):
                found += 1
        except (OSError, ValueError):
            pass
    return found


def at_once(runner):
    """Sixteen runs start at the same moment in one working tree."""
    processes = [runner.start(*runner.run_command) for _ in range(AT_ONCE)]
    failed = sum(process.wait() != 0 for process in processes)
    right = failed == 0 and runner.result() == expected()
    return right, f"{failed} of {AT_ONCE} failed" if failed else "all succeeded, the result is right"


def dry_run(runner):
    """An input changed; does a script see from the exit code of the dry run that something would run?"""
    runner.run()
    before = runner.call(*runner.dry_command).returncode
    runner.write("data/train.txt", "other rows\n")
    after = runner.call(*runner.dry_command).returncode
    return before == 0 and after != 0, f"exit code {before} when up to date, {after} when stale"


ROWS = [
    ("an environment variable changes", environment_change),
    ("train and test swap names", swap),
    ("a stored byte rots", bit_flip),
    ("`kill -9` in a stage", kill),
    ("16 runs at once", at_once),
    ("dry run on a stale pipeline", dry_run),
]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--pipe", required=True, help="the program")
    arguments.add_argument("--peers", required=True, help="the folder with dvc and snakemake")
    options = arguments.parse_args()
    kinds = [Dvc, Snakemake, Pipe]
    version = lambda program: subprocess.run([f"{options.peers}/{program}", "--version"], capture_output=True, text=True).stdout.strip()
    print("# When something goes wrong\n")
    print("Written by `scripts/compare/correctness.py`; each cell is what was seen, ✓ when it is what a user needs.\n")
    print(f"DVC {version('dvc')}, Snakemake {version('snakemake')}, {platform.system()} {platform.release()}, {os.cpu_count()} cores.\n")
    print("| | " + " | ".join(kind.name for kind in kinds) + " |")
    print("|---|" + "---|" * len(kinds))
    failed = False
    for title, row in ROWS:
        cells = []
        for kind in kinds:
            runner = kind(options)
            right, seen = row(runner)
            failed |= kind is Pipe and not right
            cells.append(f"{'✓' if right else '✗'} {seen}")
            shutil.rmtree(runner.folder, ignore_errors=True)
        print(f"| {title} | " + " | ".join(cells) + " |", flush=True)
    print("\nHow each is done:\n")
    for title, row in ROWS:
        print(f"- **{title}**: {row.__doc__.strip()}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
