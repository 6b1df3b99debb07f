"""User agent text -> browser, system, device class and, where it is one, the reason to call it a bot.

Four closed lists come out; the text itself is dropped. A browser that nobody listed counts as the one whose engine
it claims. Which agents are robots, and why, is said in `robots`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from anonymiser import robots

MAX_AGENT: Final = 512
OTHER: Final = "Other"


@dataclass(frozen=True, slots=True)
class Agent:
    """What is kept of a user agent. `bot` is "" for a person, else why not (one of robots.REASONS)."""

    browser: str
    system: str
    device: str
    bot: str


# Order matters: nearly every browser also claims to be Chrome or Safari, so the more particular name comes first.
_BROWSERS: Final = (
    (OTHER, ("PlayStation", "Nintendo", "OculusBrowser/")),
    ("Edge", ("Edg/", "Edge/", "EdgA/", "EdgiOS/")),
    ("Opera", ("OPR/", "OPiOS/", "OPT/", "OPX/", "Opera")),
    ("Samsung Internet", ("SamsungBrowser/",)),
    ("Vivaldi", ("Vivaldi/",)),
    ("DuckDuckGo", ("DuckDuckGo/", "Ddg/")),
    ("Yandex", ("YaBrowser/", "YaApp", "YaSearch")),
    ("UC Browser", ("UCBrowser", "UCWEB", "UBrowser/")),
    ("Huawei Browser", ("HuaweiBrowser/",)),
    ("Xiaomi Browser", ("MiuiBrowser/",)),
    ("Amazon Silk", ("Silk/",)),
    ("Brave", ("Brave/", "brave/", "Brave ", " Brave")),
    ("Whale", ("Whale/",)),
    ("QQ Browser", ("QQBrowser/",)),
    ("App", ("FBAN/", "FBAV/", "FB_IAB", "Instagram", " Line/", "MicroMessenger", "Snapchat", "Pinterest", "TikTok")),
    ("App", ("musical_ly", "BytedanceWebview", "trill_", "LinkedInApp", "Twitter for", "WhatsApp", "GSA/", "; wv)")),
    ("App", ("KAKAOTALK", "NAVER(inapp", "baiduboxapp", "Barcelona ", "Electron/", "Reddit/", "Teams/")),
    ("Internet Explorer", ("MSIE ", "Trident/")),
    ("Firefox", ("Firefox/", "FxiOS/", "Focus/", "Klar/", "Iceweasel/", "LibreWolf/")),
    ("Chrome", ("Chrome/", "CriOS/", "Chromium/", "CrMo/")),
)
_BROWSER_SIGNS: Final = tuple((sign, name) for name, signs in _BROWSERS for sign in signs)
_GECKO: Final = re.compile(r"Gecko/\d.*(?:SeaMonkey|PaleMoon|Waterfox|Camino|Fennec)|rv:.*Gecko/\d")
_APPLE: Final = ("iPhone", "iPad", "iPod", "Macintosh")

_SYSTEM_SIGNS: Final = (
    ("Windows", "Windows"), ("WinNT", "Windows"), ("Win95", "Windows"), ("Win98", "Windows"), ("Win32", "Windows"),
    ("Win64", "Windows"), ("iPhone", "iOS"), ("iPad", "iOS"), ("iPod", "iOS"), (" iOS ", "iOS"),
    ("Android", "Android"), ("Silk/", "Android"), ("CrOS ", "ChromeOS"), ("PlayStation", OTHER), ("SunOS", OTHER),
    ("Macintosh", "macOS"), ("Mac OS X", "macOS"), ("Mac_PowerPC", "macOS"), ("Darwin", "macOS"),
    ("Linux", "Linux"), ("X11", "Linux"), ("Ubuntu", "Linux"), ("Fedora", "Linux"), ("BSD", "Linux"),
)  # fmt: skip

_TELEVISIONS: Final = ("SMART-TV", "SmartTV", "Web0S", "AppleTV", "BRAVIA", "GoogleTV", "HbbTV", "Roku", "CrKey")
_TELEVISION: Final = re.compile(r"\bTV\b|Tizen.*TV|webOS\.TV|\bAFT[A-Z]")
_CONSOLES: Final = ("PlayStation", "Nintendo", "Xbox", "SteamDeck", "Steam Deck")
_TABLETS: Final = ("iPad", "PlayBook", "Silk/", "Kindle")
_TABLET: Final = re.compile(r"Tablet(?! PC)|\bKF[A-Z]{2,}|Nexus (?:7|9|10)\b|\bSM-[TX]\d")
_PHONES: Final = (
    "Mobile", "iPhone", "iPod", "Android", "Phone", "BlackBerry", "Opera Mini", "Opera Mobi", "Symbian", "J2ME", "MIDP",
)  # fmt: skip
_DESKTOP_SYSTEMS: Final = frozenset(("Windows", "macOS", "ChromeOS", "Linux"))

BROWSERS: Final = (*dict.fromkeys(name for name, _ in _BROWSERS if name != OTHER), "Android Browser", "Safari", OTHER)
SYSTEMS: Final = ("Windows", "iOS", "Android", "ChromeOS", "macOS", "Linux", OTHER)
DEVICES: Final = ("television", "console", "tablet", "phone", "desktop", "other")


@lru_cache(maxsize=65536)
def identify(user_agent: str) -> Agent:
    """Reduce one user agent to its Agent; only the first 512 characters are looked at."""
    agent = user_agent[:MAX_AGENT].strip()
    system = _system(agent)
    return Agent(_browser(agent), system, _device(agent, system), robots.reason(agent))


def _browser(agent: str) -> str:
    for sign, name in _BROWSER_SIGNS:
        if sign in agent:
            return name
    return _unnamed(agent)


def _unnamed(agent: str) -> str:
    """Those that only their platform names: Safari, the old browser of Android, an application's own window."""
    apple, webkit = any(map(agent.__contains__, _APPLE)), "AppleWebKit/" in agent
    if webkit and "Safari/" in agent:
        if "Android" in agent:
            return "Android Browser" if "Version/" in agent else OTHER
        return "Safari" if apple or ("Version/" in agent and "Mobile" not in agent) else OTHER
    if webkit and apple:
        return "App"
    return "Firefox" if _GECKO.search(agent) else OTHER


def _system(agent: str) -> str:
    for sign, name in _SYSTEM_SIGNS:
        if sign in agent:
            return name
    return OTHER


def _device(agent: str, system: str) -> str:
    if any(map(agent.__contains__, _TELEVISIONS)) or (_maybe_television(agent) and _TELEVISION.search(agent)):
        return "television"
    if any(map(agent.__contains__, _CONSOLES)):
        return "console"
    if "OculusBrowser/" in agent:
        return "other"
    if _is_tablet(agent, system):
        return "tablet"
    if any(map(agent.__contains__, _PHONES)):
        return "phone"
    return "desktop" if system in _DESKTOP_SYSTEMS or "(PC;" in agent else "other"


def _maybe_television(agent: str) -> bool:
    return "TV" in agent or "AFT" in agent


def _is_tablet(agent: str, system: str) -> bool:
    if any(map(agent.__contains__, _TABLETS)):
        return True
    if system == "Android":
        return ("Mobile" not in agent and "Opera M" not in agent) or bool(_TABLET.search(agent))
    return "Tablet" in agent and bool(_TABLET.search(agent))
