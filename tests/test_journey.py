"""The whole way: visitors in a real browser, the batch, the dashboard, the proof. Told once, then looked at."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, Response

from anonymiser.stats import Statistics
from consent_app import home as data_home
from consent_app.demo import build
from consent_app.ledger import Ledger
from consent_app.settings import Settings
from consent_app.users import Users

pytestmark = [pytest.mark.browser, pytest.mark.slow]

BIN = Path(sys.executable).parent
LONDON = ZoneInfo("Europe/London")
ACCEPTERS = 8  # 40 views: above their own margin but once in ten million runs
PAGES = ("/", "/stationery", "/furniture", "/print", "/contact")
MAIL = "jane.canary@mail.example"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
# The least noise that may be asked for, so that a handful of visitors can be told from nothing.
LOUD = '[site.kent]\ncatalogue_file = "pages.txt"\ngrain = "day"\nprotection = { epsilon = 20 }\n'


@dataclass
class Story:
    """What happened: where, on which day, what the browsers sent and what the programs said."""

    home: Path
    port: int
    day: date
    sent: dict[str, list[str]] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    page: str = ""
    names: str = ""

    @property
    def kent(self) -> str:
        return f"http://kent.localhost:{self.port}"

    @contextmanager
    def server(self) -> Iterator[None]:
        """`consent demo` on this home, stopped in good order."""
        command = [str(BIN / "consent"), "demo", "--home", str(self.home), "--port", str(self.port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                assert process.stdout is not None
                while "Ctrl-C stops everything" not in (line := process.stdout.readline()):
                    self.said.append(line)
                    assert line, self.said
                yield
                process.send_signal(signal.SIGTERM)
                self.said.append(process.communicate(timeout=60)[0])
                assert process.returncode == 0, self.said
            finally:
                process.kill()

    def consent(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A `consent` command on this home."""
        environment = {**os.environ, "CONSENT_HOME": str(self.home)}
        return subprocess.run([BIN / "consent", *words], env=environment, capture_output=True, text=True, check=False)

    @contextmanager
    def visitor(self, browser: Browser, name: str, *, scripts: bool = True) -> Iterator[Page]:
        """A browser nobody used before; what it sends and which cookies it ends up with are noted under `name`."""
        context = browser.new_context(user_agent=AGENT, java_script_enabled=scripts, locale="en-GB")
        sent = self.sent.setdefault(name, [])
        context.on("request", lambda request: sent.append(_told(request)))
        context.set_default_timeout(30_000)
        context.add_init_script("document.addEventListener('consent:show', () => { window.asked = true })")
        yield context.new_page()
        self.cookies[name] = _cookie(context)
        context.close()


def _told(request: Request) -> str:
    body = request.post_data or ""
    return f"{request.method} {request.url} {body}"


def _cookie(context: BrowserContext) -> str:
    return next((c["value"] for c in context.cookies() if c["name"] == "consent"), "")


def beacons(sent: list[str]) -> list[str]:
    return [line for line in sent if "/v1/collect" in line]


@pytest.fixture(scope="module")
def story(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Visitors come, the server stops, the days pass, marketing looks."""
    told = Story(tmp_path_factory.mktemp("journey") / "home", _free_port(), datetime.now(LONDON).date())
    _make_home(told)
    with told.server():
        _visits(told, chromium)
    soon = datetime.now(UTC) + timedelta(hours=2)
    later = told.day + timedelta(days=2)
    # The one counts and removes the facts, the other publishes the day, once it is over everywhere.
    for moment in (f"{soon:%Y-%m-%dT%H:%M}Z", f"{later}T04:00Z"):
        batch = told.consent("batch", "--now", moment)
        told.said += [batch.stdout, batch.stderr]
        assert batch.returncode == 0, told.said
    with told.server():
        _marketing(told, chromium)
    return told


def _make_home(told: Story) -> None:
    settings = Settings.from_environment({}, home=told.home)
    data_home.create(settings)
    text = settings.sites_file.read_text("utf-8")
    settings.sites_file.write_text(text.replace("[site.kent]\n", LOUD, 1), "utf-8")
    (told.home / "pages.txt").write_text("\n".join(PAGES), "utf-8")
    Users.load(settings.users_file).add(build.USER, build.PASSWORD, "viewer", ("kent",))
    (told.home / build.STATE).write_text(build.READY)


def _visits(told: Story, browser: Browser) -> None:
    for number in range(ACCEPTERS):
        with told.visitor(browser, f"accepter {number}") as page:
            page.goto(f"{told.kent}/?email={MAIL}&q={MAIL}")
            _asked(page)
            with page.expect_response(_counts("pageview", "/")), page.expect_response(_counts("search", "/")):
                page.get_by_role("button", name="Accept all").click()
            for path in PAGES[1:]:
                with page.expect_response(_counts("pageview", path)):
                    page.goto(told.kent + path)
    with told.visitor(browser, "decliner") as page:
        page.goto(f"{told.kent}/?email={MAIL}")
        _asked(page)
        page.get_by_role("button", name="Reject all").click()
        page.get_by_role("button", name="Reject all").wait_for(state="hidden")
        for path in PAGES[1:]:
            page.goto(told.kent + path)
    with told.visitor(browser, "undecided") as page:
        for path in PAGES:
            page.goto(told.kent + path)
    with told.visitor(browser, "without scripts", scripts=False) as page:
        page.goto(f"{told.kent}/stationery")
        page.get_by_role("button", name="Accept all").click()
        page.wait_for_url(f"{told.kent}/stationery**")
        assert page.get_by_role("button", name="Accept all").count() == 0
    with told.visitor(browser, "at the partner's") as page:
        page.goto(f"http://defibrental.localhost:{told.port}/")
        _asked(page)
        with page.expect_response("**/v1/consent"):
            page.get_by_role("button", name="Accept all").click()


def _asked(page: Page) -> None:
    """Wait until the banner's script is in charge; until then its form leads to another page."""
    page.wait_for_function("!!window.asked")


def _counts(kind: str, path: str) -> Callable[[Response], bool]:
    """Whether an answer is that to a beacon of that kind and page."""

    def matches(response: Response) -> bool:
        if not response.url.endswith("/v1/collect"):
            return False
        said = json.loads(response.request.post_data or "{}")
        return bool((said["kind"], said["path"]) == (kind, path))

    return matches


def _marketing(told: Story, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{told.port}/dashboard/")
    page.get_by_label("Name").fill(build.USER)
    page.get_by_label("Password").fill(build.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"http://127.0.0.1:{told.port}/dashboard/kent?from={told.day}&to={told.day}")
    told.page = page.inner_text("main")
    told.names = page.text_content("main") or ""
    page.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


# -- what was told ----------------------------------------------------------------------------------------------------


def test_views_are_sent_after_the_choice_only(story: Story) -> None:
    for number in range(ACCEPTERS):
        sent = story.sent[f"accepter {number}"]
        decision = next(place for place, line in enumerate(sent) if line.startswith("POST") and "/v1/consent" in line)
        assert beacons(sent[:decision]) == []
        viewed = [json.loads(line.split(" ", 2)[2]) for line in beacons(sent)]
        assert [view["path"] for view in viewed if view["kind"] == "pageview"] == list(PAGES)


def test_beacons_carry_no_identifier(story: Story) -> None:
    """Visitors who do the same on the same day send the same, but for the number that tells retries apart."""
    alike = [
        [re.sub(r'"nonce":"[0-9a-f]{16}"', "", line) for line in beacons(story.sent[f"accepter {number}"])]
        for number in range(ACCEPTERS)
    ]
    assert [one for one in alike if one != alike[0]] == []
    assert MAIL not in "".join(alike[0]).replace("%40", "@").partition('"kind":"search"')[0]


@pytest.mark.parametrize("name", ["decliner", "undecided", "without scripts"])
def test_without_permission_or_scripts_nothing_is_counted(story: Story, name: str) -> None:
    assert beacons(story.sent[name]) == []


def test_an_undecided_visitor_sends_nothing_and_keeps_no_cookie(story: Story) -> None:
    assert [line for line in story.sent["undecided"] if not line.startswith("GET ")] == []
    assert story.cookies["undecided"] == ""


def test_every_decision_is_in_the_ledger(story: Story) -> None:
    with Ledger(story.home / "ledger.db") as ledger:
        records = [entry.record for entry in ledger.entries() if entry.kind == "consent"]
    kent = [(record["event"], record["method"]) for record in records if record["site"] == "kent"]
    assert kent.count(("given", "banner-accept-all")) == ACCEPTERS
    assert kent.count(("refused", "banner-reject-all")) == 1
    assert kent.count(("given", "no-js-form")) == 1
    assert [record["event"] for record in records if record["site"] == "defibrental"] == ["given"]
    assert all("id" not in record for record in records if record["event"] == "refused")


def test_the_cookie_says_what_was_decided(story: Story) -> None:
    assert "~embeds.1+statistics.1~" in story.cookies["accepter 0"]
    assert "~embeds.1+statistics.1~" in story.cookies["without scripts"]
    assert story.cookies["decliner"].endswith("~embeds.0+statistics.0~")


def test_the_figures_are_those_of_the_browsers(story: Story) -> None:
    kept = sum(
        '"kind":"pageview"' in line for number in range(ACCEPTERS) for line in beacons(story.sent[f"accepter {number}"])
    )
    with Statistics(story.home / "stats.duckdb") as statistics:
        daily = {row.metric: row for row in statistics.daily("kent", story.day, story.day)}
        pages = {row.key1: row for row in statistics.breakdown("kent", "pages", story.day, story.day).rows}
    assert kept == ACCEPTERS * len(PAGES)
    assert abs(daily["views"].value - kept) <= 6 * daily["views"].sigma
    assert abs(daily["visitors"].value - ACCEPTERS) <= 6 * daily["visitors"].sigma
    assert abs(pages["/contact"].value - ACCEPTERS) <= 6 * pages["/contact"].sigma


def test_marketing_sees_them_with_their_margins(story: Story) -> None:
    with Statistics(story.home / "stats.duckdb") as statistics:
        (views,) = (r for r in statistics.daily("kent", story.day, story.day) if r.metric == "views")
    shown = re.search(r"Views\s+([\d,]+)\s+±\s+([\d,]+)", story.page)
    assert shown, story.page
    value, margin = (int(text.replace(",", "")) for text in shown.groups())
    assert abs(value - views.value) <= margin
    assert re.search(r"Pages\s+Top\s+Entry", story.page)


def test_marketing_sees_every_declared_page(story: Story) -> None:
    """In a row where the noise let it stand out, else by name below the rows: a handful of visitors decide neither."""
    assert [path for path in PAGES if path not in story.names] == []


CANARIES = (AGENT.encode(), b"AppleWebKit", b"127.0.0.1", MAIL.encode(), MAIL.partition("@")[0].encode())


def test_nothing_of_the_visitors_is_in_any_byte(story: Story) -> None:
    files = [path for path in story.home.rglob("*") if path.is_file()]
    assert {"ledger.db", "stats.duckdb", "budget.db"} <= {path.name for path in files}
    found = [(path.name, canary) for path in files for canary in CANARIES if canary in path.read_bytes()]
    assert found == []
    said = "".join(story.said)
    assert "Traceback" not in said
    assert MAIL not in said
    assert AGENT not in said


def test_the_facts_are_gone(story: Story) -> None:
    assert [path.name for path in (story.home / "spool").iterdir()] == ["public.keys"]


def test_verify_holds_until_somebody_edits_the_ledger(story: Story) -> None:
    before = story.consent("verify")
    assert before.returncode == 0, before.stdout
    assert "FAIL" not in before.stdout
    with sqlite3.connect(story.home / "ledger.db") as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        changed = connection.execute(
            "UPDATE body SET record = CAST(replace(record, '\"refused\"', '\"given\"') AS BLOB) "
            "WHERE instr(record, '\"refused\"')"
        )
        assert changed.rowcount == 1
    connection.close()
    after = story.consent("verify")
    assert after.returncode == 1
    assert "FAIL ledger entries: entry" in after.stdout
