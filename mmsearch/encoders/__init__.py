"""Segments -> vectors. The one owner of torch, torchaudio, timm and sentence-transformers, inside the methods that
need them.

| module | what |
|---|---|
| starter, open_clip, huggingface, sentence | the families of spaces |
| presets, model_names, pretrained | models by their names, and their checkpoints |
| model_store, hub | the models folder, and where models are downloaded from |
| lazy, tower, partial | weights that are loaded when they are first used, one modality at a time |
| device, speed, health | where a model runs, how quickly, and whether it works |
| tokenizer, batching, pixels | what goes into a model |
| check | the last look at vectors that come out of one |
| weights, tensors | files of weights of other people |
| artefact | files of trained weights: one reader and writer for heads, fusions, projections, connections |
| head, fusion, projection, connection | the modules that are trained, and their files |
| projected, connected | spaces made of others by a projection or a connection |
| queries | what an encoder may do with a query that it does not do with a passage |
| explaining | what an encoder may offer so that a hit can be explained, or several kinds be one input |
"""
