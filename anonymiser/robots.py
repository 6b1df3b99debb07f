"""Why a user agent is no person's browser: what robots say of themselves, and what browsers say and libraries do not.

The rules are general, because a list of names is old the day it is written. Most of the work is done on words, and
each distinct word is judged once: thousands of distinct agents are made of a few hundred words.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

REASONS: Final = ("empty", "headless", "library", "crawler", "odd")

HEADLESS_WORDS: Final = (
    "headless phantomjs slimerjs puppeteer playwright selenium webdriver cypress htmlunit lighthouse prerender splash "
    "nightmare jsdom zombie"
)
LIBRARY_WORDS: Final = (
    "libwww httpclient http-client httpunit httrack python- urllib requests/ curl/ wget/ winhttp okhttp go-http axios/ "
    "node-fetch guzzle powershell cfnetwork apache-http jakarta zgrab masscan mechanize msoffice"
)
CRAWLER_WORDS: Final = (
    "bot crawl spider slurp scrape scrapy fetch indexer indexing archiv aggregat preview snippet thumb screenshot "
    "monitor uptime pingdom probe linkcheck linkwalk linkdex backlink validat verif scan nikto nmap sqlmap nuclei "
    "audit analys analyz survey research search gpt gather harvest collector collecting mirror offline sitemap webhook "
    "cache transcoder translat inspect measure sniff discover synthetic favicon marketing prospect grader advisor "
    "pagespeed extern extract grab rank sweep phish malware threat exploit plagiar enrich lookup detect parser tracker "
    "recorder script catalog google- googleother http: https: www."
)
# Measuring services drive a real browser and add nothing but their name.
MEASURING: Final = (
    "ptst dareboost debugbear catchpoint neustar gomez iplabel speedcurve calibreapp gtmetrix statuscake site24x7 "
    "ruxit dynatrace datadog newrelic uptrends detectify rigor loadrunner sitespeed webpagetest khte/ ktxn alertsite"
)
# Words that say something only where a word begins or ends.
_CRAWLER_SIGNS: Final = re.compile(
    r"\bfeed|\brss\b|reader\b|check(?:er|ing)?\b|\bseo\b|\bai\b|\bdownload|proxy\b|test(?:er|ing)?\b|"
    r"\bexplor(?:er)?/|\bwebsite\b|agent\b|meter\b|-google\b|\w@\w|\+\w+://|"
    r"(?<![\w.])(?:[\w-]+\.)*[a-z][\w-]*\.(?:com|net|org|io|co|info|eu|de|fr|uk|ru|app|dev)(?![\w.])"
)
_LIBRARY_START: Final = re.compile(
    r"(?:curl|wget|python|java|go-http|okhttp|axios|node|ruby|perl|php|libwww|lwp|guzzle|apache-http|httpie|http|"
    r"aiohttp|got|rest|postman|insomnia|winhttp|dart|reqwest|faraday|undici|deno|bun|powershell|cfnetwork|dalvik)\b"
)
_JAVA: Final = re.compile(r"\bjava/")
_PHRASES: Final = ("web site", "page speed", "like gecko; google", "like gecko, google", "http client")
_SPELT_OUT: Final = re.compile(r"\bat\W.*\bdot\b")

# What people's browsers say that sounds like a robot: telephones are called CUBOT, Spider and Discovery, some
# browsers name their search box, a television its make, and Windows said that its next version was downloaded.
_HARMLESS_WORD: Final = re.compile(
    r"wpslondontest[;)]*|\(?ya(?:ndex)?(?:search|app)\w*/.*|gwx:\w+[;)]*|\d+explorer(?:/.*)?|th@calendar=\w+[;)]*|explorer/.*"
)
_TELEPHONE: Final = re.compile(r"\(Linux;[^()]*(?:\([^()]*\)[^()]*)*\)")
_CONFESSIONS: Final = ("compatible", "http", "@")
_PHRASES_OF_PEOPLE: Final = re.compile(
    r"\(Ecosia \w+@[\d.]+\)|Embedded Web Browser[^;)]*|Quick Search TV/\S*|\bTV Bro/\S*|\bWeb Explorer/\S*"
)
_SIGNS_OF_PEOPLE: Final = ("Ecosia ", "Embedded Web", "Quick Search TV", "TV Bro/", "Web Explorer/")
# From here on an application or a television describes itself.
_OWN_BLOCK: Final = ("[FB", "NAVER(inapp", "HbbTV/", "Instagram ")

_BROWSER_LIKE: Final = re.compile(
    r"Mozilla/\d\.\d+ ?\(|Opera/\d|Mozilla/[1-4]\.\d|UCWEB/\d|MQQBrowser/\d|Mozilla/5\.0 Linux; (?:U; )?Android|"
    r".{1,60}?Mozilla/5\.0 \(Linux; [^()]*Android|[\w-]+ Opera/\d|.*\b(?:MIDP-|UP\.Browser|Obigo|NetFront)"
)
_ENGINES: Final = (
    "AppleWebKit", "Gecko/", "MSIE ", "Trident/", "Opera", "Presto/", "KHTML", "Konqueror", "Mozilla/4.", "Mozilla/3.",
    "Mozilla/2.", "Mozilla/1.", "UCBrowser", "MIDP-", "UP.Browser", "Obigo", "NetFront",
)  # fmt: skip
_POSES: Final = re.compile(r"compatible;(?!.*(?:MSIE \d|Trident|Konqueror|IEMobile))")

# Today's desktop browsers all follow one grammar; a guest in it is a robot that borrowed the rest. Older versions,
# whose browsers decorated it freely, applications built on Electron, and televisions are left alone.
_GRAMMAR: Final = re.compile(r"Mozilla/5\.0 \(((?:[^()]|\([^()]*\))*)\)(.*)")
_DESKTOP: Final = re.compile(r"Windows NT|Macintosh|\bX11\b")
_MODERN: Final = re.compile(
    r"Chrome/(?:[3-9]\d|\d{3})\.|Firefox/(?:[3-9]\d|\d{3})\.|Version/(?:9|[12]\d)\b.*Safari|"
    r"AppleWebKit/(?!.*(?:Chrome|Version|Mobile)/)"
)
_DECORATED: Final = re.compile(
    r"(?:Trident|Electron|QtWebEngine|Qt|HbbTV|VIDAA|CrKey|Brackets|Odin|QuickLook|WebClip|AtomShell)/|SMART-TV|"
    r"Valve Steam|Quest|osmeta"
)
_COMMENT: Final = re.compile(r"\([^()]*\)")
_PLATFORM: Final = re.compile(
    r"Windows(?: NT [\d.]+)?|Win64|Win32|x64|WOW64|ARM64|ARM|x86(?:_64)?|N|U|I|K|Macintosh|PPC|X11|Wayland|"
    r"(?:Intel|PPC) Mac OS X(?: Mach-O)?(?: [\d_.]+)?|(?:Linux|\w+BSD|DragonFly|SunOS|GNU/Linux)(?: [\w.()-]+)*|"
    r"CrOS \w+ [\d.]+|(?:Arch|Arch Linux|Ubuntu|Kubuntu|Fedora|Debian|Gentoo|Linux Mint|openSUSE|elementary OS)|"
    r"rv:[\w.+]+|[a-z]{2,3}(?:[-_][A-Za-z]{2,4})?|Xbox|Xbox One|Touch|Tablet PC [\d.]+|KHTML, like Gecko|Edition .*|"
    r"Lumia .*|beta|chromeframe/[\d.]+|WebView/[\d.]+|"
)
_PRODUCT: Final = re.compile(
    r"(?:AppleWebKit|Chrome|Chromium|Safari|Version|Mobile|Gecko|Goanna|Firefox|Edge?|EdgA|OPR|OPX|Vivaldi|YaBrowser|"
    r"Yowser|Yptp|SA|BroPP|Whale|QQBrowser|QQBrowserLite|Core|[Bb]rave|UBrowser|UCBrowser|Iron|Maxthon|Iridium|"
    r"Sleipnir|SeaMonkey|PaleMoon|Basilisk|Waterfox|LibreWolf|IceCat|Iceweasel|IceDragon|K-Meleon|Ubuntu|Fedora|"
    r"Debian|Avast|AVG|CCleaner|Norton|AviraScout|Avira|Comodo_Dragon|Dragon|coc_coc_browser|360SE|360EE|LBBROWSER|"
    r"SE|MetaSr|TheWorld|BIDUBrowser|2345Explorer|Puffin|Epiphany|Konqueror|Falkon|QupZilla|Midori|Otter|DuckDuckGo|"
    r"Ddg|Viewer|Quark|Amigo|MRCHROME|Sputnik\w*|Atom|Silk|SamsungBrowser|OculusBrowser|AtContent|Herring|ADG|"
    r"AOLBUILD|Config|Epic|Ecosia|Orion|Zen|Floorp|Mypal|HiBrowser|HuaweiBrowser|ArkWeb|MiuiBrowser|SLBrowser|"
    r"Sidekick|Arc|CriOS|MicroMessenger|WindowsWechat|NetType|WeChat|Language|SznProhlizec|Cent|Slimjet|GLS|Agency|"
    r"UR|LikeWise|Thunderbird|Lightning|Cyberfox|XWEB|Flow|MiniBrowser|TeslaBrowser|Tesla|Wavebox|Superbird|Colibri|"
    r"Min|BMID|ASW|MMS|Secure|Servo|AlexaToolbar|chromeframe|CoRom|Safer|FreeU|SOC|WebView|qutebrowser|rekonq|SteamDeck|Honorlock)(?:/\S*)?|[\d.X]+|like"
)
_WORDS: Final = {
    "headless": tuple(HEADLESS_WORDS.split()),
    "library": tuple(LIBRARY_WORDS.split()),
    "crawler": tuple((CRAWLER_WORDS + " " + MEASURING).split()),
}


def reason(agent: str) -> str:
    """Why this user agent, stripped and of bounded length, is a robot's: one of REASONS; "" for a person's browser."""
    if agent in ("", "-"):
        return "empty"
    said = _said(agent)
    if said:
        return said
    if "compatible;" in agent and _POSES.search(agent):
        return "crawler"
    browser = _BROWSER_LIKE.match(agent) and any(map(agent.__contains__, _ENGINES))
    return "" if browser and not _has_guests(agent) else "odd"


def _said(agent: str) -> str:
    """What the words say, the harshest first."""
    plain = _without_harmless(agent)
    words = plain.lower().split()
    if _LIBRARY_START.match(agent.lower()):
        return "library"
    verdicts = set(map(_judged, words))
    for verdict in _WORDS:
        if verdict in verdicts:
            return verdict
    small = " ".join(words)
    phrased = any(map(small.__contains__, _PHRASES)) or ("dot" in small and _SPELT_OUT.search(small))
    return "crawler" if phrased else ""


def _without_harmless(agent: str) -> str:
    for block in _OWN_BLOCK:
        if block in agent:
            agent = agent.partition(block)[0]
    if "Android" in agent:
        agent = _without_telephone(agent)
    return _PHRASES_OF_PEOPLE.sub(" ", agent) if any(map(agent.__contains__, _SIGNS_OF_PEOPLE)) else agent


def _without_telephone(agent: str) -> str:
    """Without the comment that names the device, unless a robot confesses in it."""
    found = _TELEPHONE.search(agent)
    if not found or "Android" not in found[0] or any(map(found[0].lower().__contains__, _CONFESSIONS)):
        return agent
    return agent[: found.start()] + agent[found.end() :]


@lru_cache(maxsize=65536)
def _judged(word: str) -> str:
    """What one small-letter word of an agent says: a key of _WORDS or ""."""
    if _HARMLESS_WORD.fullmatch(word):
        return ""
    for verdict, words in _WORDS.items():
        if any(map(word.__contains__, words)):
            return verdict
    if _JAVA.search(word):
        return "library"
    return "crawler" if _CRAWLER_SIGNS.search(word) else ""


def _has_guests(agent: str) -> bool:
    """Whether a modern desktop browser's text names a product or platform that no browser has."""
    grammar = _GRAMMAR.match(agent)
    if not grammar or not _DESKTOP.search(grammar[1]):
        return False
    parts, products = grammar[1].split(";"), grammar[2].replace("(KHTML, like Gecko)", "")
    if "(" in products:
        parts += [part for comment in _COMMENT.findall(products) for part in comment[1:-1].split(";")]
        products = _COMMENT.sub(" ", products)
    known = all(map(_is_product, products.split())) and all(map(_is_platform, parts))
    return not known and bool(_MODERN.search(agent)) and not _DECORATED.search(agent)


@lru_cache(maxsize=16384)
def _is_product(word: str) -> bool:
    return bool(_PRODUCT.fullmatch(word))


@lru_cache(maxsize=16384)
def _is_platform(part: str) -> bool:
    return bool(_PLATFORM.fullmatch(part.strip()))
