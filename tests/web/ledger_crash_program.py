"""A process of its own that appends, sequences and erases, and is killed between any two steps that reach the disk.

Called with a home, a number and a file: the ids of appended records go into the file as soon as `append` has answered.
The number says before which step the process ends itself with SIGKILL; it exits by itself when there are fewer steps.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from consent_app.ledger import Ledger
from tests.web.ledger_records import given

FIRST = 250
MORE = 10


def kill_before(step: int) -> None:
    """Let this process die before the step-th of: a commit, an fsync, a rename, a removal of a folder."""
    left = [step]

    def count(*_: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **more: Any) -> Any:
            count()
            return call(*args, **more)

        return wrapped

    os.fsync, os.replace, os.rmdir = counted(os.fsync), counted(os.replace), counted(os.rmdir)
    event.listen(Engine, "commit", count)


def live(home: Path, step: int, said: Path) -> None:
    """Append, sequence, erase, sequence."""
    ledger = Ledger(home / "ledger.db")
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


def main(home: Path, first: int, last: int) -> None:
    """One forked child for each step; each has a copy of the home, `home.0`, `home.1` and so on."""
    for step in range(first, last):
        child = os.fork()
        if child == 0:
            live(home.with_name(f"{home.name}.{step}"), step, home.with_name(f"said.{step}"))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(step, os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
