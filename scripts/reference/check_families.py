"""Exports tiny models of every family with `pipe` and loads them with llama.cpp: merged model, and adapter on the base.

    pip install torch==2.15.0 transformers==5.23.0 peft==0.21.0 tokenizers==0.23.3 llama-cpp-python==0.3.36
    python scripts/reference/check_families.py target/release/pipe tests/golden/model [WORK_FOLDER]

For each golden model: a tokenizer of 300 tokens beside it, an adapter of random numbers with ranks and scales of its own, and a
`merge` with `formats: [hf, gguf]`. Fails unless the last logits of llama.cpp are within 0.02 of transformers', both for the merged
file and for the base's file with the adapter's beside it; they differ by the half precision of the files and of llama.cpp's cache. The base's
file is also merged again and loaded by transformers.
On a CPU with AMX build llama-cpp-python with CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON".
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from llama_cpp import Llama
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM

pipe, golden = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
work = Path(sys.argv[3] if len(sys.argv) > 3 else tempfile.mkdtemp()).resolve()
FAMILIES = ["llama", "llama_linear_rope", "llama_tied_bias", "llama3_rope", "qwen2", "qwen3", "gemma3"]
IDS = [(7 + 37 * at) % 290 + 5 for at in range(60)]
MANIFEST = """version: 1
name: families
inputs: {{ base: {base}, adapter: {adapter} }}
stages:
  merge: {{ in: {{ model: base, adapter: adapter }}, with: {{ formats: [hf, gguf] }} }}
exports:
  {out}/merged: {{ from: merge.model }}
  {out}/gguf: {{ from: merge.gguf }}
  {out}/lora: {{ from: merge.gguf_adapter }}
"""


def tokenizer(folder):
    """Single bytes and as many merges of two as make 300."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("a", letter) for letter in "bcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"][: 300 - len(alphabet) - 3]
    words = ["<pad>", "<s>", "</s>", *alphabet, *("".join(pair) for pair in merges)]
    made = Tokenizer(models.BPE({word: id for id, word in enumerate(words)}, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(words[:3])
    assert made.get_vocab_size() == 300, made.get_vocab_size()
    made.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def adapter(base, folder):
    torch.manual_seed(5)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM", rank_pattern={"k_proj": 2}, alpha_pattern={"up_proj": 3})
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, 0, 0.05)
    model.save_pretrained(folder)


def expected(model):
    with torch.no_grad():
        return model.eval()(torch.tensor([IDS])).logits[0, -1].numpy()


def found(path, lora=None):
    llama = Llama(model_path=str(path), lora_path=lora and str(lora), n_ctx=128, verbose=False, logits_all=True)
    llama.eval(IDS)
    return np.array(llama.scores[len(IDS) - 1])


def run(folder, base, lora, out):
    (folder / "pipelines").mkdir(exist_ok=True)
    manifest = folder / "pipelines" / f"{out}.yaml"
    manifest.write_text(MANIFEST.format(base=base.relative_to(folder), adapter=lora.name, out=out))
    subprocess.run([pipe, "run", manifest.relative_to(folder)], cwd=folder, check=True, capture_output=True)
    return folder / out


failed = False
for family in FAMILIES:
    folder = work / family
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(golden / family, folder / "base")
    (folder / "base/expected.safetensors").unlink()
    tokenizer(folder / "base")
    adapter(folder / "base", folder / "lora")
    # The base as a file is a merge with an adapter that adds nothing.
    shutil.copytree(folder / "lora", folder / "nothing")
    config = json.loads((folder / "nothing/adapter_config.json").read_text()) | {"lora_alpha": 0, "alpha_pattern": {}}
    (folder / "nothing/adapter_config.json").write_text(json.dumps(config))
    merged = run(folder, folder / "base", folder / "lora", "adapted")
    plain = run(folder, folder / "base", folder / "nothing", "plain")
    # Back again: the file of the base is read by `pipe`, merged, and loaded by transformers.
    back = run(folder, plain / "gguf/model.gguf", folder / "lora", "back") / "merged"
    base = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
    bare = expected(base)
    target = expected(PeftModel.from_pretrained(base, folder / "lora"))
    apart = {
        "base": np.abs(found(plain / "gguf/model.gguf") - bare).max(),
        "merged": np.abs(found(merged / "gguf/model.gguf") - target).max(),
        "base with adapter": np.abs(found(plain / "gguf/model.gguf", merged / "lora/adapter.gguf") - target).max(),
        "base with an adapter of scale 0": np.abs(found(plain / "gguf/model.gguf", plain / "lora/adapter.gguf") - bare).max(),
        "merged into the file of the base": np.abs(expected(AutoModelForCausalLM.from_pretrained(back, dtype=torch.float32)) - target).max(),
    }
    worst = max(apart.values())
    failed |= not worst < 0.02
    print(f"{family}: adapter moves the logits by {np.abs(target - bare).max():.3f};", {name: f"{value:.1e}" for name, value in apart.items()})
assert not failed
