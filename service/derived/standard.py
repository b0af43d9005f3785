"""The tables of PS3.3 as the installed library carries them: what belongs to whom, and what must be there."""

from collections.abc import Iterator
from functools import cache

from highdicom import _standard_utils as tables  # private, and worth it: the pinned release carries the 2025 tables
from pydicom import Dataset

_IDENTITY = ("patient", "general-study", "patient-study", "clinical-trial-subject", "clinical-trial-study")
_NOT_CHECKED = {
    "sr-document-content",  # its table asks for every value type at once
    "segmentation-multi-frame-functional-groups",  # a group is either shared or per frame; its table asks for both
}


@cache
def patient_and_study_attributes() -> tuple[str, ...]:
    """Keywords of the attributes that an object shares with every other object of its patient and study."""
    table = tables.get_module_attribute_map()
    return tuple(str(row["keyword"]) for module in _IDENTITY for row in table[module] if not row["path"])


def absent_attributes(dataset: Dataset) -> list[str]:
    """Attributes of Type 1 that have no value and of Type 2 that are not there, in the mandatory modules.

    Attributes inside a sequence count only where the sequence is there.
    """
    iod = tables.get_sop_class_iod_map()[dataset.SOPClassUID]
    modules = [row["key"] for row in tables.get_iod_module_map()[iod] if row["usage"] == "M"]
    return [
        f"{module}: {name}"
        for module in modules
        if module not in _NOT_CHECKED
        for name in _absent(dataset, tables.construct_module_tree(module))
    ]


def _absent(dataset: Dataset, tree: dict[str, dict[str, dict]], path: str = "") -> Iterator[str]:  # type: ignore[type-arg]
    for keyword, row in tree["attributes"].items():
        required = row["type"].value
        empty = keyword not in dataset or dataset[keyword].is_empty
        if (required == "1" and empty) or (required == "2" and keyword not in dataset):
            yield path + keyword
        if "attributes" in row and keyword in dataset:
            for item in dataset[keyword].value:
                yield from _absent(item, row, f"{path}{keyword}.")
