"""QR codes (ISO/IEC 18004): in a page, and in a terminal."""

from __future__ import annotations

import io

import segno
from markupsafe import Markup


def picture(text: str, title: str) -> Markup:
    """As inline SVG, always dark on light, because readers want it so; the policy of a page allows it."""
    drawn = segno.make(text, error="m").svg_inline(
        border=4, omitsize=True, dark="#000", light="#fff", svgclass="code", lineclass=None, title=title
    )
    return Markup(drawn)  # noqa: S704 - segno draws it, and escapes the title


def blocks(text: str) -> str:
    """As lines of block letters, for a terminal."""
    lines = io.StringIO()
    segno.make(text, error="m").terminal(lines, border=2, compact=True)
    return lines.getvalue()
