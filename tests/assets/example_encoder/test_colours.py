"""The space keeps the contract of mmsearch: `pip install 'mmsearch[testing]' && pytest`."""

from mmsearch.testing.encoders import EncoderCase, EncoderContract


class TestColours(EncoderContract):
    cases = (EncoderCase("colours", "text"), EncoderCase("colours", "image"))
