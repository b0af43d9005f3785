"""What an administrator types, and what comes back."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.commands.archive import free_port
from service.derived.encoding import encode
from service.edge.intake import Answer, Refused
from service.edge.listening import listening
from service.edge.storage_scp import Door, StorageScp
from tests import factories
from tests.certificates import Authority
from tests.node import run_command


@pytest.fixture
def config(tmp_path: Path) -> Path:
    assert run_command("init", str(tmp_path / "site")).returncode == 0
    return tmp_path / "site"


@pytest.fixture
def peer() -> Iterator[int]:
    """A peer that answers C-ECHO and acknowledges every instance."""
    with listening(StorageScp(Door("PEER"), lambda _: Refused(Answer(0x0000)), lambda _: None)) as port:
        yield port


def test_init_writes_a_commented_configuration_that_loads(config: Path) -> None:
    assert sorted(path.name for path in config.iterdir()) == ["destinations.yaml", "node.yaml", "rules.yaml"]
    assert all("# " in path.read_text() for path in config.iterdir())
    assert run_command("status", "--config", str(config)).returncode == 0


def test_init_leaves_an_existing_configuration_alone(config: Path) -> None:
    (config / "node.yaml").write_text("receiving: {port: 11113}\n")
    again = run_command("init", str(config))
    assert again.returncode == 1
    assert "exists and is left as it is" in again.stderr
    assert (config / "node.yaml").read_text() == "receiving: {port: 11113}\n"


def test_doctor_says_of_each_thing_that_it_is_well_or_what_to_do(config: Path, peer: int) -> None:
    (config / "destinations.yaml").write_text(
        f"destinations:\n  - {{name: up, ae_title: PEER, host: 127.0.0.1, port: {peer}}}\n"
        f"  - {{name: down, ae_title: PEER, host: 127.0.0.1, port: {free_port()}}}\n"
    )
    (config / "node.yaml").write_text(f"receiving: {{port: {free_port()}, refuse_below_free: 0.001}}\n")
    seen = run_command("doctor", "--config", str(config))
    lines = {line[6:].split(":")[0]: line for line in seen.stdout.splitlines()}
    assert seen.returncode == 1
    well = [check for check, line in lines.items() if line.startswith("ok")]
    settings, machine = ["configuration", "port", "spool", "flush", "ledger"], ["transfer syntaxes", "models", "device"]
    assert well == [*settings, *machine, "destination up"]
    assert "nobody may send" in lines["peers"]
    assert "is not reachable" in lines["destination down"]


def test_doctor_says_of_every_certificate_how_long_it_is_good(config: Path) -> None:
    authority = Authority(config)
    own, old = authority.certified("ISOCENTER"), authority.certified("OLD", days=(-30, 0.9))
    inwards = ", ".join(f"{name}: {path}" for name, path in authority.settings(own, free_port()).items())
    outwards = ", ".join(f"{name}: {path}" for name, path in authority.client_settings(old).items())
    (config / "node.yaml").write_text(f"receiving: {{port: {free_port()}, tls: {{{inwards}}}}}\n")
    pacs = f"name: pacs, ae_title: PACS, host: localhost, port: {free_port()}, tls: {{{outwards}}}"
    (config / "destinations.yaml").write_text(f"destinations:\n  - {{{pacs}}}\n")
    seen = run_command("doctor", "--config", str(config)).stdout.splitlines()
    assert "ok    tls: keys fit their certificates, and nobody else may read them" in seen
    assert [line.partition(" left, until ")[0] for line in seen if "certificate " in line] == [
        "ok    certificate authority.pem: CN=authority: 3649 days",
        "ok    certificate ISOCENTER.pem: CN=ISOCENTER: 89 days",
        "FAIL  certificate OLD.pem: CN=OLD: 0 days",
    ]


def test_doctor_names_a_broken_configuration(config: Path) -> None:
    (config / "rules.yaml").write_text("rulez: []\n")
    seen = run_command("doctor", "--config", str(config))
    assert seen.returncode == 1
    assert "rules.yaml:1: rulez: unknown key; did you mean 'rules'?" in seen.stdout


def test_echo_reaches_a_peer_and_names_one_that_is_not_there(peer: int) -> None:
    assert "answered: success" in run_command("echo", "127.0.0.1", str(peer), "PEER").stdout
    absent = run_command("echo", "127.0.0.1", str(free_port()), "PEER")
    assert absent.returncode == 1
    assert absent.stderr.startswith("PEER at 127.0.0.1:")
    assert "Traceback" not in absent.stderr


def test_send_sends_every_dicom_file_of_a_folder_and_no_other(peer: int, tmp_path: Path) -> None:
    for number, image in enumerate(factories.ct_series(factories.grid(shape=(3, 8, 8)))):
        (tmp_path / f"{number}.dcm").write_bytes(encode(image))
    (tmp_path / "notes.txt").write_text("Dear colleague")
    seen = run_command("send", str(tmp_path), "127.0.0.1", str(peer), "PEER")
    assert seen.returncode == 0
    assert "3 of 3 sent" in seen.stdout


def test_an_empty_node_has_empty_lists(config: Path) -> None:
    assert json.loads(run_command("jobs", "--json", "--config", str(config)).stdout) == []
    assert json.loads(run_command("status", "--json", "--config", str(config)).stdout)["series"] == []


def test_requeue_names_a_job_that_is_not_there(config: Path) -> None:
    seen = run_command("requeue", "nothing", "--config", str(config))
    assert seen.returncode == 1
    assert seen.stderr.strip() == "there is no job nothing: `isocenter jobs` lists them"


def test_explain_names_every_condition(config: Path, tmp_path: Path) -> None:
    (config / "destinations.yaml").write_text("destinations: [{name: pacs, ae_title: P, host: h, port: 104}]\n")
    (config / "rules.yaml").write_text(
        "rules:\n  - name: liver\n    model: phantom_abdomen\n    destinations: [pacs]\n"
        "    when: {modality: CT, plane: axial, body_part: PELVIS}\n"
    )
    for number, image in enumerate(factories.ct_series(factories.grid(shape=(4, 8, 8)))):
        (tmp_path / f"{number}.dcm").write_bytes(encode(image))
    seen = run_command("explain", str(tmp_path), "--config", str(config)).stdout
    assert "4 instances: axial, 4 x 8 x 8 voxels of 2.5 x 1 x 1 mm" in seen
    assert "no    rule liver" in seen
    assert "ok  modality: CT (wanted CT)" in seen
    assert "NO  body_part: ABDOMEN (wanted PELVIS)" in seen


def test_a_folder_without_images_is_named(config: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    seen = run_command("explain", str(tmp_path / "empty"), "--config", str(config))
    assert seen.returncode == 1
    assert "there is no DICOM file in" in seen.stderr
