"""Reference numbers for GGUF: `tests/golden/gguf/`.

blocks.json    random blocks of every type that is read, and what the `gguf` package makes of them
llama.gguf     the tiny llama of the golden files as llama.cpp's converter writes it, each matrix in another type
llama/         the model folder that transformers would have for it: the same numbers, de-quantised to f32

    pip install gguf==0.19.0 numpy==2.4.6 safetensors==0.8.0
    python scripts/reference/gguf_blocks.py tests/golden
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as T, GGUFWriter, quants
from safetensors.numpy import load_file, save_file

golden = Path(sys.argv[1])
out = golden / "gguf"
out.mkdir(exist_ok=True)
random = np.random.default_rng(17)

# Blocks: random bytes, but scales that are ordinary half-precision numbers.
SCALES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}
BYTES = {T.Q4_0: 18, T.Q4_1: 20, T.Q5_0: 22, T.Q5_1: 24, T.Q8_0: 34, T.Q4_K: 144, T.Q5_K: 176, T.Q6_K: 210}
blocks = {}
for kind, places in SCALES.items():
    data = random.integers(0, 256, (3, BYTES[kind]), dtype=np.uint8)
    for row in data:
        for place in places:
            row[place : place + 2] = np.frombuffer(np.float16(random.normal() * 0.01).tobytes(), np.uint8)
    numbers = quants.dequantize(data, kind).astype("<f4")
    blocks[kind.name] = {"stored": data.tobytes().hex(), "numbers": numbers.tobytes().hex()}
# Numbers and what they are rounded to.
plain = (random.normal(size=(4, 64)) * 0.05).astype("<f4")
plain[1, :32] = 0
plain[2, 5] = 3.0
blocks["quantised"] = {"numbers": plain.tobytes().hex(), "Q8_0": quants.quantize(plain, T.Q8_0).tobytes().hex()}
(out / "blocks.json").write_text(json.dumps(blocks, indent=1) + "\n")

# A whole file.
config = json.loads((golden / "model/llama/config.json").read_text())
weights = load_file(golden / "model/llama/model.safetensors")
heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]


def permute(matrix, heads):
    """`LlamaModel.permute` of llama.cpp's convert_hf_to_gguf.py."""
    return matrix.reshape(heads, 2, matrix.shape[0] // heads // 2, *matrix.shape[1:]).swapaxes(1, 2).reshape(matrix.shape)


def unpermute(matrix, heads):
    return matrix.reshape(heads, matrix.shape[0] // heads // 2, 2, *matrix.shape[1:]).swapaxes(1, 2).reshape(matrix.shape)


NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
KINDS = [T.Q8_0, T.Q4_0, T.Q5_1, T.F16, T.BF16, T.Q4_1, T.Q5_0, T.F32]

writer = GGUFWriter(out / "llama.gguf", "llama")
writer.add_name("tiny")
writer.add_block_count(config["num_hidden_layers"])
writer.add_context_length(config["max_position_embeddings"])
writer.add_embedding_length(config["hidden_size"])
writer.add_feed_forward_length(config["intermediate_size"])
writer.add_head_count(heads)
writer.add_head_count_kv(kv_heads)
writer.add_key_length(config["head_dim"])
writer.add_value_length(config["head_dim"])
writer.add_rope_dimension_count(config["head_dim"])
rope = config.get("rope_parameters") or {}
writer.add_rope_freq_base(rope.get("rope_theta", config.get("rope_theta", 10000.0)))
writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
writer.add_vocab_size(config["vocab_size"])
writer.add_bos_token_id(config["bos_token_id"])
writer.add_eos_token_id(config["eos_token_id"])
dequantised = {}
for index, (name, numbers) in enumerate(sorted(weights.items())):
    module, part = name.rsplit(".", 1)
    layer = module.split(".")[2] if module.startswith("model.layers.") else None
    short = ".".join(module.split(".")[3:]) if layer else module
    new = (f"blk.{layer}." if layer else "") + f"{NAMES[short]}.{part}"
    turned = {"self_attn.q_proj": heads, "self_attn.k_proj": kv_heads}.get(short)
    numbers = numbers.astype(np.float32)
    stored = permute(numbers, turned) if turned else numbers
    kind = KINDS[index % len(KINDS)] if numbers.ndim == 2 and numbers.shape[1] % 32 == 0 else T.F32
    data = quants.quantize(stored, kind)
    writer.add_tensor(new, data, raw_dtype=kind)
    plain = quants.dequantize(data, kind).astype("<f4").reshape(stored.shape)
    plain = unpermute(plain, turned) if turned else plain
    dequantised[name] = np.ascontiguousarray(plain)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
(out / "llama").mkdir(exist_ok=True)
save_file(dequantised, out / "llama/model.safetensors", {"format": "pt"})
shutil.copy(golden / "model/llama/config.json", out / "llama/config.json")
