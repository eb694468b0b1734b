"""A small random BERT as sentence-transformers has it: `tests/golden/encoder/`.

The folder of an encoder, and `expected.safetensors` with rows of ids and their embeddings: the mean over the tokens of the
last hidden state, scaled to length one.

    pip install -r scripts/reference/requirements.txt
    python scripts/reference/tiny_bert.py tests/golden/encoder
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

out = Path(sys.argv[1])
torch.manual_seed(17)
config = BertConfig(
    vocab_size=120, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=56,
    max_position_embeddings=40, type_vocab_size=2, layer_norm_eps=1e-12,
)
model = BertModel(config).eval()
with torch.no_grad():
    for name, weight in model.named_parameters():
        # Larger than they are drawn, so that attention and the gates of GELU do something.
        weight += torch.randn_like(weight) * (0.3 if "LayerNorm" not in name else 0.1)
model.save_pretrained(out)
(out / "modules.json").write_text(json.dumps([
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
], indent=1) + "\n")
(out / "1_Pooling").mkdir(exist_ok=True)
pooling = {"word_embedding_dimension": 24, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
(out / "1_Pooling/config.json").write_text(json.dumps(pooling, indent=1) + "\n")
(out / "sentence_bert_config.json").write_text('{"max_seq_length": 32, "do_lower_case": false}\n')
expected = {}
for row, length in enumerate([1, 2, 9, 17, 32]):
    ids = torch.randint(0, 120, (1, length))
    with torch.no_grad():
        hidden = model(ids).last_hidden_state[0]
    expected[f"ids{row}"] = ids[0]
    expected[f"embedding{row}"] = torch.nn.functional.normalize(hidden.mean(0), dim=0)
save_file(expected, out / "expected.safetensors")
