"""What made the starter space's captions_2.safetensors: `python -m mmsearch.training.starter`.

| module | what |
|---|---|
| recipe | the training, and the measures of what it made |
| starter_data | what it learns from: photos, their captions, and single words of these |
| languages | what made languages.safetensors, by itself: `python -m mmsearch.training.starter.languages` |
| caption_map | what made caption_map.safetensors: `python -m mmsearch.training.starter.caption_map` |
| cutouts, imagined | other pictures, which keep their place |
| damage | photos with noise or blur, which are photos still |
"""
