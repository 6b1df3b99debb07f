"""Receipts in a real Chromium: the check gives the command's verdicts, and the pages can be used by everybody."""

from __future__ import annotations

import base64
import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, FilePayload, Page, expect
from werkzeug.serving import make_server

from consent_app import create_app
from consent_app.receipt_page import SCRIPTS, fragment_link
from consent_app.rooms import NAME, Rooms
from consent_app.settings import Settings
from tests.receipt_vectors import FORGED, NO_RECEIPTS, NONE, Kept, forged, given, kept, verdict

pytestmark = pytest.mark.browser

HERE, WELSH = "5f" * 16, "c7" * 16
AXE = """async () => {
  const { violations } = await axe.run({ rules: { "target-size": { enabled: true } }, resultTypes: ["violations"] });
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id} ${node.target}: ${node.failureSummary}`));
}"""
JUDGE = """async ([files, key]) => {
  const { check } = await import("/ledger/receipt-check.js");
  const said = [];
  for (const file of files) {
    const content = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
    const found = await check(content, key).catch((fault) => fault);
    said.push(found instanceof Error ? ["none", found.code ?? String(found)]
      : found.checks.filter(({ ok }) => !ok).map(({ name }) => name));
  }
  return said;
}"""


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A receipt of a ledger that no server shows."""
    return kept(tmp_path_factory.mktemp("ledger"))


@pytest.fixture(scope="module")
def server(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The whole application, with a receipt in English and one in Welsh."""
    home = tmp_path_factory.mktemp("home") / "home"
    shutil.copytree(root / "consent_app" / "starter", home)
    keys = ("key of the browser tests, long enough",)
    now = datetime(2026, 11, 24, 12, 15, tzinfo=UTC)
    settings = Settings(home=home, signing_keys=keys, session_keys=keys, clock=lambda: now)
    app = create_app(settings)
    rooms: Rooms = app.extensions[NAME]
    rooms.ledger.append(given("defibrental", id=HERE))
    rooms.ledger.append(given(id=WELSH, language="cy"))
    rooms.ledger.sequence()
    http = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=http.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()
    for part in (rooms.spool, rooms.ledger, rooms.statistics):
        part.close()


@pytest.fixture
def context(request: pytest.FixtureRequest, chromium: Browser, server: str) -> Iterator[BrowserContext]:
    """A fresh browser profile; what it is like comes from the test's parameter."""
    context = chromium.new_context(base_url=server, locale="en-GB", **getattr(request, "param", {}))
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """The page that checks; a test fails where the browser complains of anything."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/ledger/verify")
    yield page
    assert [text for text in complaints if "404" not in text] == []


def checked(page: Page, text: str, key: str) -> None:
    page.get_by_label("Or paste its text").fill(text)
    page.get_by_label("Public key of the log (log.vkey)").fill(key)
    page.get_by_role("button", name="Check", exact=True).click()


def judged(page: Page, files: list[bytes], key: str) -> list[frozenset[str]]:
    """What the page's script finds, as the command names it."""
    texts = [base64.b64encode(file).decode() for file in files]
    return [NONE if found[:1] == ["none"] else frozenset(found) for found in page.evaluate(JUDGE, [texts, key])]


# -- the same verdicts as the command ----------------------------------------------------------------------------------


def test_the_page_and_the_command_find_the_same_in_every_broken_receipt(page: Page, held: Kept, tmp_path: Path) -> None:
    files = {name: forged(held.text, name) for name in FORGED}
    files |= {name: breaks(held.text) for name, breaks in NO_RECEIPTS.items()}
    files["whole"] = held.text.encode()
    found = dict(zip(files, judged(page, list(files.values()), held.key), strict=True))
    assert found == {name: verdict(file, held.key) for name, file in files.items()}
    assert found["whole"] == set()
    few = [files[name] for name in ("whole", "decision", "seal taken off", "hash of a proof", "a list")]
    for key in ("", kept(tmp_path).key):
        assert judged(page, few, key) == [verdict(file, key) for file in few]


def mutated(text: str, seed: int) -> bytes:
    """A receipt in which something, somewhere, is something else."""
    chance = random.Random(seed)
    if seed % 2:
        content = bytearray(text.encode())
        place = chance.randrange(len(content))
        content[place : place + chance.randrange(2)] = bytes([chance.choice(b'0aB"\\{}[],: \n+/=')])
        return bytes(content)
    document = json.loads(text)
    node: Any = document
    while True:
        names = list(node) if isinstance(node, dict) else list(range(len(node)))
        name = chance.choice(names)
        if not isinstance(node[name], dict | list) or not node[name] or chance.random() < 0.2:
            break
        node = node[name]
    node[name] = chance.choice([None, True, 0, -1, 1e3, "", "x", [], {}, [node[name]], {"@value": node[name]}])
    return json.dumps(document).encode()


@pytest.mark.slow
def test_the_page_and_the_command_find_the_same_in_whatever_is_changed(page: Page, held: Kept) -> None:
    files = [mutated(held.text, seed) for seed in range(250)]
    found = judged(page, files, held.key)
    differ = [seed for seed, said in enumerate(found) if said != verdict(files[seed], held.key)]
    assert [(seed, found[seed], verdict(files[seed], held.key)) for seed in differ] == []
    assert frozenset() in found
    assert len(set(found)) > 5


# -- the page ---------------------------------------------------------------------------------------------------------


def test_a_pasted_receipt_is_checked(page: Page, held: Kept) -> None:
    checked(page, held.text, held.key)
    expect(page.get_by_role("status")).to_have_text("This receipt holds.")
    expect(page.locator(".checks li")).to_have_count(5)
    expect(page.locator("#newest")).to_contain_text("Kent Office Solutions. Maps and video: Not allowed")
    checked(page, forged(held.text, "decision").decode(), held.key)
    expect(page.get_by_role("status")).to_have_text("This receipt does not hold.")
    expect(page.locator(".checks .failed")).to_have_count(2)
    expect(page.locator(".checks .failed").first).to_contain_text("app:allowed is not what the record says")
    expect(page.locator("#newest")).to_be_empty()


def test_without_a_key_or_a_receipt_it_says_what_to_bring(page: Page, held: Kept) -> None:
    checked(page, held.text, "")
    expect(page.get_by_role("status")).to_have_text("Not proved: bring the key of the log.")
    checked(page, "", "")
    expect(page.get_by_role("status")).to_have_text("Choose or paste a receipt first.")
    checked(page, held.text, "rubbish")
    expect(page.get_by_role("status")).to_have_text("This is no public key of a log.")
    checked(page, held.text[:500], held.key)
    expect(page.get_by_role("status")).to_contain_text("This is no receipt.")


def test_a_file_is_checked_when_it_is_chosen_or_dropped(page: Page, held: Kept) -> None:
    page.get_by_label("Public key of the log (log.vkey)").fill(held.key)
    file = FilePayload(name="receipt.jsonld", mimeType="application/ld+json", buffer=held.text.encode())
    page.get_by_label("Choose the file").set_input_files(file)
    expect(page.get_by_role("status")).to_have_text("This receipt holds.")
    page.evaluate(
        """(text) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([text], "receipt.jsonld"));
          document.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
        }""",
        held.text.replace("Statistics", "Marketing"),
    )
    expect(page.get_by_role("status")).to_have_text("This receipt does not hold.")


def test_the_link_of_a_receipt_fetches_and_checks_it(page: Page, server: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(fragment_link(server, HERE))
    expect(page.get_by_role("status")).to_contain_text("This receipt holds, as far as this server's own key shows.")
    expect(page.locator("#newest")).to_contain_text("Training films: Allowed")
    told = {url.removeprefix(server) for url in asked if "/static/" not in url}
    assert told == {f"/v1/receipts/{HERE}.jsonld", "/ledger/log.vkey"}
    page.goto(fragment_link(server, "0" * 32))
    expect(page.get_by_role("status")).to_contain_text("There is no receipt of this id here.")
    page.goto("/ledger/verify#receipt=nonsense")
    expect(page.get_by_role("status")).to_have_text("The link does not name a receipt.")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("crypto.subtle.importKey = () => Promise.reject(new DOMException('no', 'NotSupportedError'))", "Ed25519"),
        ("Object.defineProperty(crypto, 'subtle', { value: undefined })", "offers no cryptography here"),
    ],
    ids=["no-ed25519", "no-web-crypto"],
)
def test_a_browser_that_cannot_says_so(page: Page, held: Kept, script: str, said: str) -> None:
    page.evaluate(f"{{ {script}; 0 }}")
    checked(page, held.text, held.key)
    expect(page.get_by_role("status")).to_contain_text(said)


def test_the_saved_page_checks_from_disk_and_asks_nobody(context: BrowserContext, held: Kept, tmp_path: Path) -> None:
    page = context.new_page()
    page.goto("/ledger/verify")
    with page.expect_download() as download:
        page.get_by_role("link", name="Save this page").click()
    file = tmp_path / "verify.html"
    download.value.save_as(file)
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(file.as_uri())
    checked(page, held.text, held.key)
    expect(page.get_by_role("status")).to_have_text("This receipt holds.")
    assert page.locator("h1").evaluate("e => getComputedStyle(e).fontSize") == "32px"
    assert asked == [file.as_uri()]
    assert complaints == []


def test_the_page_speaks_welsh(context: BrowserContext, server: str) -> None:
    page = context.new_page()
    page.goto(f"{server}/ledger/verify?lang=cy{fragment_link('', WELSH).removeprefix('/ledger/verify')}")
    expect(page.get_by_role("status")).to_contain_text("Mae'r dderbynneb hon yn dal")
    assert page.evaluate("document.documentElement.lang") == "cy"


# -- for everybody ----------------------------------------------------------------------------------------------------


LOOKS = [
    {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    {"color_scheme": "dark", "viewport": {"width": 320, "height": 640}},
]


@pytest.mark.slow
@pytest.mark.parametrize("context", LOOKS, indirect=True, ids=["light-wide", "dark-narrow"])
def test_nothing_is_in_the_way_of_anybody(context: BrowserContext, root: Path, held: Kept, server: str) -> None:
    axe = root / "static" / "consent-banner" / "node_modules" / "axe-core" / "axe.min.js"
    if not axe.exists():
        pytest.skip("axe-core is not installed; `make banner` does it (needs Node)")
    page = context.new_page()
    for path in (
        f"/v1/receipts/{HERE}.html",
        f"/v1/receipts/{WELSH}.html",
        f"/v1/receipts/{HERE}.html?lang=ar",
        "/ledger/verify",
        fragment_link("", HERE),
    ):
        page.goto(path)
        if "#" in path:
            expect(page.locator(".checks li")).to_have_count(5)
        page.evaluate(axe.read_text("utf-8"))
        assert page.evaluate(AXE) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


@pytest.mark.parametrize("context", [{"java_script_enabled": False}], indirect=True, ids=["no-javascript"])
def test_a_receipt_is_read_and_saved_without_javascript(context: BrowserContext, tmp_path: Path) -> None:
    page = context.new_page()
    page.goto(f"/v1/receipts/{HERE}")
    expect(page.get_by_role("heading", name="Proof of your choice")).to_be_visible()
    expect(page.locator(".code svg")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save the receipt (JSON-LD)").click()
    assert download.value.suggested_filename == "receipt-5f5f5f5f.jsonld"
    page.goto("/ledger/verify")
    expect(page.get_by_text("This page checks with JavaScript")).to_be_visible()
    expect(page.locator("form")).to_be_hidden()


def test_on_paper_there_are_addresses_and_no_buttons(context: BrowserContext, server: str) -> None:
    page = context.new_page()
    page.goto(f"/v1/receipts/{HERE}.html")
    expect(page.get_by_text(fragment_link("http://127.0.0.1:8000", HERE))).to_be_hidden()
    page.emulate_media(media="print")
    expect(page.get_by_text(fragment_link("http://127.0.0.1:8000", HERE))).to_be_visible()
    for gone in (page.locator(".actions"), page.locator(".tongues")):
        expect(gone).to_be_hidden()


def test_the_check_is_made_by_keyboard(page: Page, held: Kept) -> None:
    for label, text in (("Or paste its text", held.text), ("Public key of the log (log.vkey)", held.key)):
        field = page.get_by_label(label)
        for _ in range(12):
            page.keyboard.press("Tab")
            if field.evaluate("e => e === document.activeElement"):
                break
        page.keyboard.insert_text(text)
    for _ in range(3):
        page.keyboard.press("Tab")
        if page.get_by_role("button", name="Check", exact=True).evaluate("e => e === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("This receipt holds.")


@pytest.mark.slow
def test_the_types_of_the_scripts_hold(root: Path, tmp_path: Path) -> None:
    compiler = root / "static" / "consent-banner" / "node_modules" / ".bin" / "tsc"
    if not compiler.exists():
        pytest.skip("TypeScript is not installed; `make banner` does it (needs Node)")
    scripts = root / "consent_app" / "static" / "receipt"
    base = json.loads((root / "static" / "consent-banner" / "tsconfig.json").read_text("utf-8"))
    for name in SCRIPTS:
        shutil.copy(scripts / name, tmp_path)
    options = {**base["compilerOptions"], "allowJs": True, "checkJs": True}
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "include": ["*.js"]}))
    assert typed(compiler, tmp_path) == ""
    script = tmp_path / "receipt-verify.js"
    script.write_text(script.read_text("utf-8").replace("key.value", "key.valve"))
    assert "receipt-verify.js" in typed(compiler, tmp_path)


def typed(compiler: Path, folder: Path) -> str:
    """What the compiler complains of."""
    command = [str(compiler), "-p", str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
