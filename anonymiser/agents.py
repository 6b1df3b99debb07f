"""User agent text -> browser, system, device class and, where it is one, the reason to call it a bot.

Four closed lists come out; the text itself is dropped. The rules are general (what robots say of themselves, what
every browser says and libraries do not), because a list of names is old the day it is written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

MAX_AGENT: Final = 512
OTHER: Final = "Other"


@dataclass(frozen=True, slots=True)
class Agent:
    """What is kept of a user agent. `bot` is "" for a person, else why not: crawler, library, headless, empty, odd."""

    browser: str
    system: str
    device: str
    bot: str


Rules = tuple[tuple[str, re.Pattern[str]], ...]


def _rules(*pairs: tuple[str, str]) -> Rules:
    return tuple((name, re.compile(pattern)) for name, pattern in pairs)


# Order matters: nearly every browser also claims to be Chrome or Safari, so the more particular name comes first.
_BROWSERS: Final = _rules(
    ("Edge", r"\bEdg(?:e|A|iOS)?/"),
    ("Opera", r"\bOPR/|\bOPiOS/|\bOPT/|\bOPX/|\bOpera\b"),
    ("Samsung Internet", r"SamsungBrowser/"),
    ("Vivaldi", r"Vivaldi/"),
    ("DuckDuckGo", r"DuckDuckGo/|\bDdg/"),
    ("Yandex", r"YaBrowser/|YaApp"),
    ("UC Browser", r"UCBrowser|UCWEB|\bUBrowser/"),
    ("Huawei Browser", r"HuaweiBrowser/"),
    ("Xiaomi Browser", r"MiuiBrowser/"),
    ("Amazon Silk", r"\bSilk/"),
    ("Brave", r"\bBrave/"),
    ("Whale", r"\bWhale/"),
    ("QQ Browser", r"QQBrowser/"),
    (
        "App",
        r"\bFBA[NV]/|FB_IAB|Instagram|\bLine/|MicroMessenger|Snapchat|Pinterest|TikTok|musical_ly|BytedanceWebview|"
        r"LinkedInApp|Twitter for|WhatsApp|\bGSA/|; wv\)",
    ),
    ("Internet Explorer", r"\bMSIE |Trident/"),
    ("Firefox", r"(?:Firefox|FxiOS|Focus|Iceweasel|LibreWolf)/"),
    ("Chrome", r"(?:Chrome|CriOS|Chromium|CrMo)/"),
    ("Android Browser", r"Android.*Version/[\d.]+.*Safari/"),
    ("Safari", r"(?:Version/[\d.]+|iPhone|iPad|Mac).*Safari/|Version/[\d.]+ Safari/"),
    ("App", r"\((?:iPhone|iPad|iPod|Macintosh).*AppleWebKit/"),
    ("Firefox", r"Gecko/\d.*(?:SeaMonkey|PaleMoon|Waterfox|Camino|Fennec)|rv:.*Gecko/\d"),
)
_SYSTEMS: Final = _rules(
    ("Windows", r"Windows|Win(?:NT|9[58]|32|64)\b"),
    ("iOS", r"iPhone|iPad|iPod|\biOS\b"),
    ("Android", r"Android|Silk/"),
    ("ChromeOS", r"\bCrOS\b"),
    ("macOS", r"Macintosh|Mac OS X|Mac_PowerPC|Darwin"),
    ("Linux", r"Linux|X11|Ubuntu|Fedora|BSD\b"),
)
_DEVICES: Final = _rules(
    ("television", r"SMART-TV|SmartTV|\bTV\b|Tizen.*TV|Web0S|webOS\.TV|AppleTV|AFT[A-Z]|BRAVIA|GoogleTV|HbbTV|Roku"),
    ("tablet", r"iPad|Tablet|PlayBook|Silk/|Kindle|\bKF[A-Z]{2,}|Nexus (?:7|9|10)\b|\bSM-[TX]\d|Android(?!.*Mobile)"),
    ("phone", r"iPhone|iPod|Mobile|Android|Windows Phone|BlackBerry|Opera Mini|Opera Mobi|Symbian|J2ME|MIDP|Phone"),
    ("desktop", r"Windows|Macintosh|Mac OS X|Mac_PowerPC|X11|CrOS|Linux|Win(?:NT|9[58]|32)"),
)

BROWSERS: Final = (*dict.fromkeys(name for name, _ in _BROWSERS), OTHER)
SYSTEMS: Final = (*(name for name, _ in _SYSTEMS), OTHER)
DEVICES: Final = (*(name for name, _ in _DEVICES), "other")

# What robots say of themselves. A word counts at the start of a word ("Feedly", "feed-fetcher"), not inside another.
_CRAWLER: Final = re.compile(
    r"bot\b|bots?[\W\d_]|\brobot|bot(?=[A-Z/;)])|crawl|spider|slurp|scrap(?:e|y)|fetch|index(?:er|ing)|archiv|"
    r"\bfeed|\brss\b|reader\b|aggregat|preview|snippet|thumbnail|screenshot|monitor|uptime|pingdom|probe|"
    r"check(?:er|ing|link)?\b|link(?:check|walk|dex)|validat|verif|scan|nikto|nmap|sqlmap|nuclei|audit|analy[sz]|"
    r"survey|research|\bseo\b|search|\bai\b|gpt|gather|harvest|collect(?:or|ing)|download|mirror|offline|sitemap|"
    r"webhook|proxy\b|cache|transcoder|translat|inspect|test(?:er|ing)?\b|measure|sniff|discover|explor(?:er)?/|"
    r"\bweb ?site\b|\bagent\b|https?:|www\.|\w@\w|\bat\W.*\bdot\b",
    re.IGNORECASE,
)
_LIBRARY: Final = re.compile(
    r"^(?:curl|wget|python|java|go-http|okhttp|axios|node|ruby|perl|php|libwww|lwp|guzzle|apache-http|httpie|http|"
    r"aiohttp|got|rest|postman|insomnia|winhttp|dart|reqwest|faraday|undici|deno|bun|powershell|cfnetwork)\b|"
    r"libwww|http-?client|httpunit|httrack|\bjava/|python-|urllib|requests/|\bcurl/|\bwget/|winhttp|okhttp|"
    r"go-http|axios/|node-fetch|guzzle|powershell|cfnetwork|apache-http|jakarta|zgrab|masscan|mechanize",
    re.IGNORECASE,
)
_HEADLESS: Final = re.compile(
    r"headless|phantomjs|slimerjs|puppeteer|playwright|selenium|webdriver|electron|cypress|htmlunit|lighthouse|"
    r"prerender|splash|nightmare|jsdom|zombie",
    re.IGNORECASE,
)
_BROWSER_LIKE: Final = re.compile(r"Mozilla/\d\.\d+ \(|Opera/\d|Mozilla/[1-4]\.\d")
_ENGINE: Final = re.compile(r"AppleWebKit|Gecko/|MSIE |Trident/|Opera|Presto/|KHTML|Mozilla/[1-4]\.")


@lru_cache(maxsize=65536)
def identify(user_agent: str) -> Agent:
    """Reduce one user agent to its Agent; only the first 512 characters are looked at."""
    agent = user_agent[:MAX_AGENT].strip()
    device = _first(_DEVICES, agent, "other")
    return Agent(_first(_BROWSERS, agent, OTHER), _first(_SYSTEMS, agent, OTHER), device, _bot(agent))


def _first(rules: Rules, agent: str, otherwise: str) -> str:
    return next((name for name, pattern in rules if pattern.search(agent)), otherwise)


def _bot(agent: str) -> str:
    if agent in ("", "-"):
        return "empty"
    if _HEADLESS.search(agent):
        return "headless"
    if _LIBRARY.search(agent):
        return "library"
    if _CRAWLER.search(agent):
        return "crawler"
    return "" if _BROWSER_LIKE.match(agent) and _ENGINE.search(agent) else "odd"
