"""Where the evidence for a class lies: class activation maps of the features before a network's head.

Zhou et al. (2016) weigh the features by the head's own weights, which is exact where the head is a mean over all
positions and a linear map; Selvaraju et al. (2017) weigh them by the mean gradient, for any head.
"""

from collections.abc import Callable

import torch

from models.resnet import ImageNetwork, PooledHead

Maps = Callable[[ImageNetwork, torch.Tensor], torch.Tensor]


def cam(network: ImageNetwork, features: torch.Tensor) -> torch.Tensor:
    """Evidence for each class, (n, channels, rows, columns) -> (n, classes, rows, columns); none is below 0.

    Raises ValueError for a head that is not a mean over all positions and a linear map.
    """
    if not isinstance(network.head, PooledHead):
        raise ValueError("the network's head is not pooled and linear: ask for grad_cam")  # noqa: TRY004
    return _weighed(features, network.head.linear.weight.expand(len(features), -1, -1))


def grad_cam(network: ImageNetwork, features: torch.Tensor) -> torch.Tensor:
    """As `cam`, by the mean gradient of each class over all positions."""
    with torch.enable_grad():
        wanted = features.clone().requires_grad_()
        logits = network.head(wanted)
        gradients = [torch.autograd.grad(each.sum(), wanted, retain_graph=True)[0] for each in logits.unbind(1)]
    return _weighed(features, torch.stack([gradient.mean((2, 3)) for gradient in gradients], 1))


METHODS: dict[str, Maps] = {"cam": cam, "grad_cam": grad_cam}


def _weighed(features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Features (n, channels, rows, columns) summed with weights (n, classes, channels), where that is positive."""
    return torch.einsum("ncyx,nkc->nkyx", features, weights).clamp(min=0).detach()
