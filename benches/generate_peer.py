"""The peers of `benches/generate.rs`: `generate_peer.py llama.cpp|transformers MODEL.gguf` prints figures as JSON.

Both load the same GGUF file, answer a short prompt with one token, then continue 128 tokens by 64 greedily.
"""

import json
import os
import resource
import sys
import time

THREADS = os.cpu_count()
NEW_TOKENS = 64
PROMPT = [1000 + index * 37 for index in range(128)]
SHORT = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n"


def llama_cpp(path):
    from llama_cpp import Llama

    began = time.perf_counter()
    model = Llama(path, n_ctx=512, n_threads=THREADS, n_threads_batch=THREADS, verbose=False)
    model.eval(model.tokenize(SHORT.encode(), special=True))
    model.sample(temp=0.0)
    load = time.perf_counter() - began
    after = time.perf_counter()

    def generate(count):
        model.reset()
        began = time.perf_counter()
        model.eval(PROMPT)
        for _ in range(count - 1):
            model.eval([model.sample(temp=0.0)])
        model.sample(temp=0.0)
        return time.perf_counter() - began

    first, whole = generate(1), generate(NEW_TOKENS + 1)
    return figures(load, first, whole, None, after)


def transformers(path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(THREADS)
    folder, name = os.path.split(path)
    began = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)

    def generate(ids, count):
        began = time.perf_counter()
        with torch.inference_mode():
            model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=count,
                min_new_tokens=count,
                do_sample=False,
                pad_token_id=0,
            )
        return time.perf_counter() - began

    generate(tokenizer(SHORT, return_tensors="pt").input_ids, 1)
    load = time.perf_counter() - began
    after = time.perf_counter()
    one, eight = torch.tensor([PROMPT]), torch.tensor([PROMPT] * 8)
    first, whole = generate(one, 1), generate(one, NEW_TOKENS + 1)
    of_eight = generate(eight, NEW_TOKENS + 1) - generate(eight, 1)
    return figures(load, first, whole, of_eight, after)


def figures(load, first, whole, of_eight, after):
    result = {
        "load_s": load,
        "prefill_tokens_per_s": len(PROMPT) / first,
        "decode_tokens_per_s": NEW_TOKENS / (whole - first),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "after_first_s": time.perf_counter() - after,
    }
    if of_eight is not None:
        result["batch8_tokens_per_s"] = 8 * NEW_TOKENS / of_eight
    return result


if __name__ == "__main__":
    peer = {"llama.cpp": llama_cpp, "transformers": transformers}[sys.argv[1]]
    print(json.dumps(peer(sys.argv[2])))
