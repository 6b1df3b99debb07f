"""Where a visit came from: referrer host and campaign tags -> a source's plain name and its channel.

Known sources have names ("Google", "Bing"); a site nobody lists keeps its scrubbed host as its name, which is
published only when enough browsers share it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus

from anonymiser import scrub

DIRECT: Final = "Direct"
SEARCH: Final = "Search"
SOCIAL: Final = "Social"
AI: Final = "AI assistants"
MAIL: Final = "Mail"
PAID: Final = "Paid"
REFERRAL: Final = "Referral"
INTERNAL: Final = "Internal"
CHANNELS: Final = (DIRECT, SEARCH, SOCIAL, AI, MAIL, PAID, REFERRAL, INTERNAL)


@dataclass(frozen=True, slots=True)
class Source:
    """A source's name and its channel (one of CHANNELS)."""

    name: str
    channel: str


# name: domains, and the names of applications as Android's referrers give them. A domain that ends in ".*" stands for
# every country's ("google.*": google.com, google.co.uk); the longest listed parent of a host names it.
_SITES: Final[dict[str, dict[str, str]]] = {
    AI: {
        "ChatGPT": "chatgpt.com chat.openai.com openai.com com.openai.chatgpt",
        "Claude": "claude.ai com.anthropic.claude",
        "Copilot": "copilot.microsoft.com copilot.cloud.microsoft m365.cloud.microsoft com.microsoft.copilot",
        "DeepSeek": "deepseek.com com.deepseek.chat",
        "Duck.ai": "duck.ai",
        "Gemini": "gemini.google.com bard.google.com aistudio.google.com notebooklm.google.com "
        "com.google.android.apps.bard",
        "Grok": "grok.com x.ai ai.x.grok",
        "Kimi": "kimi.com moonshot.cn",
        "Le Chat": "mistral.ai ai.mistral.chat",
        "Meta AI": "meta.ai",
        "Perplexity": "perplexity.ai ai.perplexity.app.android",
        "Phind": "phind.com",
        "Poe": "poe.com com.poe.android",
        "Qwen": "chat.qwen.ai qwen.ai",
        "You.com": "you.com",
    },
    MAIL: {
        "AOL Mail": "mail.aol.com",
        "Fastmail": "fastmail.com",
        "Gmail": "mail.google.com inbox.google.com com.google.android.gm",
        "GMX": "gmx.net gmx.com gmx.de gmx.at gmx.ch de.gmx.mobile.android.mail",
        "iCloud Mail": "icloud.com",
        "Mail.ru": "e.mail.ru ru.mail.mailapp",
        "Outlook": "outlook.live.com outlook.office.com outlook.office365.com outlook.com mail.live.com hotmail.com "
        "outlook.cloud.microsoft com.microsoft.office.outlook",
        "Proton Mail": "mail.proton.me protonmail.com ch.protonmail.android",
        "T-Online": "email.t-online.de",
        "WEB.DE": "web.de",
        "Yahoo Mail": "mail.yahoo.com mail.yahoo.co.jp com.yahoo.mobile.client.android.mail",
        "Zoho Mail": "mail.zoho.com mail.zoho.eu mail.zoho.in",
    },
    PAID: {
        "Amazon Ads": "amazon-adsystem.com",
        "Awin": "awin1.com zenaps.com",
        "CJ": "anrdoezrs.net dpbolvw.net jdoqocy.com kqzyfj.com tkqlhce.com",
        "Criteo": "criteo.com criteo.net",
        "Google Ads": "doubleclick.net googleadservices.com googlesyndication.com",
        "Outbrain": "outbrain.com",
        "Rakuten": "linksynergy.com",
        "Taboola": "taboola.com taboolanews.com",
        "Tradedoubler": "tradedoubler.com",
    },
    REFERRAL: {
        "Google Docs": "docs.google.com drive.google.com sites.google.com classroom.google.com groups.google.com "
        "calendar.google.com meet.google.com chat.google.com com.google.android.apps.docs",
        "Wikipedia": "wikipedia.org org.wikipedia",
    },
    SEARCH: {
        "AOL": "aol.com aol.co.uk aol.de",
        "Ask": "ask.com",
        "Baidu": "baidu.com baidu.jp",
        "Bing": "bing.com com.microsoft.bing",
        "Brave Search": "search.brave.com",
        "Daum": "daum.net",
        "DuckDuckGo": "duckduckgo.com com.duckduckgo.mobile.android",
        "Ecosia": "ecosia.org com.ecosia.android",
        "Google": "google.* googleusercontent.com com.google.android.googlequicksearchbox "
        "com.google.android.apps.searchlite com.google.android.apps.magazines",
        "Kagi": "kagi.com",
        "Mojeek": "mojeek.com mojeek.co.uk",
        "MSN": "msn.com",
        "Naver": "naver.com",
        "Presearch": "presearch.com presearch.org",
        "Qwant": "qwant.com",
        "Seznam": "seznam.cz",
        "Sogou": "sogou.com",
        "Startpage": "startpage.com ixquick.com",
        "Swisscows": "swisscows.com",
        "Yahoo": "yahoo.com yahoo.co.jp",
        "Yandex": "yandex.* ya.ru",
        "You.com Search": "search.you.com",
    },
    SOCIAL: {
        "Bluesky": "bsky.app xyz.blueskyweb.app",
        "Discord": "discord.com discordapp.com com.discord",
        "Facebook": "facebook.com fb.com fb.me messenger.com com.facebook.katana com.facebook.lite com.facebook.orca",
        "Flipboard": "flipboard.com",
        "GitHub": "github.com",
        "Hacker News": "news.ycombinator.com",
        "Instagram": "instagram.com com.instagram.android",
        "LinkedIn": "linkedin.com lnkd.in com.linkedin.android",
        "Mastodon": "mastodon.social mastodon.online mstdn.social",
        "Medium": "medium.com",
        "Nextdoor": "nextdoor.com nextdoor.co.uk com.nextdoor",
        "Pinterest": "pinterest.* pin.it com.pinterest",
        "Quora": "quora.com",
        "Reddit": "reddit.com com.reddit.frontpage",
        "Slack": "slack.com com.slack",
        "Snapchat": "snapchat.com com.snapchat.android",
        "Stack Overflow": "stackoverflow.com stackexchange.com",
        "Teams": "teams.microsoft.com teams.live.com statics.teams.cdn.office.net com.microsoft.teams",
        "Telegram": "telegram.org telegram.me t.me org.telegram.messenger",
        "Threads": "threads.net threads.com com.instagram.barcelona",
        "TikTok": "tiktok.com com.zhiliaoapp.musically",
        "Tumblr": "tumblr.com",
        "VK": "vk.com vk.ru vkontakte.ru",
        "WhatsApp": "whatsapp.com wa.me com.whatsapp com.whatsapp.w4b",
        "X": "x.com twitter.com t.co com.twitter.android",
        "Xing": "xing.com",
        "YouTube": "youtube.com youtu.be com.google.android.youtube",
    },
}
# Those whose advertising is common enough to be a declared key of its own.
_SELLS: Final = (
    "Google Bing Yahoo Yandex Baidu Naver Seznam DuckDuckGo Ecosia Facebook Instagram LinkedIn TikTok X YouTube Reddit "
    "Pinterest Snapchat Quora Nextdoor VK ChatGPT Copilot Perplexity"
)
_DIRECT: Final = Source("Direct", DIRECT)
_INTERNAL: Final = Source("Internal", INTERNAL)
_NAMED: Final = {
    domain: Source(name, channel)
    for channel, sites in _SITES.items()
    for name, domains in sites.items()
    for domain in domains.split()
}
_BY_NAME: Final = {source.name.lower(): source for source in _NAMED.values()}
_ALIASES: Final = {
    "adwords": "google", "bingads": "bing", "bing_ads": "bing", "chatgpt.com": "chatgpt", "copilot.com": "copilot",
    "ddg": "duckduckgo", "facebook_ads": "facebook", "facebook-ads": "facebook", "fb": "facebook", "fb_ads": "facebook",
    "fbads": "facebook", "gads": "google", "gmb": "google", "gmb-listing": "google", "google_ads": "google",
    "google-ads": "google", "google ads": "google", "googleads": "google", "google my business": "google",
    "hackernews": "hacker news", "hn": "hacker news", "ig": "instagram", "insta": "instagram", "li": "linkedin",
    "linkedin_ads": "linkedin", "meta": "facebook", "microsoft": "bing", "microsoft_ads": "bing", "openai": "chatgpt",
    "tt": "tiktok", "twitter": "x", "yt": "youtube", "ycombinator": "hacker news",
}  # fmt: skip
_UNSOLD: Final = {source.name for source in _NAMED.values() if source.channel in (PAID, REFERRAL)}
_PAID_NAMES: Final = {name.lower(): Source(f"{name} Ads", PAID) for name in _SELLS.split()}
_NEWSLETTER: Final = Source("Newsletter", MAIL)

KNOWN: Final = tuple(dict.fromkeys((_DIRECT, _INTERNAL, _NEWSLETTER, *_NAMED.values(), *_PAID_NAMES.values())))

_MEDIA: Final = (
    (
        PAID,
        re.compile(
            r"(?:.*[^a-z])?(?:cp[acilmpsv]|pp[cv]|ads?|advert\w*|adwords|sem|paid\w*|(?:re|pre)targeting|remarketing|"
            r"display|banners?|sponsor\w*|affiliates?|programmatic|interstitial|cross-network|native)(?:[^a-z].*)?"
        ),
    ),
    (MAIL, re.compile(r"(?:e[-_ ]?)?mail(?:ing|er|shot)?s?|(?:e[-_ ]?)?newsletters?|edm")),
    (SOCIAL, re.compile(r"social.*|sm|organic[ _-]social")),
    (SEARCH, re.compile(r"organic(?:[ _-]search)?|search|seo")),
    (AI, re.compile(r"ai|llm|chatbot|(?:ai[ _-])?assistant|ai[ _-]search")),
)
# What an advertiser, a mailer or a network adds to the address it leads to. Only that it is there is looked at: the
# value names one click or one reader. Facebook and Instagram mark every outgoing link, so theirs are not paid.
_CLICKS: Final = {
    "gclid": ("google", "cpc"), "gbraid": ("google", "cpc"), "wbraid": ("google", "cpc"),
    "gad_source": ("google", "cpc"),
    "dclid": ("google", "display"), "msclkid": ("bing", "cpc"), "yclid": ("yandex", "cpc"), "ttclid": ("tiktok", "cpc"),
    "twclid": ("x", "cpc"), "li_fat_id": ("linkedin", "cpc"), "rdt_cid": ("reddit", "cpc"),
    "sccid": ("snapchat", "cpc"), "epik": ("pinterest", "cpc"), "qclid": ("quora", "cpc"),
    "ndclid": ("nextdoor", "cpc"),
    "awc": ("awin", "affiliate"), "cjevent": ("cj", "affiliate"), "tduid": ("tradedoubler", "affiliate"),
    "irclickid": ("impact", "affiliate"), "ransiteid": ("rakuten", "affiliate"), "tblci": ("taboola", "display"),
    "dicbo": ("outbrain", "display"), "obclid": ("outbrain", "display"), "mc_cid": ("newsletter", "email"),
    "mc_eid": ("newsletter", "email"), "_hsenc": ("newsletter", "email"), "mkt_tok": ("newsletter", "email"),
    "vero_id": ("newsletter", "email"), "fbclid": ("facebook", ""), "igshid": ("instagram", ""),
    "igsh": ("instagram", ""), "srsltid": ("google", ""),
}  # fmt: skip
_TAG: Final = re.compile(
    rf"(?:^|[?&;])(?:(utm|mtm|pk)_(source|medium|campaign)|({'|'.join(_CLICKS)}))=([^&#]*)", re.IGNORECASE
)
_TAG_SIGNS: Final = ("_source", "_medium", "_campaign", *_CLICKS)
_COUNTRY_END: Final = re.compile(r"(?:com?\.)?[a-z]{2}|com|net|org")
_MAIL_HOST: Final = re.compile(r"(?:web)?mail\d?|email|owa|roundcube|zimbra|horde|exchange")
_SEARCH_HOST: Final = re.compile(r"search|suche|recherche|buscar|zoeken")
LARGE: Final = frozenset(
    (
        *("Google", "Bing", "DuckDuckGo", "Yahoo", "ChatGPT", "Newsletter", "Google Ads", "Bing Ads", "Facebook Ads"),
        *("Facebook", "Instagram", "LinkedIn", "X", "YouTube", "TikTok", "Pinterest", "Reddit"),
    )
)
_OTHERS: Final = {
    SEARCH: "Other search", SOCIAL: "Other social", AI: "Other AI assistants", MAIL: "Other mail", PAID: "Other paid",
}  # fmt: skip
GROUPS: Final = (DIRECT, INTERNAL, REFERRAL, *_OTHERS.values(), *sorted(LARGE))
# Referrers that exist to be clicked in somebody's statistics. General signs, not a list of names.
SPAM: Final = re.compile(
    r"(?:^|[.-])(?:free|buy|cheap|best|get|top)-?[a-z0-9-]*"
    r"(?:traffic|backlinks?|casino|porn|viagra|bitcoin|(?<!mu)seo\b|-share|-money|-followers|-visitors)|"
    r"(?:traffic2|2traffic|traffic-?(?:bot|cash|generat|monet|monster|seo|for)|web-?traffic|backlink|semalt|darodar|"
    r"buttons-for|-buttons?-?for|social-buttons|(?<![a-z])seo-(?:offer|tool|platform|services)|ilovevitaly|"
    r"rank-?checker|simple-share|event-tracking|keywords-monitoring|share-buttons|floating-share|"
    r"(?:success|offer)-seo|monetiz(?:e|ation)-?(?:your|site))|"
    r"(?:^|[.-])(?:[a-z0-9-]*-)?(?:casinos?|porno?|viagra|cialis|poker|sex|xxx)(?:-[a-z0-9-]*|\d*)\.",
)


def referrer_host(url: str) -> str:
    """The scrubbed host of a referrer URL; "" when there is none or it is not a web address."""
    url = url.strip()
    if url in ("", "-") or not re.match(r"(?:https?:|android-app:)?//", url, re.IGNORECASE):
        return ""
    return scrub.host(url)


def classify(referrer_host: str, utm_source: str, utm_medium: str, own_hosts: frozenset[str]) -> Source:
    """The source of a visit. Campaign tags outrank the referrer; the site's own hosts are Internal.

    `own_hosts` are lower-case hosts of the site without `www.`. Whatever else a tag or referrer says is scrubbed.
    """
    tagged = _tagged(utm_source, utm_medium) if utm_source or utm_medium else None
    return tagged or _referred(referrer_host, own_hosts)


def tags(query: str) -> tuple[str, str, str]:
    """The source, medium and campaign that a query string tells; "" for what it does not.

    Tags of Google (`utm_`) and of Matomo (`mtm_`, `pk_`) are read. A click's identifier (`gclid`, `msclkid` ...) says
    by its name alone who was paid; its value is never looked at.
    """
    if not any(map(query.lower().__contains__, _TAG_SIGNS)):
        return "", "", ""
    told: dict[str, str] = {}
    click = ("", "")
    for _, field, clicked, value in _TAG.findall(query):
        if field:
            told.setdefault(field.lower(), unquote_plus(value, errors="replace"))
        elif value and not click[1]:
            click = _CLICKS[clicked.lower()]
    source, medium = told.get("source", ""), told.get("medium", "")
    if click[1] and _channel(medium.lower()) != PAID:
        medium = click[1]
    return source or click[0], medium, told.get("campaign", "")


@lru_cache(maxsize=16384)
def _tagged(utm_source: str, utm_medium: str) -> Source | None:
    name = scrub.text(utm_source)
    medium = _channel(scrub.text(utm_medium))
    named = _named_tag(name)
    if medium == PAID:
        return _paid(named, name)
    if not name:
        return None
    if _channel(name) == MAIL:
        return _NEWSLETTER
    if medium == MAIL:
        return named if named and named.channel == MAIL else Source(name, MAIL)
    return named or Source(name, medium or REFERRAL)


def group(source: str, channel: str) -> str:
    """What a source is called where it is crossed with something else (`GROUPS`): a large one by its name, the others
    of its channel together. A rare name beside each page of a visit would string these pages together.
    """
    return source if source in LARGE else _OTHERS.get(channel, channel)


def channel_groups(channel: str) -> tuple[str, ...]:
    """The `GROUPS` that all sources of a channel are in."""
    large = [source.name for source in KNOWN if source.name in LARGE and source.channel == channel]
    return (*large, _OTHERS.get(channel, channel))


def _named_tag(name: str) -> Source | None:
    name = _ALIASES.get(name, name)
    return _BY_NAME.get(name) or (_site(name.removeprefix("www.")) if "." in name else None)


def _paid(named: Source | None, name: str) -> Source:
    if not named or named.name in _UNSOLD:
        return Source(named.name if named else name or "Unnamed ads", PAID)
    return _PAID_NAMES.get(named.name.lower()) or Source(f"{named.name} Ads", PAID)


def _channel(medium: str) -> str:
    return next((channel for channel, pattern in _MEDIA if pattern.fullmatch(medium)), "")


@lru_cache(maxsize=16384)
def _referred(referrer: str, own_hosts: frozenset[str]) -> Source:
    host = scrub.host(referrer)
    if host == "" or SPAM.search(host):
        return _DIRECT
    if host in own_hosts or f"www.{host}" in own_hosts:
        return _INTERNAL
    return _site(host) or Source(host, _kind(host))


def _kind(host: str) -> str:
    """The channel of a host nobody lists: many firms have a mail server of their own, some a search engine."""
    first, _, rest = host.partition(".")
    if "." in rest and _MAIL_HOST.fullmatch(first):
        return MAIL
    return SEARCH if "." in rest and _SEARCH_HOST.fullmatch(first) else REFERRAL


def _site(host: str) -> Source | None:
    """The named site of a host: its longest listed parent domain, country endings folded."""
    labels = host.split(".")
    for start in range(len(labels)):
        rest = labels[start:]
        found = _NAMED.get(".".join(rest))
        if not found and len(rest) > 1 and _COUNTRY_END.fullmatch(".".join(rest[1:])):
            found = _NAMED.get(f"{rest[0]}.*")
        if found:
            return found
    return None
