"""Answering a banner, whoever made it: ours by its own calls, others by autoconsent or by their buttons' words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from consent_app.errors import ScanError
from consent_app.languages import available, texts

if TYPE_CHECKING:
    from playwright.sync_api import Page

Answer = Literal["accept", "reject"]
LOOK: Final = 100  # milliseconds

OURS: Final = "window.ConsentBanner && 'run' in ConsentBanner && ConsentBanner.validConsent ? true : false"
CALLS: Final[dict[Answer, str]] = {
    "accept": "ConsentBanner.acceptCategory('all')",
    "reject": "ConsentBanner.rejectAll()",
}
# What buttons of English banners say besides the words of ours.
SAID: Final[dict[Answer, tuple[str, ...]]] = {
    "accept": (
        "Accept",
        "Accept cookies",
        "Accept all cookies",
        "Allow all",
        "Allow cookies",
        "I agree",
        "Agree",
        "OK",
    ),
    "reject": (
        *("Reject", "Reject cookies", "Reject all cookies", "Decline", "Decline all", "Deny", "Refuse", "Refuse all"),
        *("Only necessary", "Necessary only", "Only essential", "Essential only", "Use necessary cookies only"),
        *("Continue without accepting", "Opt out", "Do not accept"),
    ),
}
# The place of autoconsent's stand-alone script that says what kind of page it runs in; what to do goes beside.
CONFIGURED: Final = "isMainWorld: true,"
ACTIONS: Final[dict[Answer, str]] = {"accept": "optIn", "reject": "optOut"}
DONE: Final = """(accept) => (window.autoconsentStandalone?.messages ?? [])
  .some(({ type, result }) => type === (accept ? "optInResult" : "optOutResult") && result)"""


@dataclass(frozen=True, slots=True)
class Answerer:
    """Answers banners. `rules` is the text of autoconsent's stand-alone script, "" without; `patience` milliseconds."""

    rules: str = ""
    patience: int = 5000

    def answer(self, page: Page, answer: Answer) -> str:
        """Answer the page's banner; says how it was done, "" where nothing to answer was found."""
        if page.evaluate(OURS):
            page.evaluate(CALLS[answer])
            return f"its own call, {CALLS[answer]}"
        return self._by_rules(page, answer) or self._by_words(page, answer)

    def _by_rules(self, page: Page, answer: Answer) -> str:
        if not self.rules:
            return ""
        page.evaluate(self.rules.replace(CONFIGURED, f'{CONFIGURED} autoAction: "{ACTIONS[answer]}",'))
        for _ in range(self.patience // LOOK):
            # Not Playwright's own waiting: it needs eval, which strict pages forbid.
            if page.evaluate(DONE, answer == "accept"):
                return "autoconsent"
            page.wait_for_timeout(LOOK)
        return ""

    def _by_words(self, page: Page, answer: Answer) -> str:
        """The first visible button that says it, in any frame."""
        for frame in page.frames:
            for role in ("button", "link"):
                for button in frame.get_by_role(role, name=_words(answer)).all():
                    if button.is_visible():
                        said = " ".join(button.inner_text().split())[:60]
                        button.click(timeout=self.patience)
                        return f"the {role} “{said}”"
        return ""


def rules(file: Path) -> str:
    """The text of autoconsent's stand-alone script. Raises ScanError where it is not one that we can tell."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScanError(f"{file} cannot be read: {error}") from error
    if CONFIGURED not in text or "autoconsentReceiveMessage" not in text:
        raise ScanError(
            f"{file} is not the autoconsent.standalone.js that is known here (@duckduckgo/autoconsent 16, folder dist)"
        )
    return text


@lru_cache(maxsize=2)
def _words(answer: Answer) -> re.Pattern[str]:
    ours = {texts(lang)[answer] for lang in available()}
    said = sorted({*ours, *SAID[answer]}, key=len, reverse=True)
    return re.compile(rf"^\s*({'|'.join(map(re.escape, said))})\s*$", re.IGNORECASE)
