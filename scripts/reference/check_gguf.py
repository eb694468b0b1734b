"""Loads GGUF files that `pipe` wrote with llama.cpp and compares tokens and greedy answers with transformers on the merged folder.

    pip install torch==2.15.0 transformers==5.23.0 llama-cpp-python==0.3.36
    python scripts/reference/check_gguf.py MERGED_FOLDER MODEL.gguf …

On a CPU with AMX build llama-cpp-python with CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON".
"""

import sys

import torch
from llama_cpp import Llama
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, files = sys.argv[1], sys.argv[2:]
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
QUESTIONS = [
    "Is 74% attendance enough if the minimum is 75%?",
    "Solve for x: 3x + 5 = 20",
    "What is the capital of France?",
    "Find the parking permit for Thornton High.",
]
texts = [
    tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False) for text in QUESTIONS
]
for file in files:
    llama = Llama(model_path=file, n_ctx=512, verbose=False, logits_all=False)
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        theirs = llama.tokenize(text.encode(), add_bos=False, special=True)
        assert theirs == ids, (text, theirs, ids)
        with torch.no_grad():
            expected = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=24, eos_token_id=2, pad_token_id=2)[0, len(ids) :].tolist()
        llama.reset()
        found = []
        for token in llama.generate(ids, top_k=1, temp=0.0, repeat_penalty=1.0):
            found.append(token)
            if token == 2 or len(found) == 24:
                break
        same = next((at for at, (a, b) in enumerate(zip(found, expected)) if a != b), min(len(found), len(expected)))
        print(f"{file.rsplit('/', 1)[-1]}: {same} of {len(expected)} tokens as transformers' f32: {tokenizer.decode(found)!r}")
    message = llama.create_chat_completion([{"role": "user", "content": QUESTIONS[2]}], max_tokens=16, temperature=0)
    print("  through the chat template in the file:", repr(message["choices"][0]["message"]["content"]))
