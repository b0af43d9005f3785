"""A receiver for the tests of a module."""

from collections.abc import Iterator

import pytest

from tests.hostile.standing import Shared


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """One receiver for all attacks of a module that leave it standing."""
    receivers = Shared(tmp_path_factory.mktemp("receiver"))
    yield receivers
    receivers.close()
