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

# What robots say of themselves. Parts that only name a telephone or a browser's own search box are taken out first:
# there are telephones called CUBOT, Spider and Discovery.
_CRAWLER: Final = re.compile(
    r"bot\b|bots?[\W\d_]|\brobot|bot(?=[A-Z/;)])|crawl|spider|slurp|scrap(?:e|y)|fetch|index(?:er|ing)|archiv|"
    r"\bfeed|\brss\b|reader\b|aggregat|preview|snippet|thumbnail|screenshot|monitor|uptime|pingdom|probe|"
    r"check(?:er|ing|link)?\b|link(?:check|walk|dex)|validat|verif|scan|nikto|nmap|sqlmap|nuclei|audit|analy[sz]|"
    r"survey|research|\bseo\b|search|\bai\b|gpt|gather|harvest|collect(?:or|ing)|\bdownload|mirror|offline|sitemap|"
    r"webhook|proxy\b|cache|transcoder|translat|inspect|test(?:er|ing)?\b|measure|sniff|discover|explor(?:er)?/|"
    r"synthetic|\bweb ?site\b|\bagent\b|https?:|www\.|\w@\w|\bat\W.*\bdot\b|\+\w+://|"
    r"(?<![\w.])(?:[\w-]+\.)+(?:com|net|org|io|co|info|eu|de|fr|uk|ru|app|dev)(?![\w.])",
    re.IGNORECASE,
)
_HARMLESS: Final = re.compile(
    r"\(Linux;[^()]*Android(?![^()]*(?:compatible|https?:|\w@\w))[^()]*\)|\bYa(?:Search|App)\w*|"
    r"\(Ecosia \w+@[\d.]+\)|Embedded Web Browser[^;)]*"
)
_LIBRARY: Final = re.compile(
    r"^(?:curl|wget|python|java|go-http|okhttp|axios|node|ruby|perl|php|libwww|lwp|guzzle|apache-http|httpie|http|"
    r"aiohttp|got|rest|postman|insomnia|winhttp|dart|reqwest|faraday|undici|deno|bun|powershell|cfnetwork|dalvik)\b|"
    r"libwww|http-?client|httpunit|httrack|\bjava/|python-|urllib|requests/|\bcurl/|\bwget/|winhttp|okhttp|"
    r"go-http|axios/|node-fetch|guzzle|powershell|cfnetwork|apache-http|jakarta|zgrab|masscan|mechanize",
    re.IGNORECASE,
)
_HEADLESS: Final = re.compile(
    r"headless|phantomjs|slimerjs|puppeteer|playwright|selenium|webdriver|cypress|htmlunit|lighthouse|prerender|"
    r"splash|nightmare|jsdom|zombie",
    re.IGNORECASE,
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
    if _CRAWLER.search(_HARMLESS.sub(" ", agent)) or _POSES.search(agent):
        return "crawler"
    return "" if _BROWSER_LIKE.match(agent) and _ENGINE.search(agent) and not _guests(agent) else "odd"


def _guests(agent: str) -> bool:
    """Whether a desktop browser's text names a product or platform that no browser has."""
    if not _MODERN_DESKTOP.match(agent):
        return False
    comments = re.findall(r"\(([^()]*)\)", agent)
    products = re.sub(r"\([^()]*\)", " ", agent).split()[1:]
    parts = [part.strip() for comment in comments for part in comment.split(";")]
    return not all(map(_PRODUCT.fullmatch, products)) or not all(map(_PLATFORM.fullmatch, parts))
