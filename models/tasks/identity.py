"""Who speaks in findings."""

from hashlib import sha256

from models.findings import Algorithm
from models.manifest import Manifest


def algorithm(manifest: Manifest) -> Algorithm:
    """Who speaks in the findings of this package."""
    return Algorithm(
        name=manifest.title,
        version=manifest.version,
        manufacturer=manifest.manufacturer,
        weights_sha256=manifest.weights.sha256,
        package=manifest.name,
        manifest_sha256=sha256(manifest.model_dump_json().encode()).hexdigest(),
    )
