"""Learning from pairs what a space does not know yet. Its modules load torch; a search doesn't load them.

| module | what |
|---|---|
| losses, optimisers | tables: name -> loss, name -> optimiser; the schedule |
| recipe, loop, checkpoint | settings; epochs with validation, checkpoints, resuming, early stopping |
| splits | which examples may be on which side |
| card, plot | what is written down of a training |
"""
