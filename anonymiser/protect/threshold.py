"""The threshold policy: what fewer than k browsers share goes to "(other)", every count is rounded.

No noise and no mathematical guarantee: someone who knows the rest can work out a small cell. It is labelled so
wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anonymiser.bounds import OTHER, ROUNDING
from anonymiser.catalogue import Key


def release(table: Mapping[Key, int], declared: Sequence[Key], k: int, *, open_ended: bool) -> list[tuple[Key, int]]:
    """Rounded cells. Where keys are open-ended those under `k` fall into "(other)"; elsewhere they become 0."""
    rest = (OTHER, "")
    keys = dict.fromkeys((*declared, *(sorted(table) if open_ended else ())))
    shown = [key for key in keys if key != rest and (table.get(key, 0) >= k or not open_ended)]
    cells = [(key, _rounded(table.get(key, 0), k)) for key in shown]
    if open_ended:
        hidden = sum(table.values()) - sum(table.get(key, 0) for key in shown)
        cells.append((rest, _rounded(hidden, k)))
    return cells


def _rounded(count: int, k: int) -> int:
    """The nearest multiple of ROUNDING that is at least `k`; 0 for less than `k`."""
    if count < k:
        return 0
    nearest = (count + ROUNDING // 2) // ROUNDING * ROUNDING
    return max(nearest, -(-k // ROUNDING) * ROUNDING)
