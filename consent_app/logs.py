"""What the server logs: one line an event, as JSON or for people, without anything a visitor sent.

Only our own loggers' words are printed as they are: each is written with that in mind. Of anybody else's event the line
says what kind it is and where it happened. The text of an exception is never printed, whoever raised it: a parser's
quotes what it was given.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final

OWN: Final = ("consent_app", "anonymiser")
FRAMES: Final = 8
WITHHELD: Final = "(its words are withheld)"
_SIGNAL: Final = re.compile(r"SIG[A-Z0-9]+")
_log: Final = logging.getLogger(__name__)


class Line(logging.Formatter):
    """An event as one line: `json`, or plain text with the same content."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """The line; formatting never fails, or the event would be lost and its arguments printed."""
        event: dict[str, Any] = {
            "time": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": _words(record),
        }
        if record.exc_info and record.exc_info[0]:
            event |= {"fault": record.exc_info[0].__name__, "at": places(record.exc_info[2])}
        return json.dumps(event, ensure_ascii=False) if self._as_json else _text(event)


def install(log_format: str) -> logging.Handler:
    """Have every logger of this process, and what nobody caught, print such lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Line(as_json=log_format == "json"))
    logging.getLogger().handlers = [handler]
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda fault: _uncaught(fault.exc_type, fault.exc_value, fault.exc_traceback)
    sys.unraisablehook = lambda fault: _uncaught(fault.exc_type, fault.exc_value, fault.exc_traceback)
    return handler


def places(trace: TracebackType | None) -> list[str]:
    """Where an exception came from, innermost last, as file:line: no values, no source text."""
    return [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(trace)[-FRAMES:]]


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        _log.critical("nobody caught this", exc_info=(kind, error or kind(), trace))


def _words(record: logging.LogRecord) -> str:
    """Ours in full; another's template without what was put into it, unless that is numbers and names of signals."""
    try:
        if record.name.partition(".")[0] in OWN:
            return " ".join(record.getMessage().split())
        if not isinstance(record.msg, str):
            return WITHHELD
        if record.args:
            return record.getMessage() if all(map(_is_harmless, _values(record.args))) else record.msg
        return f"{' '.join(record.msg.split()[:2])} … {WITHHELD}" if record.name.startswith("gunicorn") else WITHHELD
    except Exception:
        return WITHHELD


def _values(args: Any) -> list[Any]:
    return list(args.values()) if isinstance(args, dict) else list(args)


def _is_harmless(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and bool(_SIGNAL.fullmatch(value)))


def _text(event: dict[str, Any]) -> str:
    fault = f" {event['fault']} at {' > '.join(event['at'])}" if "fault" in event else ""
    return f"{event['time']} {event['level']} {event['logger']}: {event['message']}{fault}"
