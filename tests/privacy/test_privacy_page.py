"""docs/privacy.md prints the table of bounds from the code; this keeps it the same.

To renew the page: `python tests/privacy/test_privacy_page.py`.
"""

from __future__ import annotations

from pathlib import Path

from anonymiser.bounds import STATISTICS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "privacy.md"
START, END = "<!-- bounds -->\n", "<!-- /bounds -->"


def table() -> str:
    rows = [
        f"| `{s.name}` | {s.l2:.3g} | {s.linf} | {s.keys_touched} | {s.weight:g} | {s.schedule} |\n"
        for s in STATISTICS.values()
    ]
    return "| statistic | L2 | L∞ | cells | share | released |\n|---|---|---|---|---|---|\n" + "".join(rows)


def renewed(text: str) -> str:
    head, _, rest = text.partition(START)
    _, _, tail = rest.partition(END)
    return head + START + table() + END + tail


def test_the_page_prints_the_table_of_the_code() -> None:
    text = PAGE.read_text("utf-8")
    assert START in text
    assert renewed(text) == text


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")
