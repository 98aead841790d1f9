"""Drawn shapes with captions, and a small CLIP that has learned them in seconds: for tests where meaning matters."""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from tests import clip
from tests.temporary import kept_folder

COLOURS = {"red": (220, 30, 30), "green": (30, 180, 60), "blue": (40, 70, 220), "yellow": (235, 215, 40)}
SHAPES = ("circle", "square", "triangle", "star")
CAPTIONS = tuple(f"a {colour} {shape}" for colour in COLOURS for shape in SHAPES)
SIDE = 96
STEPS = 300


def drawn(caption: str, seed: int, colours: dict[str, tuple[int, int, int]] = COLOURS) -> NDArray[np.uint8]:
    """uint8 (96, 96, 3): what "a COLOUR SHAPE" says, on a light ground; size, place and ground vary with the seed."""
    random = np.random.default_rng(seed)
    _, colour, shape = caption.split()
    ground = random.integers(200, 256, 3)
    picture = Image.new("RGB", (SIDE, SIDE), (int(ground[0]), int(ground[1]), int(ground[2])))
    radius = float(random.uniform(26, 36))
    x, y = random.uniform(SIDE / 2 - 10, SIDE / 2 + 10, 2).tolist()
    pen, ink = ImageDraw.Draw(picture), colours[colour]
    if shape == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    elif shape == "square":
        pen.rectangle((x - radius * 0.85, y - radius * 0.85, x + radius * 0.85, y + radius * 0.85), fill=ink)
    else:
        points = 3 if shape == "triangle" else 10
        radii = [radius * (1.0 if shape == "triangle" or n % 2 == 0 else 0.4) for n in range(points)]
        turns = [2 * math.pi * n / points - math.pi / 2 for n in range(points)]
        pen.polygon([(x + r * math.cos(t), y + r * math.sin(t)) for r, t in zip(radii, turns, strict=True)], fill=ink)
    return np.asarray(picture)


def draw(folder: Path, captions: Sequence[str], seed: int, **options: Any) -> list[Path]:
    """One PNG of each caption; the names don't tell which."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{seed}-{number}.png" for number in range(len(captions))]
    for number, (path, caption) in enumerate(zip(paths, captions, strict=True)):
        Image.fromarray(drawn(caption, 1000 * seed + number, **options)).save(path)
    return paths


@cache
def space() -> str:
    """The name of the trained model's space; it is trained once in a process."""
    parent = kept_folder("mmsearch-shapes-")
    return f"local-dir:{train(parent / 'shapes')}"


def train(folder: Path) -> Path:
    """A model folder whose towers know `CAPTIONS`: contrastive training of the small CLIP, a few seconds."""
    clip.save(folder, "shapes")
    # Threads that wait for each other would take longer than the work, on a machine that has other things to do.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _trained(folder)
    finally:
        torch.set_num_threads(threads)


def _trained(folder: Path) -> Path:
    weights = folder / "open_clip_model.safetensors"
    module, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    module.load_state_dict(load_file(weights))
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(list(CAPTIONS))
    # Drawn once, mixed anew in every step: drawing takes as long as learning.
    drawings = torch.stack(
        [
            torch.stack([prepare(Image.fromarray(drawn(caption, 50 * row + n))) for n in range(32)])
            for row, caption in enumerate(CAPTIONS)
        ]
    )  # (captions, 32, 3, 48, 48)
    optimiser = torch.optim.AdamW(module.parameters(), lr=2e-3, weight_decay=0.01)
    random = torch.Generator().manual_seed(5)
    rows, right = torch.arange(len(CAPTIONS)), torch.arange(len(CAPTIONS))
    for _ in range(STEPS):
        pictures = drawings[rows, torch.randint(32, (len(CAPTIONS),), generator=random)]
        seen, read = module.encode_image(pictures, normalize=True), module.encode_text(tokens, normalize=True)
        scores = 20.0 * seen @ read.T
        loss = F.cross_entropy(scores, right) + F.cross_entropy(scores.T, right)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, weights)
    return folder
