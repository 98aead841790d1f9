"""What YAMNet hears: its rate and frames, readable without torch."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
RATE, FRAME, HOP = 16_000, 15_600, 7_680
"""Hz; samples of a frame and between frames (0.975 s, 0.48 s)."""
