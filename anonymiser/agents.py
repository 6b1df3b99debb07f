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
_NAMED: Final = (
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
    ("Brave", ("Brave/", "brave/", "Brave ")),
    ("Whale", ("Whale/",)),
    ("QQ Browser", ("QQBrowser/",)),
    ("App", ("FBAN/", "FBAV/", "FB_IAB", "Instagram", " Line/", "MicroMessenger", "Snapchat", "Pinterest", "TikTok")),
    ("App", ("musical_ly", "BytedanceWebview", "LinkedInApp", "Twitter for", "WhatsApp", "GSA/", "; wv)")),
    ("Internet Explorer", ("MSIE ", "Trident/")),
    ("Firefox", ("Firefox/", "FxiOS/", "Focus/", "Iceweasel/", "LibreWolf/")),
    ("Chrome", ("Chrome/", "CriOS/", "Chromium/", "CrMo/")),
)
_UNNAMED: Final = _rules(
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
    (
        "tablet",
        r"iPad|Tablet(?! PC)|PlayBook|Silk/|Kindle|\bKF[A-Z]{2,}|Nexus (?:7|9|10)\b|\bSM-[TX]\d|Android(?!.*Mobile)",
    ),
    ("phone", r"iPhone|iPod|Mobile|Android|Windows Phone|BlackBerry|Opera Mini|Opera Mobi|Symbian|J2ME|MIDP|Phone"),
    ("desktop", r"Windows|Macintosh|Mac OS X|Mac_PowerPC|X11|CrOS|Linux|Win(?:NT|9[58]|32)"),
)

BROWSERS: Final = (*dict.fromkeys(name for name, _ in (*_NAMED, *_UNNAMED)), OTHER)
SYSTEMS: Final = (*(name for name, _ in _SYSTEMS), OTHER)
DEVICES: Final = (*(name for name, _ in _DEVICES), "other")

# What robots say of themselves, in small letters. Parts that only name a telephone or a browser's own search box are
# taken out first: there are telephones called CUBOT, Spider and Discovery.
CRAWLER_WORDS: Final = (
    "bot crawl spider slurp scrape scrapy fetch indexer indexing archiv aggregat preview snippet thumbnail screenshot "
    "monitor uptime pingdom probe linkcheck linkwalk linkdex validat verif scan nikto nmap sqlmap nuclei audit analys "
    "analyz survey research search gpt gather harvest collector collecting mirror offline sitemap webhook cache "
    "transcoder translat inspect measure sniff discover synthetic http: https: www."
)
LIBRARY_WORDS: Final = (
    "libwww httpclient http-client httpunit httrack python- urllib requests/ curl/ wget/ winhttp okhttp go-http axios/ "
    "node-fetch guzzle powershell cfnetwork apache-http jakarta zgrab masscan mechanize"
)
HEADLESS_WORDS: Final = (
    "headless phantomjs slimerjs puppeteer playwright selenium webdriver cypress htmlunit lighthouse prerender splash "
    "nightmare jsdom zombie"
)
_CRAWLER: Final = tuple(CRAWLER_WORDS.split())
_LIBRARY: Final = tuple(LIBRARY_WORDS.split())
_HEADLESS: Final = tuple(HEADLESS_WORDS.split())
# Words that count only where a word begins or ends; the first of each pair is in every text its pattern matches.
_CRAWLER_SIGNS: Final = _rules(
    ("feed", r"\bfeed"),
    ("rss", r"\brss\b"),
    ("reader", r"reader\b"),
    ("check", r"check(?:er|ing)?\b"),
    ("seo", r"\bseo\b"),
    ("ai", r"\bai\b"),
    ("download", r"\bdownload"),
    ("proxy", r"proxy\b"),
    ("test", r"test(?:er|ing)?\b"),
    ("explor", r"explor(?:er)?/"),
    ("site", r"\bweb ?site\b"),
    ("agent", r"\bagent\b"),
    ("@", r"\w@\w"),
    ("dot", r"\bat\W.*\bdot\b"),
    ("://", r"\+\w+://"),
    (".", r"(?<![\w.])(?:[\w-]+\.)+(?:com|net|org|io|co|info|eu|de|fr|uk|ru|app|dev)(?![\w.])"),
)
_LIBRARY_START: Final = re.compile(
    r"(?:curl|wget|python|java|go-http|okhttp|axios|node|ruby|perl|php|libwww|lwp|guzzle|apache-http|httpie|http|"
    r"aiohttp|got|rest|postman|insomnia|winhttp|dart|reqwest|faraday|undici|deno|bun|powershell|cfnetwork|dalvik)\b|"
    r".*\bjava/"
)
_HARMLESS: Final = re.compile(
    r"\(Linux;[^()]*Android(?![^()]*(?:compatible|https?:|\w@\w))[^()]*\)|\bYa(?:Search|App)\w*|"
    r"\(Ecosia \w+@[\d.]+\)|Embedded Web Browser[^;)]*"
)
_BROWSER_LIKE: Final = re.compile(
    r"Mozilla/\d\.\d+ \(|Opera/\d|Mozilla/[1-4]\.\d|UCWEB/\d|MQQBrowser/\d|.*\b(?:MIDP-|UP\.Browser|Obigo|NetFront)"
)
_ENGINE: Final = re.compile(
    r"AppleWebKit|Gecko/|MSIE |Trident/|Opera|Presto/|KHTML|Mozilla/[1-4]\.|UCBrowser|MIDP-|UP\.Browser|Obigo|NetFront"
)
_POSES: Final = re.compile(r"compatible;(?!.*(?:MSIE \d|Trident|Konqueror|IEMobile))")

# Today's desktop browsers all follow one grammar; a guest in it is a robot that borrowed the rest. Older versions,
# whose browsers decorated it freely, and applications built on Electron are left alone.
_MODERN_DESKTOP: Final = re.compile(
    r"Mozilla/5\.0 \([^()]*(?:Windows NT|Macintosh|X11)(?!.*(?:Trident|Electron|QtWebEngine)/).*"
    r"(?:Chrome/(?:49|[5-9]\d|\d{3})\.|Firefox/(?:[6-9]\d|\d{3})\.)"
)
_PLATFORM: Final = re.compile(
    r"Windows(?: NT [\d.]+)?|Win64|Win32|x64|WOW64|ARM64|ARM|x86(?:_64)?|N|U|I|K|Macintosh|PPC|X11|Wayland|"
    r"(?:Intel|PPC) Mac OS X(?: Mach-O)?(?: [\d_.]+)?|(?:Linux|\w+BSD|DragonFly|SunOS|GNU/Linux)(?: [\w.-]+)*|"
    r"CrOS \w+ [\d.]+|(?:Arch|Arch Linux|Ubuntu|Kubuntu|Fedora|Debian|Gentoo|Linux Mint|openSUSE|elementary OS)|"
    r"rv:[\w.+]+|[a-z]{2,3}(?:[-_][A-Za-z]{2,4})?|Xbox|Xbox One|Touch|Tablet PC [\d.]+|KHTML, like Gecko|Edition .*|"
)
_PRODUCT: Final = re.compile(
    r"(?:AppleWebKit|Chrome|Chromium|Safari|Version|Mobile|Gecko|Goanna|Firefox|Edge?|EdgA|OPR|OPX|Vivaldi|YaBrowser|"
    r"Yowser|Yptp|SA|BroPP|Whale|QQBrowser|QQBrowserLite|Core|[Bb]rave|UBrowser|UCBrowser|Iron|Maxthon|"
    r"Sleipnir|SeaMonkey|PaleMoon|Basilisk|Waterfox|LibreWolf|IceCat|Iceweasel|IceDragon|K-Meleon|Ubuntu|Fedora|"
    r"Debian|Avast|AVG|CCleaner|Norton|AviraScout|Avira|Comodo_Dragon|Dragon|coc_coc_browser|360SE|360EE|LBBROWSER|"
    r"SE|MetaSr|TheWorld|BIDUBrowser|Puffin|Epiphany|Konqueror|Falkon|Midori|Otter|DuckDuckGo|Ddg|Viewer|Quark|"
    r"Amigo|MRCHROME|Sputnik\w*|Atom|Silk|SamsungBrowser|OculusBrowser|AtContent|Herring|ADG|AOLBUILD|Config|Epic|"
    r"Ecosia|Orion|Zen|Floorp|Mypal|HiBrowser|HuaweiBrowser|ArkWeb|MiuiBrowser|SLBrowser|Sidekick|Arc|CriOS|"
    r"MicroMessenger|WindowsWechat|NetType|WeChat|Language|SznProhlizec|Cent|Slimjet|GLS|Agency|UR|LikeWise|"
    r"Thunderbird|Lightning|Cyberfox|XWEB|Flow|MiniBrowser|TeslaBrowser|Tesla|Wavebox|Superbird|Colibri|Min)"
    r"(?:/\S*)?|[\d.X]+|like"
)


@lru_cache(maxsize=65536)
def identify(user_agent: str) -> Agent:
    """Reduce one user agent to its Agent; only the first 512 characters are looked at."""
    agent = user_agent[:MAX_AGENT].strip()
    device = _first(_DEVICES, agent, "other")
    return Agent(_browser(agent), _first(_SYSTEMS, agent, OTHER), device, _bot(agent))


def _browser(agent: str) -> str:
    named = (name for name, products in _NAMED if _says(agent, products))
    return next(named, "") or _first(_UNNAMED, agent, OTHER)


def _first(rules: Rules, agent: str, otherwise: str) -> str:
    return next((name for name, pattern in rules if pattern.search(agent)), otherwise)


def _bot(agent: str) -> str:
    if agent in ("", "-"):
        return "empty"
    small = agent.lower()
    if _says(small, _HEADLESS):
        return "headless"
    if _LIBRARY_START.match(small) or _says(small, _LIBRARY):
        return "library"
    if _crawls(_HARMLESS.sub(" ", agent).lower()) or _POSES.search(agent):
        return "crawler"
    return "" if _BROWSER_LIKE.match(agent) and _ENGINE.search(agent) and not _guests(agent) else "odd"


def _says(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text for word in words)


def _crawls(text: str) -> bool:
    return _says(text, _CRAWLER) or any(sign in text and pattern.search(text) for sign, pattern in _CRAWLER_SIGNS)


def _guests(agent: str) -> bool:
    """Whether a desktop browser's text names a product or platform that no browser has."""
    if not _MODERN_DESKTOP.match(agent):
        return False
    comments = re.findall(r"\(([^()]*)\)", agent)
    products = re.sub(r"\([^()]*\)", " ", agent).split()[1:]
    parts = [part.strip() for comment in comments for part in comment.split(";")]
    return not all(map(_PRODUCT.fullmatch, products)) or not all(map(_PLATFORM.fullmatch, parts))
