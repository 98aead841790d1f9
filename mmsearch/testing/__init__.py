"""Suites of tests for those who write an encoder, a decoder or a vector index: what each promises, held to the letter.

A test module of the package that brings the part inherits the suite and names its cases:

    from mmsearch.testing.encoders import EncoderCase, EncoderContract

    class TestMine(EncoderContract):
        cases = (EncoderCase("my-space", "text"),)

| suite | of |
|---|---|
| `encoders.EncoderContract` | `mmsearch.Encoder`, and its `mmsearch.Space` |
| `decoders.DecoderContract` | `mmsearch.Decoder` |
| `indexes.IndexContract`, `indexes.SavedIndexContract` | `mmsearch.VectorIndex` |

Needs pytest and hypothesis: pip install 'mmsearch[testing]'. Nothing else of mmsearch imports this package.
"""

import pytest

# So that a failed comparison shows both sides, as in anybody's own tests.
pytest.register_assert_rewrite("mmsearch.testing.encoders", "mmsearch.testing.decoders", "mmsearch.testing.indexes")
