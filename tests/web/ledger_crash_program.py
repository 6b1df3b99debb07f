"""A process of its own that appends, sequences and erases, and is killed between any two steps that reach the disk.

Called with a home, a number N (N:M for every M-th) and the URL of each database, or "-" for a file: the first process
is killed before its step N, the next before the one after; each exits by itself when it has fewer. The ids of appended
records go into `said.N` as soon as `append` has answered.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from consent_app.ledger import Ledger
from tests.web.ledger_records import given

FIRST = 253
MORE = 4


def kill_before(step: int) -> None:
    """Let this process die before the step-th of: a commit, an fsync, a rename, a removal of a folder."""
    left = [step]

    def reached(*_: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **more: Any) -> Any:
            reached()
            return call(*args, **more)

        return wrapped

    os.fsync, os.replace, os.rmdir = counted(os.fsync), counted(os.replace), counted(os.rmdir)
    event.listen(Engine, "commit", reached)


def live(home: Path, url: str, step: int, said: Path) -> None:
    """Append, sequence, erase, sequence."""
    ledger = Ledger(home / "ledger.db", url)
    kill_before(step)
    with said.open("a") as file:
        for number in range(FIRST, FIRST + MORE):
            record = given(number)
            ledger.append(record)
            file.write(f"{record.id}\n")
            file.flush()
    ledger.sequence()
    ledger.erase(given(3).id)
    ledger.sequence()
    ledger.close()


def cross(home: Path, url: str, step: int, _: Path) -> None:
    """It is New Year: append, sequence, append, sequence."""
    ledger = Ledger(home / "ledger.db", url, clock=lambda: datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC))
    ledger._background.wake = lambda: None  # type: ignore[method-assign]
    kill_before(step)
    for number in (254, 255):
        ledger.append(given(number))
        ledger.sequence()
    ledger.close()


def main(lived: Callable[[Path, str, int, Path], None], home: Path, steps: Iterable[int], urls: list[str]) -> None:
    """One forked child for each step; each has a copy of the home, `home.0`, `home.1` and so on."""
    for step, url in zip(steps, urls, strict=False):
        child = os.fork()
        if child == 0:
            lived(home.with_name(f"{home.name}.{step}"), url.strip("-"), step, home.with_name(f"said.{step}"))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(step, os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    words = sys.argv[1:]
    what = cross if words[0] == "--new-year" else live
    words = words[1:] if what is cross else words
    begin, _, stride = words[1].partition(":")
    main(what, Path(words[0]), count(int(begin), int(stride or 1)), words[2:])
