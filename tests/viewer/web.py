"""OHIF and an Orthanc's DICOMweb under one address, so that the browser meets no other origin."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

DICOM_WEB = "/dicom-web"
_CONFIGURATION = {
    "routerBasename": "/",
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "maxNumberOfWebWorkers": 2,
    "defaultDataSourceName": "orthanc",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "orthanc",
            "configuration": {
                "friendlyName": "Orthanc",
                "name": "orthanc",
                "wadoUriRoot": DICOM_WEB,
                "qidoRoot": DICOM_WEB,
                "wadoRoot": DICOM_WEB,
                "qidoSupportsIncludeField": True,
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "enableStudyLazyLoad": True,
                "supportsFuzzyMatching": False,
                "supportsWildcard": True,
                "omitQuotationForMultipartRequest": True,
                "bulkDataURI": {"enabled": True},
            },
        }
    ],
}


@contextmanager
def served(viewer: Path, archive_http_port: int) -> Iterator[str]:
    """The address of a server for the files of OHIF in `viewer` that passes /dicom-web on to an Orthanc."""
    handler = type("Handler", (_Handler,), {"viewer": viewer, "archive": f"http://127.0.0.1:{archive_http_port}"})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    viewer: Path
    archive: str

    def do_GET(self) -> None:
        """A file of the viewer, the viewer itself for every address of its own, or what the archive answers."""
        path = self.path.partition("?")[0]
        if path.startswith(DICOM_WEB):
            return self._pass_on()
        if path == "/app-config.js":
            return self._answer("text/javascript", f"window.config = {json.dumps(_CONFIGURATION)};".encode())
        if not (self.viewer / path.lstrip("/")).is_file():
            self.path = "/index.html"
        return super().do_GET()

    def translate_path(self, path: str) -> str:
        return str(self.viewer / path.partition("?")[0].lstrip("/"))

    def log_message(self, format: str, *_: object) -> None:
        """Nothing: the browser's console says what it missed."""

    def _pass_on(self) -> None:
        headers = {"Accept": self.headers.get("Accept", "*/*"), "Host": self.headers["Host"]}
        request = urllib.request.Request(self.archive + self.path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                self._answer(answer.headers["Content-Type"], answer.read())
        except urllib.error.HTTPError as error:
            self.send_error(error.code)

    def _answer(self, content_type: str, content: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
