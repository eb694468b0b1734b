"""`adapter_config.json` as many versions of PEFT write it: `tests/golden/lora/peft_configs.json`.

    for v in 0.6.2 0.7.1 …; do pip download --no-deps -d wheels peft==$v; done
    python scripts/reference/peft_configs.py wheels tests/golden/lora/peft_configs.json

Takes the fields and defaults of `LoraConfig` out of the source in each wheel, since most of these versions don't run with today's
torch. What `save_pretrained` does to them is done here too: sets become lists, and `runtime_config` is left out.
"""

import ast
import json
import sys
import zipfile
from pathlib import Path

FACTORIES = {"dict": {}}


def default(node):
    """The default of a dataclass field, or None where it has none that is plain data."""
    if node is None:
        return None
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "field":
        for keyword in node.keywords:
            if keyword.arg == "default":
                return ast.literal_eval(keyword.value)
            if keyword.arg == "default_factory":
                return FACTORIES.get(getattr(keyword.value, "id", ""))
        return None
    return ast.literal_eval(node)


def fields(source, names):
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name in names:
            for line in node.body:
                if isinstance(line, ast.AnnAssign):
                    found[line.target.id] = default(line.value)
    return found


versions = {}
for wheel in sorted(Path(sys.argv[1]).glob("peft-*.whl"), key=lambda path: [int(part) for part in path.name.split("-")[1].split(".")]):
    version = wheel.name.split("-")[1]
    with zipfile.ZipFile(wheel) as archive:
        config = fields(archive.read("peft/config.py").decode(), ["PeftConfigMixin", "PeftConfig"])
        config |= fields(archive.read("peft/tuners/lora/config.py").decode(), ["LoraConfig"])
    config.pop("runtime_config", None)
    config |= {"peft_type": "LORA", "task_type": "CAUSAL_LM", "inference_mode": True, "target_modules": ["q_proj", "v_proj"], "r": 8, "lora_alpha": 16}
    if "peft_version" in config:
        config["peft_version"] = version
    versions[version] = dict(sorted(config.items()))
Path(sys.argv[2]).write_text(json.dumps(versions, indent=1) + "\n")
print({version: len(config) for version, config in versions.items()})
