"""Clips of videos and pictures of pages: delivered to spaces that embed such, and to no others."""

from pathlib import Path

import numpy as np

from mmsearch.media.text import TextDecoder
from mmsearch.media.video import VideoDecoder
from mmsearch.types import Limits, Segment, Windowing
from tests.generated import video
from tests.media_files import pdf

CLIPS = Windowing(clip_s=4.0, clip_frames=4, clip_side=32)


def decoded(path: Path, windowing: Windowing) -> list[Segment]:
    return list(VideoDecoder(windowing, Limits()).decode(path))


def reds(segment: Segment) -> list[bool]:
    """Of each frame of a clip, whether it is red."""
    frames = np.asarray(segment.data)
    return [bool(frame[..., 0].mean() > 150 and frame[..., 1].mean() < 100) for frame in frames]


def test_clips_cover_a_video_with_evenly_spaced_frames_and_their_times(tmp_path: Path) -> None:
    path = video(tmp_path / "film.mp4", "red", "green", "blue", "red", "red", seconds=2.0)
    clips = [one for one in decoded(path, CLIPS) if one.modality == "video"]
    assert [(one.span.start, one.span.end) for one in clips] == [(0.0, 3.333), (3.333, 6.667), (6.667, 10.0)]
    assert [np.asarray(one.data).shape for one in clips] == [(4, 32, 32, 3)] * 3
    # Frames at 0.42, 1.25, 2.08, 2.92 of the first clip, and so on: it changes at 2, 4 and 6 seconds.
    assert [reds(one) for one in clips] == [[True, True, False, False], [False, False, False, True], [True] * 4]


def test_frames_are_the_same_with_clips_and_without(tmp_path: Path) -> None:
    path = video(tmp_path / "film.mp4", "red", "green", "blue", seconds=3.0)
    plain = decoded(path, Windowing())
    both = [one for one in decoded(path, CLIPS) if one.modality == "image"]
    assert [one.modality for one in plain] == ["image"] * 3
    assert [one.span for one in both] == [one.span for one in plain]
    for one, other in zip(both, plain, strict=True):
        np.testing.assert_array_equal(one.data, other.data)


def test_a_short_video_is_one_clip(tmp_path: Path) -> None:
    (clip,) = (one for one in decoded(video(tmp_path / "a.mp4", "red", seconds=1.0), CLIPS) if one.modality == "video")
    assert (clip.span.start, clip.span.end, len(clip.data)) == (0.0, 1.0, 4)
    assert clip.part


def test_every_page_is_a_picture_too_for_spaces_that_read_pages(tmp_path: Path) -> None:
    path = pdf(tmp_path / "report.pdf", ["Figures of May", "", "More figures"])
    plain = list(TextDecoder(Windowing(), Limits()).decode(path))
    both = list(TextDecoder(Windowing(page_side=120), Limits()).decode(path))
    pictures = [one for one in both if one.modality == "image"]
    assert [one.modality for one in plain] == ["text", "text"]
    assert [one.span for one in both if one.modality == "text"] == [one.span for one in plain]
    # The second is blank.
    assert [one.span.page for one in pictures] == [1, 3]
    assert [np.asarray(one.data).shape for one in pictures] == [(156, 120, 3)] * 2
    assert all(np.asarray(one.data).min() < 230 for one in pictures)
