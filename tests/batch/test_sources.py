"""Referrers and campaign tags become plain names in eight channels; what is not listed keeps only its host."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonymiser import scrub, sources
from anonymiser.sources import CHANNELS, KNOWN, Source, classify, referrer_host

OWN = frozenset({"kent.example", "orders.kent.example"})

REFERRERS = {
    "": ("Direct", "Direct"),
    "www.google.com": ("Google", "Search"),
    "www.google.co.uk": ("Google", "Search"),
    "google.de": ("Google", "Search"),
    "news.google.com": ("Google", "Search"),
    "www.bing.com": ("Bing", "Search"),
    "uk.search.yahoo.com": ("Yahoo", "Search"),
    "duckduckgo.com": ("DuckDuckGo", "Search"),
    "yandex.com.tr": ("Yandex", "Search"),
    "www.ecosia.org": ("Ecosia", "Search"),
    "chatgpt.com": ("ChatGPT", "AI assistants"),
    "www.perplexity.ai": ("Perplexity", "AI assistants"),
    "copilot.microsoft.com": ("Copilot", "AI assistants"),
    "gemini.google.com": ("Gemini", "AI assistants"),
    "claude.ai": ("Claude", "AI assistants"),
    "mail.google.com": ("Gmail", "Mail"),
    "outlook.live.com": ("Outlook", "Mail"),
    "mail.yahoo.com": ("Yahoo Mail", "Mail"),
    "l.facebook.com": ("Facebook", "Social"),
    "old.reddit.com": ("Reddit", "Social"),
    "t.co": ("X", "Social"),
    "www.linkedin.com": ("LinkedIn", "Social"),
    "kent.example": ("Internal", "Internal"),
    "www.kent.example": ("Internal", "Internal"),
    "orders.kent.example": ("Internal", "Internal"),
    "shop.kent.example": ("shop.kent.example", "Referral"),
    "blog.example": ("blog.example", "Referral"),
    "google.com.evil.example": ("google.com.evil.example", "Referral"),
    "notgoogle.com": ("notgoogle.com", "Referral"),
    "googlesyndication.com": ("googlesyndication.com", "Referral"),
    "192.0.2.7": ("(ip)", "Referral"),
    "free-traffic.example": ("Direct", "Direct"),
    "best-seo-offer.example": ("Direct", "Direct"),
}

TAGS = {
    ("google", "cpc"): ("Google Ads", "Paid"),
    ("Bing", "PPC"): ("Bing Ads", "Paid"),
    ("adwords", "paid-search"): ("Google Ads", "Paid"),
    ("facebook", "paid_social"): ("Facebook Ads", "Paid"),
    ("local-paper", "display"): ("local-paper", "Paid"),
    ("", "cpc"): ("Unnamed ads", "Paid"),
    ("newsletter", "email"): ("Newsletter", "Mail"),
    ("Newsletter", ""): ("Newsletter", "Mail"),
    ("spring-mailing", "e-mail"): ("spring-mailing", "Mail"),
    ("linkedin", "social"): ("LinkedIn", "Social"),
    ("fb", ""): ("Facebook", "Social"),
    ("chatgpt.com", ""): ("ChatGPT", "AI assistants"),
    ("www.google.co.uk", "organic"): ("Google", "Search"),
    ("leaflet", "print"): ("leaflet", "Referral"),
    ("leaflet", ""): ("leaflet", "Referral"),
    ("jane@post.example", "email"): (":email", "Mail"),
}


@pytest.mark.parametrize(("referrer", "expected"), REFERRERS.items())
def test_referrers_are_named(referrer: str, expected: tuple[str, str]) -> None:
    assert classify(referrer, "", "", OWN) == Source(*expected)


@pytest.mark.parametrize(("tags", "expected"), TAGS.items())
def test_campaign_tags_outrank_the_referrer(tags: tuple[str, str], expected: tuple[str, str]) -> None:
    assert classify("www.bing.com", *tags, OWN) == Source(*expected)


def test_a_medium_alone_leaves_the_referrer_in_charge() -> None:
    assert classify("www.bing.com", "", "email", OWN) == Source("Bing", "Search")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://www.google.co.uk/search?q=chairs", "google.co.uk"),
        ("HTTPS://jane:secret@Shop.example:8443/x", "shop.example"),
        ("android-app://com.google.android.gm/", "com.google.android.gm"),
        ("//shop.example/x", "shop.example"),
        ("http://192.0.2.7/", "(ip)"),
        ("http://[2001:db8::1]:80/", "(ip)"),
        ("-", ""),
        ("", ""),
        ("about:blank", ""),
        ("shop.example", ""),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
    ],
)
def test_the_host_of_a_referrer_url(url: str, host: str) -> None:
    assert referrer_host(url) == host


def test_the_catalogue_lists_each_known_source_once() -> None:
    assert len({(source.name, source.channel) for source in KNOWN}) == len(KNOWN)
    assert {source.channel for source in KNOWN} <= {*CHANNELS}
    assert classify("www.google.com", "", "", OWN) in KNOWN
    assert classify("", "google", "cpc", OWN) in KNOWN
    assert classify("", "newsletter", "email", OWN) in KNOWN
    assert classify("blog.example", "", "", OWN) not in KNOWN


WORDS = st.sampled_from(["google", "cpc", "email", "jane@post.example", "www.", ".com", "4111 1111 1111 1111", "%40"])
TEXT = st.lists(WORDS | st.text(max_size=8), max_size=4).map("".join)


@settings(deadline=None)
@given(TEXT, TEXT, TEXT)
def test_whatever_comes_in_a_source_is_safe_and_stays_itself(referrer: str, utm_source: str, utm_medium: str) -> None:
    source = classify(referrer, utm_source, utm_medium, OWN)
    assert source.channel in CHANNELS
    assert 0 < len(source.name) <= scrub.MAX_TEXT
    assert scrub.findings(source.name) == []


def test_spam_is_recognised_by_general_signs() -> None:
    assert all(sources.SPAM.search(host) for host in ("buy-cheap-traffic.example", "casino-online.example"))
    assert not any(sources.SPAM.search(host) for host in ("kent.example", "google.co.uk"))
