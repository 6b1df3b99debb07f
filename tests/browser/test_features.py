"""Services, consent mode, privacy signals, clearing, asking again: on a page that renders the banner and on one that
embeds it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from flask import Flask, render_template_string
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from tests.browser.conftest import LOOK, PATIENCE, Stage, asked, stranger, until

pytestmark = pytest.mark.browser

# Kent gets the two services that defibrental has, a cookie for each, and names for Google; surrey heeds Do Not Track.
SERVICES: Final = """
google = ["ad_storage", "ad_user_data", "ad_personalization"]
wordpress = ["marketing"]
[site.kent.purpose.embeds.service.map]
title = "Map"
provider = "OpenStreetMap Foundation"
description = "Where to find us."
[site.kent.purpose.embeds.service.film]
title = "Training films"
provider = "Medway Films"
description = "How a chair is set."
[[site.kent.purpose.embeds.service.film.cookies]]
name = "medway_player"
description = "How loud you set the player."
[site.surrey]
do_not_track = true
"""
LEFT: Final = """
[[site.{site}.purpose.statistics.cookies]]
name = "stat_*"
description = "A counter."
[[site.{site}.purpose.statistics.cookies]]
name = "stat_*"
kind = "localStorage"
description = "A counter."
[[site.{site}.purpose.statistics.cookies]]
name = "stat_visit"
kind = "sessionStorage"
description = "A counter."
[[site.{site}.purpose.statistics.cookies]]
name = "stat_*"
kind = "indexedDB"
description = "A counter."
"""
EDITS: Final = (
    ('third_parties = ["OpenStreetMap Foundation"]\n\n[site.surrey]\n', SERVICES),
    ('mode = "consent"\n\n[[site.kent.purpose.statistics.cookies]]',
     'mode = "consent"\ngoogle = ["analytics_storage"]\n' + LEFT.format(site="kent") +
     "[[site.kent.purpose.statistics.cookies]]"),
    ("[site.defibrental.purpose.embeds]\n", LEFT.format(site="defibrental") + "[site.defibrental.purpose.embeds]\n"),
)  # fmt: skip
SNOOP: Final = """
window.ran = [];
window.events = [];
for (const name of ["ready", "show", "first", "change", "gpc", "embed", "error"])
  document.addEventListener("consent:" + name, (event) => events.push([name, event.detail]));
"""
# A page as a site with tags has it: the stub, Google's own lines, what waits for a choice, the banner.
TAGS: Final = """<!doctype html><html lang="en"><title>Tags</title>
<script src="{origin}/v1/sites/{site}/mode.js"></script>
<script>
window.dataLayer = window.dataLayer || [];
function gtag() {{ dataLayer.push(arguments) }}
gtag("js", new Date()); gtag("config", "G-DEMO");
dataLayer.push({{ event: "gtm.js" }});
</script>
<main><h1>Tags</h1>
<button data-consent-open>Cookie settings</button> <button data-consent-open="withdraw">Turn all of it off</button>
<script type="text/plain" data-category="statistics">ran.push("statistics"); dataLayer.push({{ event: "ran" }})</script>
<script type="text/plain" data-category="embeds" data-service="film">ran.push("film")</script>
<script type="text/plain" data-category="embeds" data-service="map">ran.push("map")</script>
<script type="text/plain" data-category="embeds" data-service="unknown">ran.push("embeds")</script>
<iframe title="Our office" width="300" data-category="embeds" data-service="map" data-src="/a-map"></iframe>
</main>{banner}</html>"""
LAYER: Final = """dataLayer.map((entry) =>
  entry[0] === "consent" ? [entry[1], entry[2]] : entry[0] ? [entry[0]] : [entry.event])"""
DENIED: Final = dict.fromkeys(
    ("ad_storage", "ad_user_data", "ad_personalization", "analytics_storage", "functionality_storage",
     "personalization_storage"), "denied",
) | {"security_storage": "granted"}  # fmt: skip


@pytest.fixture(params=["kent", "defibrental"])
def key(request: pytest.FixtureRequest) -> str:
    """The site that renders the banner, then the one that embeds it."""
    return str(request.param)


@pytest.fixture
def page(visitor: BrowserContext) -> Iterator[Page]:
    """A page that notes events and errors; none of the last may be left."""
    faults: list[str] = []
    visitor.add_init_script(SNOOP)
    page = visitor.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    assert faults == []


def add_pages(app: Flask, key: str, origin: str) -> None:
    """The page with tags, at /tags/ and below, and what its frame shows."""

    @app.get("/tags/")
    @app.get("/tags/<path:_>")
    def tags(_: str = "") -> str:
        script = f'<script async src="{origin}/taskbar.js" data-site="{key}"></script>'
        banner = script if origin else render_template_string("{{ consent_banner('kent') }}")
        return TAGS.format(origin=origin, site=key, banner=banner)

    @app.get("/necessary")
    def necessary() -> str:
        waiting = '<script type="text/plain" data-category="{}">ran.push("{}")</script>'
        body = "".join(waiting.format(name, name) for name in ("necessary", "statistics", "necesary"))
        return tags().replace("</main>", f"{body}</main>")

    @app.get("/a-map")
    def a_map() -> str:
        return "<!doctype html><title>Map</title><p>A map.</p>"


def tags(stage: Stage, key: str) -> str:
    """The address of the page with tags on that site."""
    return f"{getattr(stage, key)}/tags/"


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def bar(page: Page) -> Locator:
    return page.locator("#consent-ui > section")


def choose(page: Page, name: str) -> None:
    """Answer the bar, and wait until that holds."""
    asked(page)
    bar(page).get_by_role("button", name=name, exact=True).click()
    expect(bar(page)).to_be_hidden()
    until(page, "ConsentBanner.validConsent()")


def records(stage: Stage) -> list[dict[str, Any]]:
    return [entry.record for entry in stage.rooms.ledger.entries() if entry.kind == "consent"]


def kept(page: Page) -> str:
    """The text of the choice that is kept on the device."""
    value = "(document.cookie.match(/consent=([^;]*)/) || [, JSON.parse(localStorage.consent || '{}').value])[1]"
    return str(page.evaluate(value))


# --- services ---------------------------------------------------------------------------------------------------------


def test_one_service_is_allowed_and_the_other_stays_off(page: Page, stage: Stage, key: str) -> None:
    page.goto(tags(stage, key))
    asked(page)
    bar(page).get_by_role("button", name="Choose").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Shared with Medway Films")
    page.locator("input[name=map]").check()
    expect(page.locator("input[name=embeds]")).to_be_checked()
    page.locator("input[name=embeds]").uncheck()
    expect(page.locator("input[name=map]")).not_to_be_checked()
    page.locator("input[name=map]").check()
    dialog.get_by_role("button", name="Save choices").click()
    until(page, "ran.includes('embeds')")
    assert page.evaluate("ran") == ["map", "embeds"]
    expect(page.frame_locator("iframe").locator("p")).to_have_text("A map.")
    assert "embeds.1+film.0+map.1+statistics.0" in kept(page)
    held = {name: decision["allowed"] for name, decision in records(stage)[-1]["decisions"].items()}
    assert held == {"statistics": False, "embeds": True, "map": True, "film": False}
    assert page.evaluate("[['map', 'embeds'], ['film', 'embeds'], ['unknown', 'embeds']].map((s) => "
                         "ConsentBanner.acceptedService(...s))") == [True, False, True]  # fmt: skip
    page.reload()
    until(page, "ran.length === 2")
    button(page, "Cookie settings").click()
    expect(page.locator("input[name=map]")).to_be_checked()
    expect(page.locator("input[name=film]")).not_to_be_checked()


def test_services_by_the_api(page: Page, stage: Stage, key: str) -> None:
    page.goto(tags(stage, key))
    asked(page)
    page.evaluate("ConsentBanner.acceptService(['film'], 'embeds')")
    until(page, "ran.includes('film')")
    said = page.evaluate("ConsentBanner.getUserPreferences()")
    assert said["acceptType"] == "custom"
    assert said["acceptedServices"]["embeds"] == ["film"] and said["rejectedServices"]["embeds"] == ["map"]
    page.evaluate("ConsentBanner.acceptService('all', 'embeds')")
    until(page, "ran.includes('map')")
    page.evaluate("ConsentBanner.object('film')")
    until(page, "!ConsentBanner.acceptedService('film', 'embeds')")
    assert page.evaluate("ConsentBanner.acceptedCategory('embeds')")
    expect(page.get_by_role("status")).to_have_text("Saved. Reload the page to stop what was still running.")
    page.evaluate("ConsentBanner.object('embeds')")
    until(page, "!ConsentBanner.acceptedService('map', 'embeds')")
    page.evaluate("ConsentBanner.acceptCategory()")
    until(page, "ConsentBanner.acceptedService('film', 'embeds') && ConsentBanner.acceptedCategory('statistics')")


def test_services_without_javascript(chromium: Browser, stage: Stage) -> None:
    with stranger(chromium, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(stage.kent + "/cookies?site=kent")
        page.get_by_role("group", name="Maps and video").get_by_role("checkbox", name="Map", exact=True).check()
        button(page, "Save choices").click()
        expect(page.get_by_role("status")).to_be_visible()
        expect(page.get_by_role("checkbox", name="Map", exact=True)).to_be_checked()
        (value,) = (cookie["value"] for cookie in context.cookies() if cookie["name"] == "consent")
        assert "embeds.1+film.0+map.1+statistics.0" in value


def test_preferences_tell_what_is_stored_by_whom_and_for_how_long(page: Page, stage: Stage, key: str) -> None:
    page.goto(getattr(stage, key))
    asked(page)
    bar(page).get_by_role("button", name="Choose").click()
    dialog = page.get_by_role("dialog")
    for summary in dialog.locator("summary").all():
        summary.click()
    expect(dialog).to_contain_text("medway_player How loud you set the player.")
    expect(dialog).to_contain_text("Set by: Medway Films")
    expect(dialog).to_contain_text("Kept for: until")
    expect(dialog.get_by_role("link", name="Proof of your choice")).to_be_hidden()
    dialog.get_by_role("button", name="Accept all").click()
    expect(dialog).to_be_hidden()
    page.locator("[data-consent-open]").first.click()
    receipt = dialog.get_by_role("link", name="Proof of your choice")
    expect(receipt).to_be_visible()
    stage.rooms.ledger.sequence()
    path = "/v1/receipts/" + str(receipt.get_attribute("href")).rpartition("/")[2]
    assert stage.service.test_client().get(path).status_code == 200


# --- consent mode -----------------------------------------------------------------------------------------------------


def granted(*names: str) -> dict[str, str]:
    return DENIED | dict.fromkeys(names, "granted")


def test_google_hears_denied_first_and_the_choice_before_what_waited(page: Page, stage: Stage) -> None:
    address = tags(stage, "kent")
    page.goto(address)
    asked(page)
    first = [["default", DENIED | {"wait_for_update": 500}], ["js"], ["config"], ["gtm.js"]]
    assert page.evaluate(LAYER) == first
    page.evaluate("document.addEventListener('consent:first', () => { window.heard = dataLayer.length })")
    choose(page, "Accept all")
    until(page, "ran.length === 4")
    update = ["update", granted("ad_storage", "ad_user_data", "ad_personalization", "analytics_storage")]
    assert page.evaluate(LAYER) == [*first, update, ["consent_update"], ["ran"]]
    assert page.evaluate("heard") == len(first) + 2  # in the same task
    page.reload()
    until(page, "ran.length === 4")
    assert page.evaluate(LAYER)[:3] == [first[0], update, ["consent_update"]]
    page.evaluate("ConsentBanner.object('embeds')")
    until(page, "!ConsentBanner.acceptedCategory('embeds')")
    assert ["update", granted("analytics_storage")] in page.evaluate(LAYER)


def test_google_hears_from_an_embedded_banner_too(page: Page, stage: Stage) -> None:
    page.goto(tags(stage, "defibrental"))
    choose(page, "Accept all")
    until(page, "ran.length === 4")
    said = page.evaluate(LAYER)
    assert said[0] == ["default", DENIED | {"wait_for_update": 500}]
    assert said[4:] == [["update", granted("personalization_storage")], ["consent_update"], ["ran"]]
    page.evaluate("ConsentBanner.reset()")
    until(page, "!ConsentBanner.validConsent()")
    assert ["update", DENIED] in page.evaluate(LAYER)


def test_wordpress_hears_of_choices_and_of_nothing_before(page: Page, stage: Stage) -> None:
    page.add_init_script("window.wp = {}; window.wp_set_consent = (category, value) => { wp[category] = value }")
    page.goto(tags(stage, "kent"))
    asked(page)
    assert page.evaluate("[wp_consent_type, wp]") == ["optin", {}]
    choose(page, "Reject all")
    assert page.evaluate("wp") == {"marketing": "deny"}
    page.evaluate("ConsentBanner.acceptCategory('embeds')")
    until(page, "wp.marketing === 'allow'")


# --- privacy signals --------------------------------------------------------------------------------------------------


def signalling(chromium: Browser, **headers: str) -> BrowserContext:
    context = stranger(chromium, extra_http_headers=headers)
    if "Sec-GPC" in headers:
        gpc = "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { get: () => true })"
        context.add_init_script(gpc)
    context.add_init_script(SNOOP)
    return context


@pytest.mark.parametrize("key", ["kent", "surrey", "defibrental"])
def test_the_signal_is_recorded_shown_once_and_outdone_by_a_choice(chromium: Browser, stage: Stage, key: str) -> None:
    with signalling(chromium, **{"Sec-GPC": "1"}) as context:
        page = context.new_page()
        before = len(records(stage))
        page.goto(getattr(stage, key))
        until(page, "!!window.ConsentBanner?.validConsent?.()")
        (record,) = records(stage)[before:]
        assert (record["method"], record["event"]) == ("gpc", "objected" if key == "surrey" else "refused")
        assert "id" not in record and len(record["time"]) == 10
        assert not any(decision["allowed"] for decision in record["decisions"].values())
        expect(bar(page)).to_be_visible()
        expect(bar(page)).to_contain_text("Global Privacy Control")
        page.reload()
        until(page, "!!window.ConsentBanner?.validConsent?.()")
        page.wait_for_timeout(200)
        assert bar(page).count() == 0 or bar(page).is_hidden()
        page.evaluate("ConsentBanner.acceptCategory()")
        until(page, "ConsentBanner.acceptedCategory('statistics')")
        page.reload()
        until(page, "!!window.ConsentBanner?.acceptedCategory?.('statistics')")
        assert [one["method"] for one in records(stage)[before:]] == ["gpc", "api"]


def test_the_choice_may_be_made_under_the_signal_at_once(chromium: Browser, stage: Stage) -> None:
    with signalling(chromium, **{"Sec-GPC": "1"}) as context:
        page = context.new_page()
        page.goto(stage.surrey)
        until(page, "!!window.ConsentBanner?.validConsent?.()")
        bar(page).get_by_role("button", name="Accept all").click()
        until(page, "ConsentBanner.acceptedCategory('statistics')")
        expect(bar(page)).to_be_hidden()
        assert page.evaluate("events.map(([name]) => name).filter((name) => name !== 'ready')") == [
            "show", "gpc", "first", "change",
        ]  # fmt: skip


def test_the_signal_is_honoured_without_javascript(chromium: Browser, stage: Stage) -> None:
    with stranger(chromium, java_script_enabled=False, extra_http_headers={"Sec-GPC": "1"}) as context:
        page = context.new_page()
        page.goto(stage.surrey)
        expect(bar(page)).to_contain_text("Global Privacy Control")
        page.goto(stage.surrey + "/cookies?site=surrey")
        expect(page.get_by_role("checkbox", name="Statistics")).not_to_be_checked()
        expect(page.get_by_role("main")).to_contain_text("Global Privacy Control")


def test_do_not_track_is_heeded_where_the_site_says_so(chromium: Browser, stage: Stage) -> None:
    sent: list[str] = []
    with signalling(chromium, DNT="1") as context:
        page = context.new_page()
        page.on("request", lambda request: sent.append(request.url))
        page.goto(stage.surrey)
        asked(page)
        expect(bar(page)).to_contain_text("(Do Not Track)")
        assert page.evaluate("ConsentBanner.acceptedCategory('statistics')") is False
        page.goto(stage.kent)
        asked(page)
        expect(bar(page)).not_to_contain_text("Do Not Track")
    assert [url for url in sent if "/v1/collect" in url] == []


# --- modes ------------------------------------------------------------------------------------------------------------


def test_an_objectable_banner_says_what_runs_and_turns_it_off_by_one_click(page: Page, stage: Stage) -> None:
    page.goto(stage.surrey)
    asked(page)
    expect(bar(page)).to_contain_text("uses cookies or similar storage for: Statistics.")
    expect(bar(page)).to_contain_text("You can turn it off with one click.")
    until(page, "ConsentBanner.acceptedCategory('statistics')")
    choose(page, "Reject all")
    assert page.evaluate("ConsentBanner.acceptedCategory('statistics')") is False
    assert records(stage)[-1]["event"] == "objected"


# --- from one site to another -----------------------------------------------------------------------------------------

FAMILY: Final = """(href) => {
  const link = document.createElement("a");
  Object.assign(link, { href, textContent: "Our defibrillators" });
  Object.assign(link.dataset, { consentOpen: "handOver", consentHandover: "defibrental" });
  document.querySelector("main").prepend(link);
}"""


def test_a_choice_goes_along_to_a_site_that_the_banner_names(page: Page, stage: Stage) -> None:
    page.goto(tags(stage, "kent"))
    asked(page)
    expect(bar(page)).to_contain_text("DefibRental Solutions")
    choose(page, "Accept all")
    before = len(records(stage))
    page.evaluate(FAMILY, stage.defibrental + "/tags/?from=kent#map")
    page.get_by_role("link", name="Our defibrillators").click()
    page.wait_for_url(stage.defibrental + "/**")
    until(page, "!!window.ConsentBanner?.validConsent?.() && ran.length > 0")
    assert page.url == stage.defibrental + "/tags/?from=kent"
    assert bar(page).count() == 0 or bar(page).is_hidden()
    assert "film.1+map.1+statistics.1" in kept(page)
    (record,) = records(stage)[before:]
    assert (record["site"], record["method"], record["event"]) == ("defibrental", "handover", "given")
    page.reload()
    until(page, "!!window.ConsentBanner?.validConsent?.()")
    assert len(records(stage)) == before + 1


def test_without_a_choice_it_is_a_plain_link_and_junk_is_no_choice(page: Page, stage: Stage) -> None:
    page.goto(tags(stage, "kent"))
    asked(page)
    before = len(records(stage))
    page.evaluate(FAMILY, stage.defibrental + "/tags/#consent=junk")
    page.get_by_role("link", name="Our defibrillators").click()
    page.wait_for_url(stage.defibrental + "/**")
    asked(page)
    expect(bar(page)).to_be_visible()
    assert page.url == stage.defibrental + "/tags/"
    assert page.evaluate("ConsentBanner.validConsent()") is False and len(records(stage)) == before


def test_what_is_necessary_runs_without_a_choice(page: Page, stage: Stage, key: str) -> None:
    page.goto(f"{getattr(stage, key)}/necessary")
    until(page, "ran.includes('necessary')")
    asked(page)
    assert page.evaluate("[ran, ConsentBanner.acceptedCategory('necessary'), ConsentBanner.validConsent()]") == [
        ["necessary"], True, False,
    ]  # fmt: skip


# --- withdrawal -------------------------------------------------------------------------------------------------------

SPREAD: Final = """async () => {
  const host = location.hostname;
  for (const where of ["", ";path=/", ";path=/tags", ";path=/tags/", ";path=/tags/deep", ";path=/;domain=" + host])
    document.cookie = "stat_a=1" + where;
  document.cookie = "stat_b=1;path=/;secure;samesite=none;partitioned";
  document.cookie = "mine=1;path=/";
  Object.assign(localStorage, { stat_a: 1, mine: 1 });
  Object.assign(sessionStorage, { stat_visit: 1, stat_other: 1 });
  for (const name of ["stat_a", "mine"])
    await new Promise((done) => { const open = indexedDB.open(name);
      open.onsuccess = () => { open.result.close(); done() } });
}"""
REST: Final = """async () => [
  document.cookie.split("; ").map((pair) => pair.split("=")[0]).filter((name) => name !== "consent"),
  Object.keys(localStorage).filter((name) => name !== "consent"), Object.keys(sessionStorage),
  (await indexedDB.databases()).map((database) => database.name).filter((name) => name !== "consent-banner"),
]"""


def test_withdrawal_is_one_click_and_clears_every_variant_of_what_is_declared(
    page: Page, stage: Stage, key: str
) -> None:
    page.goto(tags(stage, key) + "deep/page")
    choose(page, "Accept all")
    page.evaluate(SPREAD)
    assert page.evaluate(REST)[0].count("stat_a") > 3
    button(page, "Turn all of it off").click()
    until(page, "!ConsentBanner.acceptedCategory('statistics')")
    expect(page.get_by_role("status")).to_have_text("Saved. Reload the page to stop what was still running.")
    until(page, "indexedDB.databases().then((all) => all.every(({ name }) => !name.startsWith('stat')))")
    assert page.evaluate(REST) == [["mine"], ["mine"], ["stat_other"], ["mine"]]
    assert (records(stage)[-1]["event"], records(stage)[-1]["method"]) == ("withdrawn", "api")
    expect(page.get_by_role("button", name="Show content from")).to_be_visible()


# --- asking again -----------------------------------------------------------------------------------------------------


def rewritten(page: Page, old: str, new: str) -> None:
    """Change the choice that the device keeps."""
    page.evaluate(
        """([before, after]) => {
          const held = localStorage.consent;
          if (held) localStorage.consent = held.replace(before, after);
          else document.cookie = document.cookie.match(/consent=[^;]+/)[0].replace(before, after) + ";path=/";
        }""",
        [old, new],
    )


def lapses(visitor: BrowserContext) -> dict[tuple[str, str], float]:
    """When each cookie lapses that only the server can set."""
    return {(one["name"], one["path"]): one["expires"] for one in visitor.cookies() if one["httpOnly"]}


@pytest.mark.parametrize("answer", ["Accept all", "Reject all"])
def test_nothing_is_asked_again_before_180_days_or_without_a_change(
    page: Page, visitor: BrowserContext, stage: Stage, key: str, answer: str
) -> None:
    page.goto(getattr(stage, key))
    choose(page, answer)
    notice, day, bits, _ = kept(page).split("~")
    before = lapses(visitor)
    dated = "new Date(Date.now() - {} * 864e5).toISOString().slice(0, 10)"
    for old, new, again in (
        (day, day, False),
        (day, page.evaluate(dated.format(178)), False),
        (day, page.evaluate(dated.format(182)), True),
        (notice, "0" * 8, True),
        (bits, bits + "+zebra.0", True),
        (bits, "statistics.1", True),
    ):
        held = kept(page)
        rewritten(page, old, new)
        page.reload()
        if again:
            asked(page)
            expect(bar(page)).to_be_visible()
        else:
            until(page, "!!window.ConsentBanner?.validConsent?.()")
            assert bar(page).count() == 0 or bar(page).is_hidden()
        rewritten(page, kept(page), held)
    assert lapses(visitor).items() >= before.items()  # no visit moves when the server's own cookies lapse
    assert all(days < 13 * 30 for days in ((at - time.time()) / 86400 for at in before.values()))


def test_a_choice_in_one_tab_ends_the_question_in_the_other(
    page: Page, visitor: BrowserContext, stage: Stage, key: str
) -> None:
    page.goto(getattr(stage, key))
    other = visitor.new_page()
    other.goto(getattr(stage, key))
    asked(page)
    choose(other, "Reject all")
    page.bring_to_front()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(bar(page)).to_be_hidden()
    assert page.evaluate("ConsentBanner.validConsent()")


@pytest.mark.parametrize("status", [None, 503])
def test_a_choice_is_not_lost_with_the_network(
    page: Page, visitor: BrowserContext, stage: Stage, key: str, status: int | None
) -> None:
    page.goto(tags(stage, key))
    asked(page)
    before = len(records(stage))

    tries = []

    def fail(route: Route) -> None:
        tries.append(route)
        route.fulfill(status=status) if status else route.abort("internetdisconnected")

    visitor.route("**/v1/consent", fail)
    bar(page).get_by_role("button", name="Accept all").click()
    expect(page.get_by_role("status")).to_have_text("Saved in this browser; sent when you are online again.")
    until(page, "ran.length === 4")
    assert len(tries) == 1  # a second try at once could be on its way while the page is left, and be written twice
    assert records(stage)[before:] == []
    visitor.unroute("**/v1/consent")
    page.reload()
    for _ in range(PATIENCE // LOOK):
        if len(records(stage)) > before:
            break
        page.wait_for_timeout(LOOK)
    (record,) = records(stage)[before:]
    assert record["method"] == "banner-accept-all" and len(record["id"]) == 32
    until(page, "!(localStorage.consent || document.cookie).includes('~banner-accept-all')")


def test_what_could_not_be_cleared_offline_is_cleared_with_the_next_page(
    page: Page, visitor: BrowserContext, stage: Stage
) -> None:
    """Neither the choice can be sent then nor can the script learn what it has to clear."""
    page.goto(stage.defibrental)
    choose(page, "Accept all")
    page.evaluate("document.cookie = 'medway_player=7;path=/;max-age=999'")
    for address in ("**/v1/consent", "**/details"):
        visitor.route(address, lambda route: route.abort("internetdisconnected"))
    page.evaluate("ConsentBanner.withdraw()")
    expect(page.get_by_role("status")).to_have_text("Saved in this browser; sent when you are online again.")
    assert page.evaluate("ConsentBanner.acceptedService('film')") is False
    assert "medway_player=7" in page.evaluate("document.cookie")
    for address in ("**/v1/consent", "**/details"):
        visitor.unroute(address)
    page.reload()
    until(page, "!document.cookie.includes('medway_player')")
    assert page.evaluate("ConsentBanner.acceptedService('film')") is False


def test_cookies_that_are_blocked_lead_to_no_loop(page: Page, visitor: BrowserContext, stage: Stage) -> None:
    """As where a visitor has blocked them in the browser's settings, and with them all storage."""
    visitor.new_cdp_session(page).send("Emulation.setDocumentCookieDisabled", {"disabled": True})
    visitor.add_init_script(
        "for (const name of ['localStorage', 'sessionStorage', 'indexedDB'])"
        "  Object.defineProperty(window, name, { get() { throw new DOMException('denied', 'SecurityError') } });"
    )
    for site in (stage.kent, stage.surrey, stage.defibrental):
        for _ in range(2):
            page.goto(site)
            until(page, "!!window.ConsentBanner?.run")
            assert page.evaluate("navigator.cookieEnabled") is False
            page.wait_for_timeout(300)
            expect(bar(page).or_(page.get_by_role("main")).first).to_be_visible()
            assert bar(page).count() == 0 or bar(page).is_hidden()
