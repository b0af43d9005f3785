"""Names that are computed, and the gate that names from the network pass."""

from itertools import permutations

import pytest

from service.core.identity import derived_uid, instance_set, is_another_person, is_uid, job_id, person_digests


@pytest.mark.parametrize("text", ["1.2.840.10008.1.1", "2.25.0", "1.2"])
def test_a_uid_passes_the_gate(text: str) -> None:
    assert is_uid(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "../../x",
        "1.2.3\n",
        "1.2/3",
        "1.02",
        "1..2",
        "1.2.",
        ".1.2",
        "1",
        "\uff11.\uff12",
        "1.2.3\0",
        "1." + "2" * 63,
    ],
    ids=repr,
)
def test_what_is_no_uid_does_not_pass_the_gate(text: str) -> None:
    assert not is_uid(text)


def test_a_set_of_instances_has_one_name_in_whatever_order_it_came() -> None:
    assert len({instance_set(order) for order in permutations(["1.2.1", "1.2.2", "1.2.3"])}) == 1


def test_one_more_instance_is_another_set_and_another_job() -> None:
    first, second = instance_set(["1.2.1"]), instance_set(["1.2.1", "1.2.2"])
    assert job_id(first, "liver", "1.0.0") != job_id(second, "liver", "1.0.0")


def test_another_version_of_a_model_is_another_job() -> None:
    assert job_id("a", "liver", "1.0.0") != job_id("a", "liver", "1.0.1")


def test_a_derived_uid_is_valid_and_the_same_each_time() -> None:
    assert derived_uid("job", "SEG") == derived_uid("job", "SEG")
    assert derived_uid("job", "SEG") != derived_uid("job", "SR")
    assert is_uid(derived_uid("job", "SEG"))
    assert derived_uid("job", "SEG").startswith("2.25.")


SOMEBODY = ("ID", "HERE", "19500101", "F")
OTHERS = {
    "the same": (SOMEBODY, False),
    "another birth date": (("ID", "HERE", "19500102", "F"), True),
    "another sex": (("ID", "HERE", "19500101", "M"), True),
    "no birth date": (("ID", "HERE", "", "F"), False),
    "nothing stated": (("ID", "HERE", "", ""), False),
}


@pytest.mark.parametrize(("other", "is_another"), OTHERS.values(), ids=OTHERS.keys())
def test_who_states_another_birth_date_or_sex_is_another_person(
    other: tuple[str, str, str, str], is_another: bool
) -> None:
    assert is_another_person(person_digests(*SOMEBODY), person_digests(*other)) is is_another
    assert not is_another_person(person_digests(*SOMEBODY), "")
