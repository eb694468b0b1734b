"""Tokenizers of SentencePiece's kind, from transformers into GGUF: `tests/golden/gguf/sentencepiece/`.

    pip install -r scripts/reference/requirements.txt tokenizers==0.23.3
    python scripts/reference/gguf_sentencepiece.py make tests/golden/gguf/sentencepiece

writes for each style a tiny random model with the tokenizer that transformers saves, and the ids that transformers gives some
texts (`ids.json`). `PIPE_WRITE_GOLDEN=1 cargo test gguf_sentencepiece` then writes each folder's `model.gguf`, and

    python scripts/reference/gguf_sentencepiece.py check tests/golden/gguf/sentencepiece

fails unless llama.cpp, reading that file, gives each text the same ids.

    python scripts/reference/gguf_sentencepiece.py adapter tests/golden/gguf/sentencepiece/tinyllama ADAPTER_FOLDER

writes a random adapter for one of the models, so that `merge` and `check_gguf.py --equal` can be tried on them.
"""

import json
import sys
from pathlib import Path

CORPUS = [
    "The attendance of a student has to be at least 75%. They're expected to hand in by 2024-05-31; we'll see.",
    "An invoice of $1,250.00 was paid on 12/03/2023, didn't it? INV-20318 and PO 77812 belong to it.",
    "def total(items):\n    return sum(item.price for item in items)\n\n\n# done\t\tnow",
    "Über die Prüfung: naïve Schüler, Ça va, señor. 学生の出席 и студент",
    "the credits of the course, the grade of the student, the ticket of the user, the policy of the school",
] * 3
TEXTS = [
    "", " ", "a", "hello world", "The student's 12345 credits", " the  student   of    the ", "▁the ▁ ▁▁ student",
    "tabs\tand\t\tmore\n\nnewlines \n  \r\n end  ", "2024-05-31 INV-20318 $1,250.00 75%", "12345678901234567890",
    "naïve café Über", "nai\u0308ve cafe\u0301", "学生の出席 и студент 漢字", "emoji 🙂🙂👩‍🎓 done", "x² ½ ٣٤ Ⅷ", "...!!!??? --- ###",
    "def f(x):\n\treturn x**2  # square", "“curly’s” — don't", "\u00a0non\u00a0breaking\u2003em", "a\u0000b", "ends with space ",
    "\n", " \n x", "\n" * 9, " " * 23 + "x" + " " * 6, "</s>", "the</s>student</s> the </s>  the", "<s>the</s><s> the", "<unk>the <unk> ",
    "[INST] the student [/INST] of the</s>", "<b>the</b> <i> student", "<start_of_turn>user\nthe<end_of_turn>\n", "</ s> < s >s>",
    "coursecoursestudentstudentthethethe", "aaaaaaaaaaaa eeeeeeeee thththth",
]
TINYLLAMA = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + message['role'] + '\\n' + message['content'] + '<end_of_turn>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)


def learned():
    """Pieces in the order they are learned, and the letters."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=260, show_progress=False))
    tokens = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    return [token for token in tokens if len(token) > 1], [token for token in tokens if len(token) == 1]


def llama_vocabulary(special):
    """As in Llama 2's model: control tokens, bytes, pieces by falling score, letters; runs of spaces among the first pieces."""
    pieces, letters = learned()
    pieces = ["▁▁"] + pieces[:5] + ["▁▁▁▁", "▁▁▁"] + pieces[5:] + ["▁" * 8]
    tokens = special + [f"<0x{byte:02X}>" for byte in range(256)] + pieces + letters
    vocab = {token: id for id, token in enumerate(tokens)}
    return vocab, {token: -float(rank) for rank, token in enumerate(pieces)}


def tinyllama():
    """Llama 2's and TinyLlama's `tokenizer.json`, as transformers 4 wrote it: a normaliser puts a space before each text. Loaded as it
    is: transformers 5 puts another rule in its place where the class is `LlamaTokenizer`."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import generate_merges

    vocab, scores = llama_vocabulary(["<unk>", "<s>", "</s>"])
    merges = generate_merges(vocab, scores.items())
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in ("<unk>", "<s>", "</s>")])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>", chat_template=TINYLLAMA
    )


def mistral():
    """What transformers 5 writes for Llama and Mistral: a space before the text, unless a special token comes first."""
    from transformers import LlamaTokenizer
    from transformers.convert_slow_tokenizer import generate_merges

    vocab, scores = llama_vocabulary(["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])
    merges = generate_merges(vocab, scores.items())
    tokenizer = LlamaTokenizer(vocab=vocab, merges=merges, add_bos_token=True, chat_template=MISTRAL)
    tokenizer.add_special_tokens({"additional_special_tokens": ["[INST]", "[/INST]"]})
    return tokenizer


def no_prefix():
    """The same without any space put before."""
    from transformers import LlamaTokenizer
    from transformers.convert_slow_tokenizer import generate_merges

    vocab, scores = llama_vocabulary(["<unk>", "<s>", "</s>"])
    merges = generate_merges(vocab, scores.items())
    return LlamaTokenizer(vocab=vocab, merges=merges, add_prefix_space=False, add_bos_token=True)


def gemma():
    """Merges in the order of ids, runs and tags as added tokens that are no control tokens, `\\t` as a name of its byte."""
    from tokenizers import AddedToken
    from transformers import GemmaTokenizer
    from transformers.convert_slow_tokenizer import generate_merges

    pieces, letters = learned()
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
    whole = ["\n" * run for run in range(2, 9)] + ["▁" * run for run in range(2, 32)] + ["<b>", "</b>", "<i>", "</i>"]
    letters = [letter for letter in letters if letter != "\t"] + ([] if "\n" in letters else ["\n"])
    # Words are learned apart from each other, and so do not hold tabs.
    pieces = [piece for piece in pieces if "\t" not in piece and piece not in whole]
    tokens = special + whole + [f"<0x{byte:02X}>" for byte in range(256)] + pieces + ["\t\t", "\t\t\t"] + letters
    vocab = {token: id for id, token in enumerate(tokens)}
    vocab["\t"] = vocab["<0x09>"]
    merges = generate_merges(vocab, None)
    tokenizer = GemmaTokenizer(vocab=vocab, merges=merges, chat_template=GEMMA)
    tokenizer.add_special_tokens({"additional_special_tokens": special[5:]})
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in whole])
    return tokenizer


def make(out):
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    for style in (tinyllama, mistral, no_prefix, gemma):
        folder = out / style.__name__
        tokenizer = style()
        tokenizer.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        torch.manual_seed(7)
        config = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=512, tie_word_embeddings=True, dtype="float16",
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, initializer_range=0.4,
        )
        LlamaForCausalLM(config).half().save_pretrained(folder)
        # A space goes before the first word in transformers alone; a conversation begins with a special token.
        texts = ["[INST]" + text for text in TEXTS] if style is mistral else TEXTS
        if style is gemma:
            # A text that itself spells spaces as the vocabulary does: transformers finds the added token there, llama.cpp merges.
            texts = [text for text in texts if "▁▁" not in text]
        cases = [
            {
                "text": text,
                "ids": tokenizer(text, add_special_tokens=False).input_ids,
                "with_special": tokenizer(text).input_ids,
            }
            for text in texts
        ]
        (folder / "ids.json").write_text(json.dumps(cases, ensure_ascii=False, indent=0) + "\n")
        print(style.__name__, len(tokenizer), "tokens", len(json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]), "merges")


def check(out):
    from llama_cpp import Llama

    wrong = 0
    for path in sorted(out.glob("*/model.gguf")):
        llama = Llama(str(path), vocab_only=True, verbose=False)
        cases = json.loads((path.parent / "ids.json").read_text())
        for case in cases:
            text = case["text"].encode()
            found = llama.tokenize(text, add_bos=False, special=True), llama.tokenize(text, add_bos=True, special=True)
            if found != (case["ids"], case["with_special"]):
                wrong += 1
                print(path.parent.name, repr(case["text"]), found, (case["ids"], case["with_special"]))
        print(path.parent.name, len(cases), "texts")
    sys.exit(wrong != 0)


def adapter(model, out):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(11)
    lora = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(model), lora).save_pretrained(out)


{"make": make, "check": check, "adapter": adapter}[sys.argv[1]](*map(Path, sys.argv[2:]))
