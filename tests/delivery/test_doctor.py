"""What `isocenter doctor` says of destinations that are not well."""

from pathlib import Path

import pytest
import yaml

from service.commands.archive import free_port
from service.commands.doctor import Line, examine
from tests.delivery.scripted import scripted, status
from tests.node import configure


def lines(folder: Path, *destinations: dict[str, object]) -> list[Line]:
    configure(folder, free_port(), [])
    written = [{"name": str(number)} | each for number, each in enumerate(destinations)]
    (folder / "destinations.yaml").write_text(yaml.safe_dump({"destinations": written}))
    return [line for line in examine(folder) if line.check.startswith("destination ")]


@pytest.mark.parametrize(("code", "words"), [(401, "see token_file"), (404, "see url"), (503, "it is busy")])
def test_a_dicomweb_server_that_does_not_answer_is_named(tmp_path: Path, code: int, words: str) -> None:
    with scripted(status(code)) as server:
        (line,) = lines(tmp_path, {"kind": "dicomweb", "url": server.url})
    assert not line.well
    assert line.words.startswith(f"{server.url}/studies answered {code}: ")
    assert line.words.endswith(words)


def test_a_folder_that_is_not_there_and_one_that_is(tmp_path: Path) -> None:
    absent, present = lines(tmp_path, {"kind": "folder", "path": "nowhere"}, {"kind": "folder", "path": "."})
    assert not absent.well
    assert "nowhere is not there: make it, or mount what it is on" in absent.words
    assert (present.well, present.words) == (True, f"folder {tmp_path} can be written")
