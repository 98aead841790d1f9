"""What YAMNet hears: its rate and frames, readable without torch."""

RATE, FRAME, HOP = 16_000, 15_600, 7_680
"""Hz; samples of a frame and between frames (0.975 s, 0.48 s)."""
