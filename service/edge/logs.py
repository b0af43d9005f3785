"""One JSON line per event, with UIDs and ids and never a patient's name, identifier or birth date."""

import logging
import sys
import warnings
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LIBRARIES_THAT_QUOTE_VALUES = ("pydicom", "pynetdicom", "highdicom", "py.warnings")


def configure(role: str, stream: TextIO = sys.stderr) -> None:
    """Send our events, and what libraries log, to `stream` as JSON lines that carry the role."""
    structlog.configure(
        processors=[
            _naming(role),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    warnings.simplefilter("ignore")  # pydicom's warnings quote the offending value
    logging.basicConfig(level=logging.WARNING, handlers=[_Bridge()], force=True)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a tick that outlasts its interval is no news


def _naming(role: str) -> Processor:
    """A processor that adds the role, whatever thread an event comes from."""

    def name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {"role": role} | dict(event)

    return name


class _Bridge(logging.Handler):
    """Library records as events; from libraries that quote values only the place, not the words."""

    def emit(self, record: logging.LogRecord) -> None:
        quotes = record.name.startswith(LIBRARIES_THAT_QUOTE_VALUES)
        words = f"{record.module}:{record.lineno}" if quotes else record.getMessage()
        structlog.get_logger().log(record.levelno, "library", logger=record.name, message=words)
