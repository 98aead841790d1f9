"""Measured as a command of mmsearch's own would be."""

from mmsearch.core.config import own_process
from mmsearch.encoders.device import may_keep_memory

own_process()
may_keep_memory()
