"""An adapter whose modules have ranks and scales of their own: `tests/golden/lora/tiny_patterns/`.

    pip install torch==2.15.0 transformers==5.23.0 peft==0.21.0
    python scripts/reference/peft_patterns.py tests/golden/lora

Writes the folder as PEFT saves it, with random B so that every module counts, and the logits of row 0 as PEFT computes them.
"""

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

golden = Path(sys.argv[1])
out = golden / "tiny_patterns"
torch.manual_seed(23)
base = AutoModelForCausalLM.from_pretrained(golden / "tiny_base", dtype=torch.float32)
config = LoraConfig(
    r=4,
    lora_alpha=6,
    use_rslora=True,
    target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    # A suffix, a longer suffix, a whole name pinned to the beginning, escaped dots, and a dot that stands for any character.
    rank_pattern={"v_proj": 3, "layers.1.mlp.down_proj": 6, "^model.layers.0.self_attn.q_proj": 2, r"mlp\.gate_proj": 5},
    alpha_pattern={r"^model\.layers\.1\.self_attn\.o_proj": 20, "self_attn.k_proj": 1.5, "layers.0.mlp.up_proj": 9, "proj": 100},
    task_type="CAUSAL_LM",
)
model = get_peft_model(base, config).eval()
with torch.no_grad():
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.normal_(0, 0.1)
scales = {module.scaling["default"] for module in model.modules() if isinstance(module, LoraLayer)}
assert len(scales) >= 6, scales
model.save_pretrained(out)
(out / "README.md").unlink(missing_ok=True)
saved = json.loads((out / "adapter_config.json").read_text())
saved["base_model_name_or_path"] = None
(out / "adapter_config.json").write_text(json.dumps(saved, indent=2, sort_keys=True))
ids = torch.tensor([json.loads((golden / "tiny_rows.json").read_text())[0]["input_ids"]])
with torch.no_grad():
    with model.disable_adapter():
        bare = model(ids).logits[0]
    logits = model(ids).logits[0]
print("scales", sorted(scales), "moves logits by", (logits - bare).abs().max().item())
save_file({"logits": logits.contiguous()}, out / "expected.safetensors")
