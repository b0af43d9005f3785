"""What is wrong gets a clear message, and nothing else suffers."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import Dataset

from service.commands.archive import Archive, free_port, standing_in
from service.derived.encoding import encode
from service.settings import Settings
from tests import factories, raw_sender
from tests.node import SENDER, Node, all_ended, answers, configure, rule, run_command, running, until

GRID = factories.grid(shape=(24, 48, 48), spacing_mm=(4.0, 4.0, 4.0))
RULE = rule("tiny", modality="CT")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, packages_folder: Path) -> Iterator[Node]:
    """A node whose only destination is down."""
    with running(settings_in(tmp_path_factory.mktemp("node"), free_port(), packages_folder)) as node:
        yield node


def settings_in(folder: Path, archive_port: int, packages_folder: Path) -> Settings:
    return configure(folder, archive_port, [RULE], inferring={"packages": [str(packages_folder)]})


def write(series: list[Dataset], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(series):
        (folder / f"{number:03d}.dcm").write_bytes(encode(image))
    return folder


def send_raw(node: Node, data_set: bytes, sop_instance_uid: str) -> int:
    return raw_sender.store(node.settings.node.receiving.port, SENDER, data_set, sop_instance_uid)


def echoscu(node: Node, program: str, calling: str, called: str) -> subprocess.CompletedProcess[str]:
    line = [program, "-aet", calling, "-aec", called, "127.0.0.1", str(node.settings.node.receiving.port)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def incoming(node: Node) -> set[str]:
    return {path.name for path in (node.settings.spool / "incoming").iterdir()}


def was_logged(node: Node, words: str) -> bool:
    return any(words in str(event.get("reason")) for event in node.events())


@pytest.mark.parametrize(
    ("calling", "called", "told", "logged"),
    [
        pytest.param(SENDER, "WRONG", "Called AE Title Not Recognized", "'WRONG' is not ours", id="called AE title"),
        pytest.param(
            "STRANGER", "ISOCENTER", "Calling AE Title Not Recognized", "'STRANGER' from", id="unknown sender"
        ),
    ],
)
def test_a_peer_that_may_not_come_in_is_told_why(
    node: Node, outside_tool: Callable[[str], str], calling: str, called: str, told: str, logged: str
) -> None:
    seen = echoscu(node, outside_tool("echoscu"), calling, called)
    assert seen.returncode != 0
    assert told in seen.stderr
    until(lambda: was_logged(node, logged), "it is logged", seconds=5)
    assert answers(node.remote)


@pytest.mark.parametrize("keyword", ["SeriesInstanceUID", "SOPInstanceUID", "StudyInstanceUID"])
@pytest.mark.parametrize("uid", ["../../x", "1.2.3/4", "1..2"], ids=repr)
def test_a_uid_that_is_none_is_refused_and_nothing_is_written(node: Node, keyword: str, uid: str) -> None:
    before = incoming(node)
    image = factories.ct_series(GRID, seed="hostile")[0]
    setattr(image, keyword, uid)
    assert send_raw(node, raw_sender.data_set(image), "1.2.3.4") == 0xC000
    assert incoming(node) == before
    until(lambda: was_logged(node, f"{keyword} {uid!r} is not a UID"), "it is logged", seconds=5)


def test_a_data_set_under_another_instances_name_is_refused(node: Node) -> None:
    image = factories.ct_series(GRID, seed="mismatch")[0]
    assert send_raw(node, raw_sender.data_set(image), "1.2.3.4") == 0xA900


def test_a_text_sent_as_ct_is_refused(node: Node) -> None:
    before = incoming(node)
    assert send_raw(node, b"Dear colleague, this is no image. " * 40, "1.2.3.5") == 0xC000
    assert incoming(node) == before
    until(lambda: was_logged(node, "not a data set"), "it is logged", seconds=5)


def test_a_truncated_data_set_is_refused_and_the_whole_one_is_taken(node: Node) -> None:
    before = incoming(node)
    image = factories.ct_series(GRID, seed="truncated")[0]
    sent = raw_sender.data_set(image)
    assert send_raw(node, sent[:-400], image.SOPInstanceUID) == 0xC000
    assert incoming(node) == before
    until(lambda: was_logged(node, "400 bytes of its Pixel Data are missing"), "it is logged", seconds=5)
    assert send_raw(node, sent, image.SOPInstanceUID) == 0x0000


def test_a_series_with_a_missing_slice_gets_no_result_and_the_list_names_the_hole(
    node: Node, storescu: str, tmp_path: Path
) -> None:
    series = factories.ct_series(GRID, seed="hole", missing=[11])
    assert node.storescu(storescu, "+sd", str(write(series, tmp_path / "hole"))).returncode == 0
    until(lambda: _rows(node, series), "the Series is closed")
    (row,) = _rows(node, series)
    assert row["geometry"].startswith("hole: 1 of 24 slices missing; the first gap is after slice 11")
    assert row["decision"] == "not analysed"
    assert not [job for job in node.jobs() if job["series_instance_uid"] == series[0].SeriesInstanceUID]


def test_the_missing_slice_that_comes_late_makes_the_series_whole(node: Node, storescu: str, tmp_path: Path) -> None:
    late = factories.ct_series(GRID, seed="late")
    node.storescu(storescu, "+sd", str(write(late[:11] + late[12:], tmp_path / "first")))
    until(lambda: _rows(node, late), "the Series is closed without it")
    node.storescu(storescu, "+sd", str(write([late[11]], tmp_path / "second")))
    until(lambda: any("24 x 48 x 48" in row["geometry"] for row in _rows(node, late)), "the Series is a volume")
    assert len(_rows(node, late)) == 1


def _rows(node: Node, series: list[Dataset]) -> list[dict[str, str]]:
    return [row for row in node.series() if row["series"] == series[0].SeriesInstanceUID]


def test_images_in_the_spool_are_for_the_service_alone(node: Node) -> None:
    files = [path for path in node.settings.spool.rglob("*") if path.is_file()]
    assert files
    assert {path.stat().st_mode & 0o077 for path in [*files, *node.settings.spool.rglob("*")]} == {0}


def test_a_broken_rules_file_stops_the_start_with_file_line_and_cure_and_nothing_else(
    node: Node, tmp_path: Path, packages_folder: Path
) -> None:
    settings = settings_in(tmp_path / "broken", free_port(), packages_folder)
    broken = (settings.folder / "rules.yaml").read_text().replace("modality", "modalty")
    (settings.folder / "rules.yaml").write_text(broken)
    seen = run_command("serve", "--config", str(settings.folder))
    assert seen.returncode == 1
    assert "rules.yaml:" in seen.stderr
    assert "did you mean 'modality'?" in seen.stderr
    assert not settings.spool.exists()
    assert answers(node.remote)


@pytest.mark.exhaustive  # it waits for two intervals
def test_results_wait_for_a_destination_that_is_down_and_arrive_when_it_is_up(
    tmp_path: Path, storescu: str, packages_folder: Path
) -> None:
    port = free_port()
    settings = settings_in(tmp_path / "config", port, packages_folder)
    series = write(factories.ct_series(GRID, seed="down"), tmp_path / "series")
    with running(settings) as node:
        assert node.storescu(storescu, "+sd", str(series)).returncode == 0
        until(lambda: _waits(node), "a delivery was tried and waits")
        with standing_in(tmp_path / "archive", port=port) as archive:
            until(lambda: all_ended(node, 1), "delivered")
            assert [job["state"] for job in node.jobs()] == ["DELIVERED"]
            assert len(_results(archive, settings)) >= 1


def _waits(node: Node) -> bool:
    return any("not reachable" in words for job in node.jobs() for words in job["deliveries"])


def _results(archive: Archive, settings: Settings) -> list[Dataset]:
    sent = [path.stem for path in settings.spool.glob("outbox/*/*.dcm")]
    return [dataset for dataset in archive.datasets() if dataset.SOPInstanceUID in sent]
