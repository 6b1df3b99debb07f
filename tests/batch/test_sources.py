"""Referrers and campaign tags become plain names in eight channels; what is not listed keeps only its host."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonymiser import scrub, sources
from anonymiser.sources import CHANNELS, KNOWN, Source, classify, referrer_host
from anonymiser.weblogs.targets import read_target

OWN = frozenset({"kent.example", "orders.kent.example", "xn--bcher-kva.example"})

# What a log's referrer field says -> name and channel.
REFERRERS = {
    "": "Direct, Direct",
    "-": "Direct, Direct",
    "about:blank": "Direct, Direct",
    "javascript:void(0)": "Direct, Direct",
    "kent.example/no-scheme": "Direct, Direct",
    # search
    "https://www.google.com/": "Google, Search",
    "https://www.google.co.uk/search?q=office+chairs": "Google, Search",
    "http://google.de": "Google, Search",
    "https://google.com.au/": "Google, Search",
    "https://GOOGLE.FR./": "Google, Search",
    "https://www.google.com:443/": "Google, Search",
    "https://news.google.com/": "Google, Search",
    "https://lens.google.com/": "Google, Search",
    "android-app://com.google.android.googlequicksearchbox/": "Google, Search",
    "android-app://com.google.android.googlequicksearchbox/https/www.google.com": "Google, Search",
    "https://www.bing.com/search?q=a": "Bing, Search",
    "https://cn.bing.com/": "Bing, Search",
    "https://uk.search.yahoo.com/": "Yahoo, Search",
    "https://r.search.yahoo.com/": "Yahoo, Search",
    "https://search.yahoo.co.jp/": "Yahoo, Search",
    "https://duckduckgo.com/": "DuckDuckGo, Search",
    "https://html.duckduckgo.com/": "DuckDuckGo, Search",
    "android-app://com.duckduckgo.mobile.android/": "DuckDuckGo, Search",
    "https://yandex.com.tr/": "Yandex, Search",
    "https://yandex.ru/clck/": "Yandex, Search",
    "https://ya.ru/": "Yandex, Search",
    "https://www.ecosia.org/": "Ecosia, Search",
    "https://search.brave.com/": "Brave Search, Search",
    "https://www.startpage.com/": "Startpage, Search",
    "https://www.qwant.com/": "Qwant, Search",
    "https://kagi.com/": "Kagi, Search",
    "https://m.baidu.com/": "Baidu, Search",
    "https://search.naver.com/": "Naver, Search",
    "https://search.seznam.cz/": "Seznam, Search",
    "https://search.aol.co.uk/": "AOL, Search",
    "https://www.msn.com/en-gb/": "MSN, Search",
    "https://search.you.com/": "You.com Search, Search",
    "https://search.provider.example/": "search.provider.example, Search",
    "https://suche.provider.example/": "suche.provider.example, Search",
    # assistants
    "https://chatgpt.com/": "ChatGPT, AI assistants",
    "https://chat.openai.com/": "ChatGPT, AI assistants",
    "android-app://com.openai.chatgpt/": "ChatGPT, AI assistants",
    "https://www.perplexity.ai/search/x": "Perplexity, AI assistants",
    "https://copilot.microsoft.com/": "Copilot, AI assistants",
    "https://m365.cloud.microsoft/": "Copilot, AI assistants",
    "https://gemini.google.com/app": "Gemini, AI assistants",
    "https://notebooklm.google.com/": "Gemini, AI assistants",
    "https://claude.ai/": "Claude, AI assistants",
    "https://chat.mistral.ai/": "Le Chat, AI assistants",
    "https://chat.deepseek.com/": "DeepSeek, AI assistants",
    "https://grok.com/": "Grok, AI assistants",
    "https://www.meta.ai/": "Meta AI, AI assistants",
    "https://poe.com/": "Poe, AI assistants",
    "https://duck.ai/": "Duck.ai, AI assistants",
    "https://you.com/": "You.com, AI assistants",
    "https://chat.qwen.ai/": "Qwen, AI assistants",
    # mail
    "https://mail.google.com/": "Gmail, Mail",
    "android-app://com.google.android.gm": "Gmail, Mail",
    "android-app://com.google.android.gm/": "Gmail, Mail",
    "https://outlook.live.com/": "Outlook, Mail",
    "https://eur01.safelinks.protection.outlook.com/": "Outlook, Mail",
    "https://outlook.office365.com/mail/": "Outlook, Mail",
    "android-app://com.microsoft.office.outlook/": "Outlook, Mail",
    "https://mail.yahoo.com/": "Yahoo Mail, Mail",
    "https://uk.mail.yahoo.com/": "Yahoo Mail, Mail",
    "https://mail.proton.me/": "Proton Mail, Mail",
    "https://www.icloud.com/": "iCloud Mail, Mail",
    "https://navigator.gmx.net/": "GMX, Mail",
    "https://deref-gmx.net/": "deref-gmx.net, Referral",
    "https://3c.web.de/": "WEB.DE, Mail",
    "https://e.mail.ru/": "Mail.ru, Mail",
    "https://webmail.firm.example/": "webmail.firm.example, Mail",
    "https://owa.firm.example:8443/": "owa.firm.example, Mail",
    "https://mail.firm.example/": "mail.firm.example, Mail",
    "https://mail.example/": "mail.example, Referral",
    # social
    "https://www.facebook.com/": "Facebook, Social",
    "https://l.facebook.com/l.php?u=x": "Facebook, Social",
    "https://lm.facebook.com/": "Facebook, Social",
    "https://m.facebook.com/": "Facebook, Social",
    "android-app://com.facebook.katana/": "Facebook, Social",
    "https://l.instagram.com/": "Instagram, Social",
    "https://www.threads.net/": "Threads, Social",
    "android-app://com.instagram.barcelona/": "Threads, Social",
    "https://t.co/abc": "X, Social",
    "https://x.com/": "X, Social",
    "https://mobile.twitter.com/": "X, Social",
    "https://www.linkedin.com/feed/": "LinkedIn, Social",
    "https://lnkd.in/abc": "LinkedIn, Social",
    "android-app://com.linkedin.android/": "LinkedIn, Social",
    "https://old.reddit.com/": "Reddit, Social",
    "https://out.reddit.com/": "Reddit, Social",
    "https://www.youtube.com/": "YouTube, Social",
    "https://youtu.be/": "YouTube, Social",
    "https://www.pinterest.co.uk/": "Pinterest, Social",
    "https://pin.it/": "Pinterest, Social",
    "https://www.tiktok.com/": "TikTok, Social",
    "https://news.ycombinator.com/": "Hacker News, Social",
    "https://web.whatsapp.com/": "WhatsApp, Social",
    "https://wa.me/": "WhatsApp, Social",
    "https://web.telegram.org/": "Telegram, Social",
    "https://away.vk.com/": "VK, Social",
    "https://go.bsky.app/": "Bluesky, Social",
    "https://mastodon.social/": "Mastodon, Social",
    "https://gist.github.com/": "GitHub, Social",
    "https://teams.microsoft.com/": "Teams, Social",
    "https://statics.teams.cdn.office.net/": "Teams, Social",
    "https://discord.com/channels/": "Discord, Social",
    "https://nextdoor.co.uk/": "Nextdoor, Social",
    # advertising networks
    "https://googleads.g.doubleclick.net/": "Google Ads, Paid",
    "https://tpc.googlesyndication.com/": "Google Ads, Paid",
    "https://www.googleadservices.com/": "Google Ads, Paid",
    "https://trends.taboola.com/": "Taboola, Paid",
    "https://www.awin1.com/": "Awin, Paid",
    # the site itself
    "https://kent.example/chairs": "Internal, Internal",
    "https://www.kent.example/": "Internal, Internal",
    "https://WWW.KENT.EXAMPLE:8443/": "Internal, Internal",
    "https://kent.example./": "Internal, Internal",
    "https://orders.kent.example/logon.asp": "Internal, Internal",
    "https://b\u00fccher.example/": "Internal, Internal",
    "https://xn--bcher-kva.example/": "Internal, Internal",
    # others
    "https://shop.kent.example/": "shop.kent.example, Referral",
    "https://Blog.Example/post?id=1": "blog.example, Referral",
    "https://blog.example.:80/": "blog.example, Referral",
    "https://jane:secret@blog.example/": "blog.example, Referral",
    "https://m\u00fcnchen.example/": "xn--mnchen-3ya.example, Referral",
    "https://docs.google.com/document/d/x": "Google Docs, Referral",
    "https://en.m.wikipedia.org/wiki/Chair": "Wikipedia, Referral",
    "https://google.com.evil.example/": "google.com.evil.example, Referral",
    "https://notgoogle.com/": "notgoogle.com, Referral",
    "https://facebook.com.login.example/": "facebook.com.login.example, Referral",
    "https://box.com/": "box.com, Referral",
    "http://192.0.2.7/": "(ip), Referral",
    "http://192.0.2.7:8080/x": "(ip), Referral",
    "http://[2001:db8::1]:80/": "(ip), Referral",
    "http://localhost:3000/": "localhost, Referral",
    "https://9f86d081884c7d659a2feaa0c55ad015.cdn.example/": "cdn.example, Referral",
    "android-app://com.somebody.reader/": "com.somebody.reader, Referral",
    "https://not a host/": "(unreadable), Referral",
    # exist to be clicked
    "http://free-traffic.example/": "Direct, Direct",
    "http://best-seo-offer.example/": "Direct, Direct",
    "http://buy-cheap-backlinks.example/": "Direct, Direct",
    "http://traffic2money.example/": "Direct, Direct",
    "http://get-free-social-traffic.example/": "Direct, Direct",
    "http://buttons-for-website.example/": "Direct, Direct",
    "http://semalt.semalt.example/": "Direct, Direct",
    "http://online-casino.example/": "Direct, Direct",
    "http://top-seo.example/": "Direct, Direct",
}
HONEST = (
    "kent.example", "google.co.uk", "sussex.example", "gadgetmoney.example", "topmuseo.example", "bestbuy.example",
    "traffic-news.example", "freecycle.example", "getsupport.example", "seotalk.example", "freeshare.example",
    "pokerstarsmuseum.example", "essexcouncil.example", "topshare.example", "budget-travel.example",
)  # fmt: skip

TAGS = {
    ("google", "cpc"): "Google Ads, Paid",
    ("Google", "CPC"): "Google Ads, Paid",
    ("Bing", "PPC"): "Bing Ads, Paid",
    ("adwords", "paid-search"): "Google Ads, Paid",
    ("google", "paidsearch"): "Google Ads, Paid",
    ("google", "sem"): "Google Ads, Paid",
    ("google", "cross-network"): "Google Ads, Paid",
    ("google.com", "cpc"): "Google Ads, Paid",
    ("microsoft", "cpc"): "Bing Ads, Paid",
    ("facebook", "paid_social"): "Facebook Ads, Paid",
    ("facebook", "paid social"): "Facebook Ads, Paid",
    ("fb", "paidsocial"): "Facebook Ads, Paid",
    ("ig", "social-paid"): "Instagram Ads, Paid",
    ("linkedin", "sponsored-content"): "LinkedIn Ads, Paid",
    ("tiktok", "cpm"): "TikTok Ads, Paid",
    ("github", "cpc"): "GitHub Ads, Paid",
    ("local-paper", "display"): "local-paper, Paid",
    ("local-paper", "banner"): "local-paper, Paid",
    ("awin", "affiliate"): "Awin, Paid",
    ("voucher-site", "affiliates"): "voucher-site, Paid",
    ("criteo", "retargeting"): "Criteo, Paid",
    ("agency", "facebook-ads"): "agency, Paid",
    ("", "cpc"): "Unnamed ads, Paid",
    ("newsletter", "email"): "Newsletter, Mail",
    ("Newsletter", ""): "Newsletter, Mail",
    ("email", ""): "Newsletter, Mail",
    ("spring-mailing", "e-mail"): "spring-mailing, Mail",
    ("mailchimp", "Email"): "mailchimp, Mail",
    ("gmail", "email"): "Gmail, Mail",
    ("facebook", "email"): "facebook, Mail",
    ("linkedin", "social"): "LinkedIn, Social",
    ("twitter", "organic-social"): "X, Social",
    ("fb", ""): "Facebook, Social",
    ("instagram", "bio"): "Instagram, Social",
    ("local-group", "social"): "local-group, Social",
    ("chatgpt.com", ""): "ChatGPT, AI assistants",
    ("perplexity", ""): "Perplexity, AI assistants",
    ("some-bot", "ai"): "some-bot, AI assistants",
    ("www.google.co.uk", "organic"): "Google, Search",
    ("gmb", "organic"): "Google, Search",
    ("small-engine", "organic"): "small-engine, Search",
    ("leaflet", "print"): "leaflet, Referral",
    ("leaflet", ""): "leaflet, Referral",
    ("local-radio", "radio"): "local-radio, Referral",
    ("show", "roadshow"): "show, Referral",
    ("form", "leads"): "form, Referral",
    ("partner", "unpaid"): "partner, Referral",
    ("qr", "qr-code"): "qr, Referral",
    ("jane@post.example", "email"): ":email, Mail",
    ("48213377", "cpc"): ":id, Paid",
}

QUERIES = {
    "": ("", "", ""),
    "page=2&sort=price": ("", "", ""),
    "utm_source=google&utm_medium=cpc&utm_campaign=Spring+Sale": ("google", "cpc", "Spring Sale"),
    "a=1&amp;utm_source=leaflet&amp;utm_medium=print": ("leaflet", "print", ""),
    "UTM_Source=Leaflet": ("Leaflet", "", ""),
    "utm_source=first&utm_source=second": ("first", "", ""),
    "utm_campaign=50%25+off%20now": ("", "", "50% off now"),
    "utm_source=%ff": ("\ufffd", "", ""),
    "mtm_source=matomo&mtm_medium=email": ("matomo", "email", ""),
    "pk_campaign=autumn": ("", "", "autumn"),
    "gclid=EAIaIQobChMI": ("google", "cpc", ""),
    "x=1&gbraid=0AAAA": ("google", "cpc", ""),
    "gclid=": ("", "", ""),
    "notgclid=EAIa": ("", "", ""),
    "gclid_x=1": ("", "", ""),
    "dclid=CJ": ("google", "display", ""),
    "msclkid=0123456789abcdef": ("bing", "cpc", ""),
    "ttclid=E.C.P": ("tiktok", "cpc", ""),
    "ScCid=abc": ("snapchat", "cpc", ""),
    "awc=1_2_3": ("awin", "affiliate", ""),
    "mc_cid=abc&mc_eid=def": ("newsletter", "email", ""),
    "fbclid=IwAR0": ("facebook", "", ""),
    "fbclid=IwAR0&gclid=EAIa": ("google", "cpc", ""),
    "gclid=EAIa&fbclid=IwAR0": ("google", "cpc", ""),
    "utm_source=facebook&utm_medium=paid_social&fbclid=IwAR0": ("facebook", "paid_social", ""),
    "utm_source=google&utm_medium=organic&gclid=EAIa": ("google", "cpc", ""),
    "utm_source=google&utm_medium=ppc&gclid=EAIa": ("google", "ppc", ""),
    "utm_source=partner&gclid=EAIa": ("partner", "cpc", ""),
}


def named(source: Source) -> str:
    return f"{source.name}, {source.channel}"


def test_referrers_are_named() -> None:
    found = {url: named(classify(referrer_host(url), "", "", OWN)) for url in REFERRERS}
    assert found == REFERRERS


def test_campaign_tags_outrank_the_referrer() -> None:
    found = {tags: named(classify("www.bing.com", *tags, OWN)) for tags in TAGS}
    assert found == TAGS
    assert len(REFERRERS) + len(TAGS) >= 150


@pytest.mark.parametrize(("query", "expected"), QUERIES.items())
def test_a_query_tells_source_medium_and_campaign(query: str, expected: tuple[str, str, str]) -> None:
    assert sources.tags(query) == expected


def test_a_click_is_paid_and_its_identifier_is_not_kept() -> None:
    for name in sources._CLICKS:
        secret = "".join(name.split("_")) + "S3cretOfOneReader"
        source, medium, campaign = sources.tags(f"{name}={secret}")
        assert secret not in source + medium + campaign
        found = classify("", source, medium, OWN)
        assert found.channel == ("Paid" if sources._channel(medium) == "Paid" else found.channel)
        assert found.channel in ("Paid", "Mail", "Social", "Search")
    assert named(classify("www.google.com", *sources.tags("gclid=EAIa")[:2], OWN)) == "Google Ads, Paid"
    assert named(classify("", *sources.tags("irclickid=abc")[:2], OWN)) == "impact, Paid"
    assert read_target("/chairs?a=1&gclid=EAIa")[1:] == ("/chairs", "", "", "google", "cpc")


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
    spam = {referrer_host(url) for url, name in REFERRERS.items() if name == "Direct, Direct"} - {""}
    assert len(spam) >= 9
    assert [host for host in spam if not sources.SPAM.search(host)] == []
    assert [host for host in HONEST if sources.SPAM.search(host)] == []


def test_no_known_source_is_spam_or_named_twice() -> None:
    domains = [domain for sites in sources._SITES.values() for names in sites.values() for domain in names.split()]
    assert len(domains) == len({*domains})
    assert [domain for domain in domains if sources.SPAM.search(domain)] == []
