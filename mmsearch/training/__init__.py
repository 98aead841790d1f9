"""Learning from pairs what a space does not know yet. Its modules load torch; a search doesn't load them.

| module | what |
|---|---|
| losses, optimisers | tables: name -> loss, name -> optimiser; the schedule |
| recipe, loop, checkpoint | settings; epochs with validation, checkpoints, resuming, early stopping |
| splits | which examples may be on which side |
| card, plot, folder | what is written down of a training, and where |
| examples, projection | pairs as vectors; maps on a space's vectors that learn from them |
| weak | pairs out of names, folders, sidecars and tags |
| lora, adapter | low-rank adapters in the towers of an open_clip model, and pairs of words and pictures for them |
| apply | a library's vectors through such a map, as a new space |
| training | what `Library.train` offers |
| starter, cutouts | what made the starter space's captions.safetensors: `python -m mmsearch.training.starter.recipe` |
"""

from mmsearch.encoders.device import import_torch

# Before any module here imports it by itself: with threads that sleep when they wait.
import_torch()
