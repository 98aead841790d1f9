"""Learning from pairs what a space does not know yet. Its modules load torch; a search doesn't load them.

| module | what |
|---|---|
| losses, optimisers | tables: name -> loss, name -> optimiser; the schedule |
| loop | epochs with validation, checkpoints, resuming, early stopping |
| splits | which examples may be on which side |
| attack | adversarial training on vectors |
| examples, projection | pairs as vectors; maps on a space's vectors that learn from them |
| weak | pairs out of names, folders, sidecars and tags |
| labelled_examples, head_task, heads | labelled files as vectors; heads that learn from them |
| fusion_task, learned_fusion | fusions that learn; bundles and queries for them |
| lora, adapter | low-rank adapters in the towers of an open_clip model, and pairs of words and pictures for them |
| connection | two spaces connected by words that both embed |
| plot, results | curves and confusion matrices; what a finished training tells |
| training | what `Library.train` offers |
| serving | what serves of a trained model, without which nothing here is needed |
| starter | what made the starter space's captions_2.safetensors: `python -m mmsearch.training.starter` |
"""

from mmsearch.encoders.device import import_torch

# Before any module here imports it by itself: with threads that sleep when they wait.
import_torch()
