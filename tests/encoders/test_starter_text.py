"""The text encoder against the original's own code, and how it groups a batch."""

import os
import subprocess
import sys

import numpy as np
import pytest

from mmsearch.encoders.batching import buckets
from mmsearch.encoders.starter.text import MAX_TOKENS, WEIGHTS, StarterText
from mmsearch.types import Segment, Vectors

TEXTS = (
    "a dog barking",
    "",
    "Two children in red jackets climb over a snow-covered fence while their grandmother watches.",
    "Ünïcödé, テスト and emoji 🐓",
    "the rain in Spain " * 100,
)


def encode(*texts: str) -> Vectors:
    encoder = StarterText("cpu")
    return encoder.encode([encoder.prepare(Segment("text", text)) for text in texts])


@pytest.mark.slow
def test_vectors_equal_those_of_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers' BertModel on the same files, pooled as the model card says."""
    import torch

    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from transformers import AutoModel, AutoTokenizer

    folder = str(WEIGHTS.locate().parent)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(list(TEXTS), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    with torch.inference_mode():
        states = AutoModel.from_pretrained(folder)(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(2)
    pooled = (states * mask).sum(1) / mask.sum(1)
    expected = torch.nn.functional.normalize(pooled, dim=1).numpy()
    assert ((encode(*TEXTS) * expected).sum(1) > 0.99999).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["a dog barking", "", "Ünïcödé, テスト and emoji 🐓", "the rain in Spain " * 11, "x" * 90]
)
def test_numpy_and_torch_give_a_query_the_same_vector(text: str) -> None:
    encoder = StarterText("cpu")
    prepared = encoder.prepare(Segment("text", text))
    np.testing.assert_allclose(encoder.encode([prepared], query=True), encoder.encode([prepared]), atol=1e-6)


COLD = """
import sys
from mmsearch.encoders.starter import starter_space
from mmsearch.types import Segment
encoder = starter_space("cuda:7").encoders["text"]
encoder.encode([encoder.prepare(Segment("text", text)) for text in ("a dog", "two dogs")], query=True)
print([name for name in ("torch", "timm", "open_clip", "transformers", "sqlalchemy", "PIL") if name in sys.modules])
"""


@pytest.mark.slow
def test_a_query_of_a_few_words_loads_no_torch_whatever_the_device() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", COLD], capture_output=True, check=False)
    assert done.stdout.decode().strip() == "[]", done.stderr.decode()


def test_a_long_query_is_encoded_by_torch() -> None:
    encoder = StarterText("cpu")
    prepared = [encoder.prepare(Segment("text", "rain " * 200))] * 2
    np.testing.assert_array_equal(encoder.encode(prepared, query=True), encoder.encode(prepared))


def test_texts_of_like_meaning_are_nearer_than_texts_of_like_spelling() -> None:
    dog, puppy, fog = encode("a dog", "a puppy", "a fog")
    assert dog @ puppy > dog @ fog


def test_long_texts_are_cut_at_the_model_s_limit() -> None:
    encoder = StarterText("cpu")
    ids = encoder.prepare(Segment("text", "rain " * 1000))
    assert len(ids) == MAX_TOKENS
    assert ids.dtype == np.int64
    assert encoder.prepare(Segment("text", "")).tolist() == [101, 102]


@pytest.mark.slow
def test_a_vector_does_not_depend_on_the_rest_of_its_batch() -> None:
    alone = encode("red")
    among = encode("red", "the rain in Spain " * 100, "x", "red")
    np.testing.assert_allclose(among[[0, 3]], alone[[0, 0]], atol=1e-6)


def test_batches_group_similar_lengths_up_to_the_token_budget() -> None:
    assert buckets([5, 100, 5, 90, 80, 300], 256) == [[0, 2], [4, 3], [1], [5]]
    assert buckets([4, 4, 4], 8) == [[0, 1], [2]]
    assert buckets([], 8) == []


@pytest.mark.slow
def test_a_query_imports_neither_transformers_nor_the_compiler() -> None:
    code = """
import sys
from mmsearch.encoders.starter.text import StarterText
from mmsearch.types import Segment
encoder = StarterText("cpu")
encoder.encode([encoder.prepare(Segment("text", "a dog"))])
heavy = ("transformers", "sentence_transformers", "timm", "torchvision", "torchaudio", "open_clip", "torch._dynamo")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, check=False, env=os.environ)
    assert done.stdout.decode().strip() == "[]", done.stderr.decode()
