"""What a partner pastes to embed the banner, as steps, for each way there is; docs/embed.md shows the same steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from consent_app.errors import SettingsError, SitesError
from consent_app.settings import Settings
from consent_app.sites import Embed, Site

PLACES: Final = (
    Path(__file__).parents[1] / "deploy",  # in an installed wheel
    Path(__file__).parents[2] / "deploy",  # in a checkout
)
ADDRESS: Final = "127.0.0.1:8000"  # what stands for the service in the files there
OWN_HOST: Final = "'self'"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: what it is, and the text to paste. `file`: where in deploy/ that text comes from."""

    about: str
    paste: str
    file: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to embed: which `embed` of sites.toml it goes with, and its steps."""

    embed: Embed
    steps: Callable[[Site, Settings], Iterator[Step]]


def steps(site: Site, settings: Settings, way: str = "") -> list[Step]:
    """The steps of a way; by default those of a script tag, or of a template of ours where the host is the site's own.

    Raises SitesError where sites.toml says that the site embeds the banner in another way.
    """
    chosen = WAYS[way or ("script" if site.embed == "script" else "jinja")]
    if chosen.embed != site.embed:
        raise SitesError(
            settings.sites_file,
            0,
            f'site {site.key!r} says embed = "{site.embed}"; --for {way} goes with embed = "{chosen.embed}"',
        )
    return list(chosen.steps(site, settings))


def text(done: list[Step]) -> str:
    """The steps as one text, numbered."""
    return "\n\n".join(f"{number}. {step.about}\n\n{step.paste}" for number, step in enumerate(done, start=1))


def policy(source: str) -> str:
    """The Content-Security-Policy additions of a page that loads the banner from that source."""
    forms = f"; form-action {source}" if source == OWN_HOST else ""
    return f"script-src {source}; style-src {source}; connect-src {source}{forms}"


def _script(site: Site, settings: Settings) -> Iterator[Step]:
    yield from _tag(site, settings.public_url.rstrip("/"))


def _subdomain(site: Site, settings: Settings) -> Iterator[Step]:
    host = str(urlsplit(site.origins[0]).hostname).removeprefix("www.")
    own = f"https://consent.{host}"
    service = urlsplit(settings.public_url).hostname
    yield Step(
        "In your domain's zone, so that the service is part of your domain:", f"consent.{host}. CNAME {service}."
    )
    yield Step("In the service's settings, beside a certificate for that host:", f"CONSENT_PUBLIC_URL={own}")
    yield from _tag(site, own)


def _tag(site: Site, source: str) -> Iterator[Step]:
    yield Step(
        "Once in every page, anywhere; it loads without holding the page up:",
        f'<script async src="{source}/taskbar.js" data-site="{site.key}"></script>',
    )
    yield Step(
        "Where visitors change their mind, such as the footer:",
        '<button type="button" data-consent-open>Cookie settings</button>',
    )
    yield from _policy(source)


def _jinja(site: Site, settings: Settings) -> Iterator[Step]:
    yield Step(
        "In the application; a proxy of the site hands the service's paths to the same process or to another:",
        "from consent_app import create_app\n"
        "from consent_app.banner import macro\n"
        "from consent_app.settings import Settings\n\n"
        "service = create_app(Settings.from_environment())\n"
        'rooms = service.extensions["consent"]\n'
        'app.jinja_env.globals["consent_banner"] = lambda key: macro(rooms, key, request)',
    )
    yield Step("In the template of every page, before </body>:", f'{{{{ consent_banner("{site.key}") }}}}')
    yield from _opener(site)


def _nginx(site: Site, settings: Settings) -> Iterator[Step]:
    yield _file("nginx/consent.conf", "/etc/nginx/snippets/consent.conf, included in the site's server { }", settings)
    yield from _proxied(site)


def _caddy(site: Site, settings: Settings) -> Iterator[Step]:
    yield _file("caddy/consent.caddy", "/etc/caddy/consent.caddy, imported in the site's block", settings)
    yield from _proxied(site)


def _iis(site: Site, settings: Settings) -> Iterator[Step]:
    yield _file("iis/web.config", "web.config in the site's root, or as part of the one there", settings)
    yield from _proxied(site)


def _asp(site: Site, settings: Settings) -> Iterator[Step]:
    yield _file("iis/web.config", "web.config in the site's root, or as part of the one there", settings)
    yield _file("iis/consent.asp", "consent.asp in the site's root", settings)
    yield _trusted()
    yield Step("At the top of every page:", '<!-- #include virtual="/consent.asp" -->')
    yield Step("Before </body>:", f'<% ConsentBanner "{site.key}" %>')
    asked = site.optional[0].key if site.optional else "statistics"
    yield Step(
        "Where the server itself does what needs a choice:", f'<% If ConsentAllows("{site.key}", "{asked}") Then %>'
    )
    yield from _opener(site)


def _proxied(site: Site) -> Iterator[Step]:
    yield _trusted()
    yield Step(
        "Once in every page, anywhere (or the template function, see --for jinja):",
        f'<script async src="/taskbar.js" data-site="{site.key}"></script>',
    )
    yield from _opener(site)


def _opener(site: Site) -> Iterator[Step]:
    yield Step(
        "Where visitors change their mind, such as the footer; it works without JavaScript too:",
        f'<a href="/cookies?site={site.key}" data-consent-open>Cookie settings</a>',
    )
    yield from _policy(OWN_HOST)


def _policy(source: str) -> Iterator[Step]:
    yield Step("If the pages send a Content-Security-Policy, add these sources to it:", policy(source))


def _trusted() -> Step:
    return Step("In the service's settings, so that it believes this one proxy:", "CONSENT_TRUSTED_PROXIES=1")


def _file(name: str, target: str, settings: Settings) -> Step:
    """A file of deploy/, with this installation's address in it."""
    return Step(f"Save as {target}:", _read(name).rstrip("\n").replace(ADDRESS, settings.bind), name)


def _read(name: str) -> str:
    """Raises SettingsError where the files are nowhere."""
    for place in PLACES:
        if (place / name).is_file():
            return (place / name).read_text("utf-8")
    raise SettingsError(f"deploy/{name} is missing (looked in {PLACES[0]} and {PLACES[1]}); install the package again")


WAYS: Final[Mapping[str, Way]] = {
    "script": Way("script", _script),
    "subdomain": Way("script", _subdomain),
    "jinja": Way("same-host", _jinja),
    "nginx": Way("same-host", _nginx),
    "caddy": Way("same-host", _caddy),
    "iis": Way("same-host", _iis),
    "asp": Way("same-host", _asp),
}
