"""Made-up sounds with captions, and a small CLAP that has learned them in seconds: for tests where meaning matters."""

import wave
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from tests import clip, huggingface
from tests.temporary import kept_folder

CAPTIONS = ("a low tone", "a high tone", "a noise", "a low pulse")
WORDS = (*clip.WORDS, "low", "high", "tone", "noise", "pulse")
EACH, STEPS = 24, 120


def heard(caption: str, seed: int, seconds: float = huggingface.SECONDS) -> NDArray[np.float32]:
    """float32 (n,) at 16 kHz: what the caption says; pitch, loudness and phase vary with the seed."""
    random = np.random.default_rng(seed)
    time = np.arange(int(huggingface.RATE * seconds)) / huggingface.RATE
    loud = random.uniform(0.1, 0.6)
    if caption.endswith("noise"):
        return np.asarray(random.normal(0, loud / 2, len(time)).clip(-1, 1), np.float32)
    pitch = random.uniform(2500, 4000) if "high" in caption else random.uniform(150, 350)
    tone = loud * np.sin(2 * np.pi * (pitch * time + random.uniform()))
    if caption.endswith("pulse"):
        tone = tone * (np.sin(2 * np.pi * (random.uniform(3, 5) * time + random.uniform())) > 0)
    return np.asarray(tone, np.float32)


def record(folder: Path, captions: Sequence[str], seed: int, seconds: float = 3.0) -> list[Path]:
    """One WAV of each caption; the names don't tell which."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{seed}-{number}.wav" for number in range(len(captions))]
    for number, (path, caption) in enumerate(zip(paths, captions, strict=True)):
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(huggingface.RATE)
            file.writeframes((heard(caption, 1000 * seed + number, seconds) * 32767).astype("<i2").tobytes())
    return paths


@cache
def space() -> str:
    """The name of the trained model's space; it is trained once in a process."""
    parent = kept_folder("mmsearch-tones-")
    # Threads that wait for each other would take longer than the work, on a machine that has other things to do.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return f"local-dir:{train(parent / 'tones')}"
    finally:
        torch.set_num_threads(threads)


def train(folder: Path) -> Path:
    """A model folder whose towers know `CAPTIONS`: contrastive training of the small CLAP."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = huggingface.module("clap")
    # One caption after the other, each `EACH` times.
    waves = [heard(caption, 100 * row + n) for row, caption in enumerate(CAPTIONS) for n in range(EACH)]
    sounds = huggingface.extractor("clap")(waves, sampling_rate=huggingface.RATE, return_tensors="pt")["input_features"]
    norm = module.audio_model.audio_encoder.batch_norm
    norm.running_mean.copy_(sounds.mean((0, 1, 2)))
    norm.running_var.copy_(sounds.var((0, 1, 2)))
    numbers = {word: number for number, word in enumerate(WORDS)}
    words = torch.tensor([[*(numbers[word] for word in caption.split()), numbers["</s>"]] for caption in CAPTIONS[:2]])
    short = torch.tensor([[numbers["a"], numbers["noise"], numbers["</s>"], 1]])
    tokens = torch.cat([words, short, torch.tensor([[numbers[w] for w in ("a", "low", "pulse", "</s>")]])])
    mask = (torch.arange(4) < torch.tensor([4, 4, 3, 4])[:, None]).long()
    optimiser = torch.optim.AdamW(module.parameters(), lr=3e-3)
    random, right = torch.Generator().manual_seed(5), torch.arange(len(CAPTIONS))
    longer = torch.zeros(len(CAPTIONS), 1, dtype=torch.bool)
    for _ in range(STEPS):
        rows = right * EACH + torch.randint(EACH, (len(CAPTIONS),), generator=random)
        sound = F.normalize(module.get_audio_features(sounds[rows], is_longer=longer).pooler_output, dim=-1)
        read = F.normalize(module.get_text_features(tokens, mask).pooler_output, dim=-1)
        scores = 20.0 * sound @ read.T
        loss = F.cross_entropy(scores, right) + F.cross_entropy(scores.T, right)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    huggingface.write(folder, "clap", module, WORDS)
    return folder
