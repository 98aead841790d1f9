"""What the network would say of photos that show something no caption speaks of, made without a picture.

Its last layer tells 1,000 classes apart by directions in its 1,280 features. A photo's features that are moved along
such a direction are of that photo with, say, an oven in it. A training that keeps them near their classes keeps what
the classes know findable, though 6,000 photos of people and dogs show none of it. Examples made in the space of
features, away from what trains, are the idea of VOS (Du et al., ICLR 2022); there they are drawn from a fitted
distribution's tails, here the classifier's weights make them.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

MARGIN = (1.0, 4.0)
"""By how much the class's logit ends up above all others."""
STEP, STEPS = 0.5, 60
"""Length of a step, where features are about 13 long, and the most that are made."""
AGAINST = 0.5
"""How much of a step leads away from the class that was on top."""


def imagined(features: NDArray[np.float32], classifier: nn.Linear, draw: np.random.Generator) -> NDArray[np.float32]:
    """Of every photo one, as if it showed some class, any of them; float32 (n, 1280) both, 0 or more."""
    rows = torch.from_numpy(features)
    classes = torch.from_numpy(draw.integers(0, classifier.out_features, len(rows)))
    margins = torch.from_numpy(draw.uniform(*MARGIN, len(rows)).astype(np.float32))
    with torch.inference_mode():
        for _ in range(STEPS):
            own, others, rival = _standing(classifier(rows), classes)
            short = own - others < margins
            if not bool(short.any()):
                break
            way = nn.functional.normalize(classifier.weight[classes] - AGAINST * classifier.weight[rival], dim=1)
            # The network's features are averages of what a ReLU leaves: never below 0.
            rows = torch.where(short[:, None], (rows + STEP * way).clamp(min=0), rows)
    return np.asarray(rows.numpy(), np.float32)


def _standing(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The class's logit, the highest of the others, and whose that is; (n,) each."""
    column = classes[:, None]
    own = logits.gather(1, column)[:, 0]
    others, rival = logits.scatter(1, column, -torch.inf).max(1)
    return own, others, rival
