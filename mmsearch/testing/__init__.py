"""Suites of tests for those who write an encoder, a decoder, an extractor or an index: what each promises.

A test module of the package that brings the part inherits the suite and names its cases:

    from mmsearch.testing.encoders import EncoderCase, EncoderContract

    class TestMine(EncoderContract):
        cases = (EncoderCase("my-space", "text"),)

| suite | of |
|---|---|
| `encoders.EncoderContract` | `mmsearch.Encoder`, and its `mmsearch.Space` |
| `decoders.DecoderContract` | `mmsearch.Decoder` |
| `extractors.ExtractorContract` | `mmsearch.Extractor` |
| `indexes.IndexContract`, `indexes.SavedIndexContract` | `mmsearch.VectorIndex` |

Needs pytest and hypothesis: pip install 'mmsearch[testing]'. Nothing else of mmsearch imports this package.
"""

import pytest

# So that a failed comparison shows both sides, as in anybody's own tests.
pytest.register_assert_rewrite(
    *(f"mmsearch.testing.{part}" for part in ("encoders", "decoders", "extractors", "indexes"))
)
