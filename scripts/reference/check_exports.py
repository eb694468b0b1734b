"""Loads what `pipe` wrote with transformers and PEFT: a merged folder, and the adapter it was merged from.

    pip install torch==2.15.0 transformers==5.23.0 peft==0.21.0 gguf==0.19.0
    python scripts/reference/check_exports.py BASE.gguf MERGED_FOLDER ADAPTER_FOLDER

Fails on missing or unexpected weights, and unless adapter on base and merged model give the same logits within 1e-4. Both are
computed in f64, so that the difference is that of the weights and not of the order of sums.
"""

import json
import sys
from pathlib import Path

import torch
from peft import PeftConfig, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

gguf, merged_folder, adapter_folder = map(Path, sys.argv[1:4])
merged, info = AutoModelForCausalLM.from_pretrained(merged_folder, dtype=torch.float32, output_loading_info=True)
assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
tokenizer = AutoTokenizer.from_pretrained(merged_folder)
print("merged folder: no missing, unexpected or misshapen weights;", json.dumps(tokenizer("x = 2024").input_ids))

base = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
adapted = get_peft_model(base, PeftConfig.from_pretrained(adapter_folder))
loaded = set_peft_model_state_dict(adapted, load_file(adapter_folder / "adapter_model.safetensors"))
missing = [name for name in loaded.missing_keys if "lora" in name]
assert not missing and not loaded.unexpected_keys, (missing, loaded.unexpected_keys)
print("adapter: no missing and no unexpected keys")

chat = [{"role": "user", "content": "Is 74% attendance enough if the minimum is 75%?"}]
ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True).input_ids
with torch.no_grad():
    merged, adapted = merged.double().eval(), adapted.double().eval()
    apart = (merged(ids).logits - adapted(ids).logits).abs().max().item()
    print("ids", ids[0].tolist())
    print("last logits", merged(ids).logits[0, -1, :5].tolist())
    print("greedy", merged.generate(ids, do_sample=False, max_new_tokens=16, eos_token_id=2, pad_token_id=2)[0, ids.shape[1] :].tolist())
print(f"logits of adapter on base and of the merged model: {apart:.2e} apart")
assert apart < 1e-4
