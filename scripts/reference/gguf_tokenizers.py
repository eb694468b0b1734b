"""Tokenizers of GGUF files against llama.cpp: `tests/golden/gguf/tokenizers/`.

For each kind of tokenizer a file without weights, whose small vocabulary is learned here, and the ids that llama.cpp, which
reads the same file, gives some texts (`ids.json`). Texts hold what the kinds differ in: runs of digits and of spaces,
contractions, letters with marks in both normal forms, other scripts, emoji, control tokens.

    pip install -r scripts/reference/requirements.txt tokenizers==0.23.2
    python scripts/reference/gguf_tokenizers.py tests/golden/gguf/tokenizers
"""

import json
import sys
import unicodedata
from pathlib import Path

from gguf import GGUFWriter, TokenType
from llama_cpp import Llama
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

out = Path(sys.argv[1])
out.mkdir(exist_ok=True, parents=True)
CORPUS = [
    "The attendance of a student has to be at least 75%. They're expected to hand in by 2024-05-31; we'll see.",
    "An invoice of $1,250.00 was paid on 12/03/2023, didn't it? INV-20318 and PO 77812 belong to it.",
    "def total(items):\n    return sum(item.price for item in items)\n\n\n# done\t\tnow",
    "Über die Prüfung: naïve Schüler, Ça va, señor. 学生の出席 и студент 🙂🙂 x² ½ ٣٤",
    "the credits of the course, the grade of the student, the ticket of the user, the policy of the school",
] * 3
TEXTS = [
    "", " ", "a", "hello world", "The student's 12345 credits", "They'LL SEE we'Re I'M", "  two  spaces   three    four ",
    "tabs\tand\n\nnewlines \n  \r\n end  ", "2024-05-31 INV-20318 $1,250.00 75%", "12345678901234567890",
    "naïve café Über", "nai\u0308ve cafe\u0301 U\u0308ber", "学生の出席 и студент", "emoji 🙂🙂👩‍🎓 done", "x² ½ ٣٤ Ⅷ",
    "...!!!??? --- ###", "def f(x):\n\treturn x**2  # square", "don't can't it's 'quoted' “curly’s”", "\u00a0non\u00a0breaking\u2003em",
    "_under_score__ CamelCase HTTPServer", "a\u0000b", "<b>not control</b>", "ends with space ", "\n", " \n x",
]


def fields(writer, tokens, kinds):
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_feed_forward_length(8)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def byte_level(name):
    """A vocabulary over GPT-2's bytes; what cuts words while it is learned does not matter."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    state = json.loads(tokenizer.to_str())["model"]
    tokens = [token for token, _ in sorted(state["vocab"].items(), key=lambda item: item[1])]
    control = len(tokens)
    tokens += ["<|begin|>", "<|end|>"]
    path = out / f"{name}.gguf"
    writer = GGUFWriter(path, "llama")
    fields(writer, tokens, [TokenType.NORMAL] * control + [TokenType.CONTROL] * 2)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(name)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in state["merges"]])
    writer.add_bos_token_id(control)
    writer.add_eos_token_id(control + 1)
    writer.add_add_bos_token(False)
    finish(writer)
    return path


def sentencepiece():
    """Llama 2's kind: scores, byte fallback, and a space before the text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    trainer = trainers.BpeTrainer(vocab_size=500, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    learned = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    # Single characters come last and score least; what was learned first scores most.
    pieces = [token for token in learned if len(token) > 1]
    letters = [token for token in learned if len(token) == 1]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + pieces + letters
    kinds = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL] + [TokenType.BYTE] * 256
    kinds += [TokenType.NORMAL] * (len(tokens) - len(kinds))
    scores = [0.0] * 259 + [-float(rank) for rank in range(len(pieces) + len(letters))]
    path = out / "spm.gguf"
    writer = GGUFWriter(path, "llama")
    fields(writer, tokens, kinds)
    writer.add_tokenizer_model("llama")
    writer.add_token_scores(scores)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    finish(writer)
    return path


paths = [byte_level(name) for name in ("gpt-2", "smollm", "llama-bpe", "qwen2")] + [sentencepiece()]
result = {}
for path in paths:
    model = Llama(str(path), vocab_only=True, verbose=False)
    # The tokenizer of Qwen 2 brings texts into normal form C; llama.cpp leaves that out.
    form = (lambda text: unicodedata.normalize("NFC", text)) if path.stem == "qwen2" else str
    result[path.stem] = [
        {
            "text": text,
            "ids": model.tokenize(form(text).encode(), add_bos=False, special=False),
            "with_special": model.tokenize(form(text).encode(), add_bos=True, special=False),
        }
        for text in TEXTS
    ]
(out / "ids.json").write_text(json.dumps(result, ensure_ascii=False) + "\n")
