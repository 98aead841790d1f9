"""The encoders that there are keep the contract: of starter, the tiny space, small models of open_clip and others."""

from functools import partial

import pytest

from mmsearch.testing.encoders import EncoderCase, EncoderContract

MODALITIES = ("text", "image", "audio")
TOWERS = (
    ("clip", "clip", ("text", "image")),
    ("clip", "siglip", ("text", "image")),
    ("hf", "clap", ("text", "audio")),
    ("hf", "pe", MODALITIES),
)
"""(family, small model, its modalities) over torch, which takes seconds to import."""
SENTENCE = (*(("gemma", kind) for kind in (*MODALITIES, "video")), ("qwen", "image"), ("clip", "text"))
"""(small model of sentence-transformers, kind); the library alone takes seconds to import."""


def made(family: str, variant: str) -> str:
    """A small model of a variant of `tests.clip` or `tests.huggingface`, made when it is needed."""
    from tests import clip, huggingface, sentence

    if family == "st":
        return sentence.space(variant)
    return clip.space(variant) if family == "clip" else huggingface.space(variant)


class TestEncoders(EncoderContract):
    cases = (
        *(EncoderCase("starter", modality) for modality in MODALITIES),
        *(EncoderCase("tests.tiny:space", modality, "tests.tiny") for modality in MODALITIES),
        *(
            pytest.param(EncoderCase(partial(made, family, v), m, f"{family}-{v}"), marks=pytest.mark.slow)
            for family, v, kinds in TOWERS
            for m in kinds
        ),
        *(
            pytest.param(EncoderCase(partial(made, "st", v), m, f"st-{v}"), marks=pytest.mark.extras)
            for v, m in SENTENCE
        ),
    )
