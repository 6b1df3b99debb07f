"""Where a visit came from: referrer host and campaign tags -> a source's plain name and its channel.

Known sources have names ("Google", "Bing"); a site nobody lists keeps its scrubbed host as its name, which is
published only when enough browsers share it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

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


# name: domains. A domain that ends in ".*" stands for every country's ("google.*": google.com, google.co.uk).
_SITES: Final[dict[str, dict[str, str]]] = {
    AI: {
        "ChatGPT": "chatgpt.com chat.openai.com openai.com",
        "Claude": "claude.ai",
        "Copilot": "copilot.microsoft.com copilot.cloud.microsoft m365.cloud.microsoft",
        "DeepSeek": "chat.deepseek.com deepseek.com",
        "Gemini": "gemini.google.com bard.google.com aistudio.google.com",
        "Grok": "grok.com",
        "Le Chat": "chat.mistral.ai mistral.ai",
        "Meta AI": "meta.ai",
        "Perplexity": "perplexity.ai",
        "Phind": "phind.com",
        "Poe": "poe.com",
        "You.com": "you.com",
    },
    MAIL: {
        "AOL Mail": "mail.aol.com",
        "Fastmail": "fastmail.com app.fastmail.com",
        "Gmail": "mail.google.com inbox.google.com com.google.android.gm",
        "GMX": "navigator.gmx.net gmx.net gmx.com",
        "iCloud Mail": "icloud.com",
        "Outlook": "outlook.live.com outlook.office.com outlook.office365.com outlook.com mail.live.com hotmail.com",
        "Proton Mail": "mail.proton.me protonmail.com",
        "Yahoo Mail": "mail.yahoo.com mail.yahoo.co.jp",
        "Zoho Mail": "mail.zoho.com mail.zoho.eu",
    },
    SEARCH: {
        "AOL": "search.aol.com search.aol.co.uk aol.com",
        "Ask": "ask.com uk.ask.com search.ask.com",
        "Baidu": "baidu.com baidu.jp",
        "Bing": "bing.com cn.bing.com",
        "Brave Search": "search.brave.com",
        "Daum": "daum.net search.daum.net",
        "DuckDuckGo": "duckduckgo.com",
        "Ecosia": "ecosia.org",
        "Google": "google.* com.google.android.googlequicksearchbox googleusercontent.com",
        "Kagi": "kagi.com",
        "Mojeek": "mojeek.com mojeek.co.uk",
        "MSN": "msn.com",
        "Naver": "naver.com search.naver.com",
        "Presearch": "presearch.com presearch.org",
        "Qwant": "qwant.com",
        "Seznam": "seznam.cz search.seznam.cz",
        "Sogou": "sogou.com",
        "Startpage": "startpage.com ixquick.com",
        "Swisscows": "swisscows.com",
        "Yahoo": "search.yahoo.com search.yahoo.co.jp yahoo.com yahoo.co.jp",
        "Yandex": "yandex.* ya.ru",
        "You.com Search": "search.you.com",
    },
    SOCIAL: {
        "Bluesky": "bsky.app go.bsky.app",
        "Discord": "discord.com discordapp.com",
        "Facebook": "facebook.com fb.com fb.me messenger.com com.facebook.katana",
        "Flipboard": "flipboard.com",
        "GitHub": "github.com",
        "Hacker News": "news.ycombinator.com",
        "Instagram": "instagram.com com.instagram.android",
        "LinkedIn": "linkedin.com lnkd.in com.linkedin.android",
        "Mastodon": "mastodon.social mastodon.online mstdn.social",
        "Medium": "medium.com",
        "Nextdoor": "nextdoor.com nextdoor.co.uk",
        "Pinterest": "pinterest.* pin.it com.pinterest",
        "Quora": "quora.com",
        "Reddit": "reddit.com com.reddit.frontpage",
        "Slack": "slack.com com.slack",
        "Snapchat": "snapchat.com",
        "Stack Overflow": "stackoverflow.com stackexchange.com",
        "Teams": "teams.microsoft.com teams.live.com statics.teams.cdn.office.net",
        "Telegram": "telegram.org t.me web.telegram.org org.telegram.messenger",
        "Threads": "threads.net threads.com",
        "TikTok": "tiktok.com",
        "Tumblr": "tumblr.com",
        "VK": "vk.com vkontakte.ru",
        "WhatsApp": "whatsapp.com web.whatsapp.com wa.me com.whatsapp",
        "X": "x.com twitter.com t.co com.twitter.android",
        "Xing": "xing.com",
        "YouTube": "youtube.com youtu.be",
    },
}
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
    "adwords": "google", "chatgpt.com": "chatgpt", "fb": "facebook", "facebook_ads": "facebook", "gads": "google",
    "googleads": "google", "google_ads": "google", "google-ads": "google", "ig": "instagram", "insta": "instagram",
    "li": "linkedin", "openai": "chatgpt", "twitter": "x", "yt": "youtube", "bingads": "bing", "microsoft_ads": "bing",
    "meta": "facebook", "ddg": "duckduckgo",
}  # fmt: skip
_PAID_NAMES: Final = {name: Source(f"{source.name} Ads", PAID) for name, source in _BY_NAME.items()}
_NEWSLETTER: Final = Source("Newsletter", MAIL)

KNOWN: Final = (
    _DIRECT,
    _INTERNAL,
    _NEWSLETTER,
    *dict.fromkeys(_NAMED.values()),
    *dict.fromkeys(_PAID_NAMES.values()),
)

_MEDIA: Final = (
    (PAID, re.compile(r"(?:.*(?:cp[acmv]|ppc|paid|ads?|retarget|display|banner|sponsor|affiliate).*)")),
    (MAIL, re.compile(r"e-?mail|e_mail|mail|newsletter|mailing|edm")),
    (SOCIAL, re.compile(r"social.*|sm|organic[ _-]social")),
    (SEARCH, re.compile(r"organic|search|seo")),
    (AI, re.compile(r"ai|llm|chatbot|assistant")),
)
_COUNTRY_END: Final = re.compile(r"(?:com?\.)?[a-z]{2}|com|net|org")
# Referrers that exist to be clicked in somebody's statistics. General signs, not a list of names.
SPAM: Final = re.compile(
    r"(?:free|buy|cheap|best|get|top)[a-z0-9-]*(?:traffic|seo|backlink|share|money|casino|porn|viagra|bitcoin)|"
    r"(?:traffic|backlink|semalt|darodar|buttons-for|social-buttons|seo-(?:offer|tool|platform)|ilovevitaly)|"
    r"(?:casino|porn|viagra|cialis|poker)[a-z0-9-]*\.",
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


@lru_cache(maxsize=16384)
def _tagged(utm_source: str, utm_medium: str) -> Source | None:
    name = scrub.text(utm_source)
    medium = _channel(scrub.text(utm_medium))
    named = _named_tag(name)
    if medium == PAID:
        return _paid(named, name)
    if not name:
        return None
    if medium == MAIL or name in ("newsletter", "email", "e-mail", "mail", "mailing"):
        return Source(name, MAIL) if name not in ("email", "e-mail", "mail", "mailing", "newsletter") else _NEWSLETTER
    return named or Source(name, medium or REFERRAL)


def _named_tag(name: str) -> Source | None:
    name = _ALIASES.get(name, name)
    return _BY_NAME.get(name) or (_site(name.removeprefix("www.")) if "." in name else None)


def _paid(named: Source | None, name: str) -> Source:
    return _PAID_NAMES[named.name.lower()] if named else Source(name or "Unnamed ads", PAID)


def _channel(medium: str) -> str:
    return next((channel for channel, pattern in _MEDIA if pattern.fullmatch(medium)), "")


@lru_cache(maxsize=16384)
def _referred(referrer: str, own_hosts: frozenset[str]) -> Source:
    host = scrub.host(referrer)
    if host == "" or SPAM.search(host):
        return _DIRECT
    if host in own_hosts or f"www.{host}" in own_hosts:
        return _INTERNAL
    return _site(host) or Source(host, REFERRAL)


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
