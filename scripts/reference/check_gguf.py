"""Loads GGUF files that `pipe` wrote with llama.cpp and compares tokens and greedy answers with transformers on the merged folder.

    pip install torch==2.15.0 transformers==5.23.0 llama-cpp-python==0.3.36
    python scripts/reference/check_gguf.py MERGED_FOLDER MODEL.gguf … [--equal] [--lora ADAPTER.gguf BASE.gguf …]

With `--equal` it fails unless all greedy tokens are those of transformers, as they are where the folder is in half precision too.

With `--lora` each base is loaded with the adapter's file on it, and its greedy answers are compared with those of the first
MODEL.gguf, which was merged from the same adapter. A base of plain numbers has to give the same tokens; one whose matrices are in
blocks is only reported, since llama.cpp rounds activations too where it multiplies blocks.

On a CPU with AMX build llama-cpp-python with CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON".
"""

import sys

import torch
from gguf import GGMLQuantizationType, GGUFReader
from llama_cpp import Llama
from transformers import AutoModelForCausalLM, AutoTokenizer

arguments = [argument for argument in sys.argv[1:] if argument != "--equal"]
equal = "--equal" in sys.argv
split = arguments.index("--lora") if "--lora" in arguments else len(arguments)
(folder, *files), (adapter, *bases) = arguments[:split], arguments[split + 1 :] or [None]
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
end = tokenizer.eos_token_id
QUESTIONS = [
    "Is 74% attendance enough if the minimum is 75%?",
    "Solve for x: 3x + 5 = 20",
    "What is the capital of France?",
    "Find the parking permit for Thornton High.",
]
texts = [
    tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False) for text in QUESTIONS
]
prompts = [tokenizer(text, add_special_tokens=False).input_ids for text in texts]


def greedy(llama, ids):
    llama.reset()
    found = []
    for token in llama.generate(ids, top_k=1, temp=0.0, repeat_penalty=1.0):
        found.append(token)
        if token == end or len(found) == 24:
            return found


def agreeing(found, expected):
    return next((at for at, (a, b) in enumerate(zip(found, expected)) if a != b), min(len(found), len(expected)))


merged = []
for file in files:
    llama = Llama(model_path=file, n_ctx=512, verbose=False, logits_all=False)
    for text, ids in zip(texts, prompts):
        theirs = llama.tokenize(text.encode(), add_bos=False, special=True)
        assert theirs == ids, (text, theirs, ids)
        with torch.no_grad():
            expected = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=24, eos_token_id=end, pad_token_id=end)[0, len(ids) :].tolist()
        found = greedy(llama, ids)
        if file == files[0]:
            merged.append(found)
        same = agreeing(found, expected)
        print(f"{file.rsplit('/', 1)[-1]}: {same} of {len(expected)} tokens as transformers' f32: {tokenizer.decode(found)!r}")
        assert not equal or found == expected, (found, expected)
    message = llama.create_chat_completion([{"role": "user", "content": QUESTIONS[2]}], max_tokens=16, temperature=0)
    print("  through the chat template in the file:", repr(message["choices"][0]["message"]["content"]))

PLAIN = {GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16}
for base in bases:
    plain = all(tensor.tensor_type in PLAIN for tensor in GGUFReader(base).tensors)
    bare = Llama(model_path=base, n_ctx=512, verbose=False, logits_all=False)
    adapted = Llama(model_path=base, lora_path=adapter, n_ctx=512, verbose=False, logits_all=False)
    for ids, expected in zip(prompts, merged):
        found, without = greedy(adapted, ids), greedy(bare, ids)
        same = agreeing(found, expected)
        print(
            f"{base.rsplit('/', 1)[-1]} with {adapter.rsplit('/', 1)[-1]}: {same} of {len(expected)} tokens as the merged file,"
            f" {agreeing(without, expected)} without the adapter: {tokenizer.decode(found)!r}"
        )
        assert not plain or found == expected, (found, expected)
