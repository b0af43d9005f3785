"""Who speaks in findings."""

from models.findings import Algorithm
from models.manifest import Manifest


def algorithm(manifest: Manifest, steps: tuple[Algorithm, ...] = ()) -> Algorithm:
    """Who speaks in the findings of this package; `steps` are those that a chain has asked."""
    return Algorithm(
        name=manifest.title,
        version=manifest.version,
        manufacturer=manifest.manufacturer,
        weights_sha256=manifest.weights_sha256,
        package=manifest.name,
        manifest_sha256=manifest.said_sha256,
        steps=steps,
    )
