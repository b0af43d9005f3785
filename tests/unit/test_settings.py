"""A configuration that is wrong says where and what to do."""

from pathlib import Path

import pytest

from service.core.errors import ConfigurationError
from service.core.profiles import Kind
from service.core.transfer_syntaxes import ACCEPTED, LOSSY_PLUGINS
from service.edge import codecs
from service.settings import TEMPLATES, load
from service.settings.receiving import Receiving

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
DESTINATIONS = "destinations:\n  - {name: pacs, ae_title: PACS, host: 10.0.0.5, port: 104}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("node.yaml", "rules.yaml"):
        (tmp_path / name).write_text((TEMPLATES / name).read_text())
    (tmp_path / "destinations.yaml").write_text(DESTINATIONS)
    return tmp_path


def test_the_shipped_configuration_admits_nobody_and_sends_nothing() -> None:
    settings = load(TEMPLATES)
    assert settings.node.receiving.peers == ()
    assert settings.node.receiving.bind == "127.0.0.1"
    assert settings.rules == ()
    assert settings.destinations == ()


def test_a_destination_takes_what_its_profile_says(folder: Path) -> None:
    (folder / "destinations.yaml").write_text(
        "destinations:\n"
        "  - {name: usual, ae_title: A, host: a, port: 104}\n"
        "  - {name: viewer, ae_title: B, host: b, port: 104, profile: weasis}\n"
        "  - name: small\n    ae_title: C\n    host: c\n    port: 104\n"
        "    profile: {preset: pacs, objects: [report, capture], segmentation: labelmap, compression: rle}\n"
    )
    usual, viewer, small = (destination.profile for destination in load(folder).destinations)
    assert usual.objects == (Kind.SEGMENTATION, Kind.HEAT_MAP, Kind.REPORT)
    assert {Kind.PRESENTATION, Kind.KEY_IMAGES} < set(viewer.objects)
    assert (small.objects, small.segmentation) == ((Kind.REPORT, Kind.CAPTURE), "labelmap")
    assert usual.variant == viewer.variant == ""
    assert small.variant


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        pytest.param(
            "rules.yaml",
            "rules:\n  - name: a\n    model: m\n    destinations: [pacs]\n    when:\n      modalty: MR\n",
            ["rules.yaml:6:", "rules.0.when.modalty", "unknown key", "did you mean 'modality'?"],
            id="unknown key",
        ),
        pytest.param(
            "rules.yaml",
            "rules:\n  - name: a\n    model: m\n    destinations: [pac]\n    when: {}\n",
            ["rules.yaml:4:", "rule 'a' sends to 'pac'", "did you mean 'pacs'?"],
            id="unknown destination",
        ),
        pytest.param(
            "rules.yaml",
            "rules:\n  - name: a\n    destinations: [pacs]\n    when: {}\n",
            ["rules.yaml:2:", "rules.0.model", "required"],
            id="missing key",
        ),
        pytest.param("rules.yaml", "rules:\n  - name: a\n   model: m\n", ["rules.yaml:3:", "not YAML"], id="not YAML"),
        pytest.param(
            "destinations.yaml",
            DESTINATIONS.replace("port: 104", "port: 104, profile: ohiff"),
            ["destinations.yaml:2:", "there is no preset 'ohiff': choose one of usual, orthanc, ohif"],
            id="unknown preset",
        ),
        pytest.param(
            "destinations.yaml",
            DESTINATIONS.replace("port: 104", "port: 104, profile: {objects: [segmentation, raport]}"),
            ["destinations.yaml:2:", "profile.objects.1", "'report'"],
            id="unknown object",
        ),
        pytest.param(
            "destinations.yaml",
            DESTINATIONS.replace("port: 104", "port: 104, profile: {compression: rle}"),
            ["destinations.yaml:2:", "RLE cannot compress a binary segmentation", "use deflate or labelmap"],
            id="compression that does not fit",
        ),
        pytest.param("rules.yaml", "- a\n- b\n", ["rules.yaml:1:"], id="a list"),
        pytest.param(
            "node.yaml",
            "receiving:\n  port: 70000\n",
            ["node.yaml:2:", "receiving.port", "70000"],
            id="port out of range",
        ),
        pytest.param(
            "node.yaml",
            "receiving:\n  ae_title: THIS-TITLE-IS-TOO-LONG\n",
            ["node.yaml:2:", "at most 16 characters"],
            id="AE title too long",
        ),
    ],
)
def test_a_wrong_file_names_itself_the_line_and_the_cure(
    folder: Path, name: str, text: str, expected: list[str]
) -> None:
    (folder / name).write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        load(folder)
    for words in expected:
        assert words in str(raised.value)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        pytest.param("node.yaml", "spool: a\nspool: b\n", "node.yaml:2: spool is written twice", id="a key twice"),
        pytest.param("node.yaml", "keeping: {days: .inf}\n", "keeping.days", id="for ever"),
        pytest.param(
            "node.yaml",
            "receiving:\n  peers:\n"
            "    - {ae_title: CT, host: 10.0.0.1, archive: {ae_title: A, host: a, port: 104}}\n"
            "    - {ae_title: CT, host: 10.0.0.2, archive: {ae_title: B, host: b, port: 104}}\n",
            "two entries of CT name different archives",
            id="two archives",
        ),
        pytest.param(
            "node.yaml",
            "receiving:\n  peers:\n"
            "    - {ae_title: CT, host: 10.0.0.1, report_to: {host: a, port: 104}}\n"
            "    - {ae_title: CT, host: 10.0.0.2, report_to: {host: b, port: 104}}\n",
            "two entries of CT name different places to report to",
            id="two places to report to",
        ),
        pytest.param(
            "node.yaml",
            "receiving:\n  peers:\n"
            "    - {ae_title: CT, host: 10.0.0.1, archive: {ae_title: A, host: a, port: 104, retrieve: pull}}\n",
            "retrieve: Input should be 'move', 'get' or 'none'; it is 'pull'",
            id="a way to retrieve that is none",
        ),
        pytest.param(
            "node.yaml",
            "receiving:\n  peers: [{ae_title: CT, host: 10.0.0.1, certificate: ct.example}]\n",
            "CT may come by certificate alone, and there is no port for it: add tls",
            id="a certificate and no TLS",
        ),
        pytest.param(
            "node.yaml",
            "receiving:\n  peers: [{ae_title: CT, host: 10.0.0.1, certificate: '*.example'}]\n",
            "a common name or DNS name counts whole, without wildcards",
            id="a wildcard",
        ),
        pytest.param(
            "node.yaml",
            "receiving:\n  peers: [{ae_title: CT, host: 10.0.0.1, certificate: 'sha256:abc'}]\n",
            "a fingerprint is sha256: and 64 hexadecimal digits",
            id="half a fingerprint",
        ),
        pytest.param(
            "node.yaml",
            "receiving:\n  peers:\n"
            "    - {ae_title: CT, host: 10.0.0.1, archive: {kind: dicomweb, url: 'https://a', retrieve: move}}\n",
            "node.yaml:3: receiving.peers.0.archive.retrieve: unknown key",
            id="a way to retrieve by DICOMweb",
        ),
        pytest.param(
            "node.yaml",
            "receiving:\n  peers:\n    - {ae_title: CT, host: 10.0.0.1, archive: {kind: folder, path: a}}\n",
            "kind is dicom or dicomweb",
            id="a kind of archive that is none",
        ),
        pytest.param(
            "destinations.yaml",
            "destinations:\n  - {name: web, kind: dicomweb, url: 'http://pacs/dicom-web', token_file: token}\n",
            "a token would cross the network to pacs in plain text: write https:// in url",
            id="a token over http",
        ),
        pytest.param(
            "destinations.yaml",
            "destinations:\n  - {name: web, kind: dicomweb, url: 'https://me:secret@pacs/dicom-web'}\n",
            "destinations.0.url",
            id="a password in a URL",
        ),
        pytest.param(
            "destinations.yaml",
            "destinations:\n  - {name: web, kind: dicomweb, url: 'https://pacs', certificate: our.pem}\n",
            "certificate and private_key belong together",
            id="a certificate without a key",
        ),
        pytest.param(
            "destinations.yaml",
            DESTINATIONS + DESTINATIONS.splitlines()[1],
            "two destinations are named pacs",
            id="a name twice",
        ),
    ],
)
def test_what_is_ambiguous_or_boundless_is_refused(folder: Path, name: str, text: str, expected: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(ConfigurationError, match=expected):
        load(folder)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_token_may_go_over_http_to_this_machine(folder: Path, host: str) -> None:
    (folder / "destinations.yaml").write_text(
        f"destinations:\n  - {{name: web, kind: dicomweb, url: 'http://{host}:8042/dicom-web', token_file: token}}\n"
    )
    (destination,) = load(folder).destinations
    assert destination.kind == "dicomweb"


def test_a_section_whose_lines_are_all_comments_is_one_of_defaults(folder: Path) -> None:
    (folder / "node.yaml").write_text("receiving:\n  # port: 104\n")
    assert load(folder).node.receiving.port == 11112


def test_a_relative_sqlite_ledger_is_relative_to_the_configuration(folder: Path) -> None:
    (folder / "node.yaml").write_text("ledger: sqlite:///here.sqlite3\n")
    assert load(folder).ledger_url == f"sqlite:///{folder / 'here.sqlite3'}"


def test_a_folder_without_configuration_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="isocenter init"):
        load(tmp_path)


def test_relative_paths_are_relative_to_the_configuration(folder: Path) -> None:
    settings = load(folder)
    assert settings.spool == folder / "spool"
    assert settings.ledger_url == f"sqlite:///{folder / 'ledger.sqlite3'}"


def receiving(folder: Path, text: str) -> Receiving:
    (folder / "node.yaml").write_text(f"receiving:\n{text}")
    return load(folder).node.receiving


def test_a_fingerprint_is_taken_as_openssl_writes_it(folder: Path) -> None:
    written = ":".join(["0A"] * 32)
    text = (
        f"  peers: [{{ae_title: CT, host: 10.0.0.1, certificate: 'SHA256:{written}'}}]\n"
        "  tls: {certificate: a.pem, private_key: a.key, authorities: ca.pem}\n"
    )
    assert receiving(folder, text).admitted[0].certificate == "sha256:" + "0a" * 32


def test_every_transfer_syntax_that_can_be_decoded_is_accepted(folder: Path) -> None:
    assert receiving(folder, "  port: 104\n").negotiated == ACCEPTED


def test_lossy_transfer_syntaxes_may_be_refused(folder: Path) -> None:
    negotiated = receiving(folder, "  lossy: refuse\n").negotiated
    assert set(negotiated) == set(ACCEPTED) - set(LOSSY_PLUGINS)


def test_a_transfer_syntax_whose_plugin_is_absent_is_not_accepted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codecs, "find_spec", lambda module: None if module == "gdcm" else module)
    assert JPEG_LOSSLESS not in receiving(folder, "  port: 104\n").negotiated
    with pytest.raises(ConfigurationError, match="needs python-gdcm, which is not installed"):
        receiving(folder, f"  transfer_syntaxes: [{JPEG_LOSSLESS}]\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("  transfer_syntaxes: [1.2.840.10008.1.2.4.100]\n", "not decoded here", id="MPEG"),
        pytest.param(
            "  lossy: refuse\n  transfer_syntaxes: [1.2.840.10008.1.2.4.91]\n",
            "1.2.840.10008.1.2.4.91: take one of them out",
            id="lossy and refused",
        ),
    ],
)
def test_a_transfer_syntax_that_cannot_be_accepted_is_named(text: str, reason: str, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        receiving(folder, text)
