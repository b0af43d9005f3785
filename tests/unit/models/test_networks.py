"""The closed registry of networks."""

from typing import get_args

import pytest
import torch

from models import networks
from models.sections import Network


@pytest.mark.parametrize("name", networks.BUILDERS)
def test_a_network_answers_with_one_channel_per_class(name: str) -> None:
    network = networks.build(Network.model_validate({"name": name, "channels": [4, 8, 16]}), classes=3, inputs=2)
    size = (12, 16) if name in networks.TWO_DIMENSIONAL else (8, 12, 16)
    assert network(torch.zeros(2, 2, *size)).shape == (2, 3, *size)


def test_a_manifest_may_name_every_network_and_no_other() -> None:
    assert set(get_args(Network.model_fields["name"].annotation)) == set(networks.BUILDERS)


def test_a_name_from_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no network 'other'"):
        networks.build(Network.model_construct(name="other", channels=(4, 8)), classes=2)
