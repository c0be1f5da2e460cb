"""How fast llama-index's SentenceSplitter cuts a folder of texts: seconds of processor time for so many bytes.

    python sentence_splitter.py FOLDER TOKENS OVERLAP

Prints bytes, chunks and seconds. Needs `llama-index-core`, and o200k_base in tiktoken's cache. The first round warms caches
and is not counted.
"""

import pathlib
import sys
import time

import tiktoken
from llama_index.core.node_parser import SentenceSplitter

folder, tokens, overlap = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
encoding = tiktoken.get_encoding("o200k_base")
splitter = SentenceSplitter(
    chunk_size=tokens,
    chunk_overlap=overlap,
    tokenizer=lambda text: encoding.encode(text, disallowed_special=()),
)
texts = [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())]
warm = texts[: max(1, len(texts) // 10)]
for text in warm:
    splitter.split_text(text)
begun = time.process_time()
chunks = sum(len(splitter.split_text(text)) for text in texts)
seconds = time.process_time() - begun
print(sum(len(text.encode()) for text in texts), chunks, seconds)
