"""ViT-B-32 as open_clip has it, with random weights: what is measured with it is speed, not sense."""

import json
from pathlib import Path

from mmsearch.encoders.device import import_torch


def save(folder: Path) -> str:
    """Write the model's folder, 0.6 GB. Returns the name of its space."""
    # As mmsearch does it: what imports torch first decides how its threads wait, which is a part of the speed.
    import_torch()
    import open_clip
    import torch
    from safetensors.torch import save_file

    preprocessing = {
        "mean": list(open_clip.OPENAI_DATASET_MEAN),
        "std": list(open_clip.OPENAI_DATASET_STD),
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    folder.mkdir(parents=True)
    config = {"model_cfg": open_clip.get_model_config("ViT-B-32"), "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(1)
    module = open_clip.create_model("ViT-B-32")
    state = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return f"local-dir:{folder}"
