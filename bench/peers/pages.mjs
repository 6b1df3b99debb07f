// The same page with each banner, set up as its own documentation says: three purposes, the same words, all hosted here,
// accept and reject on the first layer where the product can.
import { readFileSync } from "node:fs";

const here = new URL("./node_modules/", import.meta.url);
const text = (path) => readFileSync(new URL(path, here));
const version = (name) => JSON.parse(text(`${name}/package.json`)).version;
const TITLE = "Your choice about cookies";
const ASK = "With your permission we use cookies for: Statistics, Maps and video.";
const STATISTICS = "Counts which pages are used.";
const EMBEDS = "Shows maps and videos of other companies, who then see your visit.";
const RAN = "window.ran = true";

/** What stands in every page besides a banner: enough of it to move, should a banner push. */
export const page = (markup) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>A page</title><link rel="icon" href="data:,"></head>
<body><main><h1>A page</h1>${"<p>Paper to printers, delivered the next working day.</p>".repeat(24)}</main>
${markup}</body></html>`;

/** Its own files under names of ours; `markup` is all that a page needs of it, `gone` whether the choice is remembered. */
const peer = (name, { files, markup, ...rest }) => ({
  name,
  version: version(rest.package ?? name),
  files: Object.fromEntries(Object.entries(files).map(([url, path]) => [url, text(path)])),
  markup: async () => markup,
  ...rest,
});

export const control = { name: "no banner", version: "", files: {}, markup: async () => "", control: true };

const OURS = {
  accept: "#consent-ui section button[value=accept]",
  reject: "#consent-ui section button[value=reject]",
  waiting: `<script type="text/plain" data-category="statistics">${RAN}</script>`,
};

/** Ours, rendered into the page by the server (`insert` asks it) and by the script tag from another origin. */
export const ours = (insert, service) => [
  { name: "ours, rendered", version: "", site: "kent", files: {}, ...OURS, markup: insert },
  {
    name: "ours, script tag",
    version: "",
    site: "defibrental",
    files: {},
    ...OURS,
    markup: async () => `<script async src="${service}/taskbar.js" data-site="defibrental"></script>`,
  },
];

export const peers = [
  peer("vanilla-cookieconsent", {
    files: {
      "/cc.js": "vanilla-cookieconsent/dist/cookieconsent.umd.js",
      "/cc.css": "vanilla-cookieconsent/dist/cookieconsent.css",
    },
    accept: "#cc-main .cm [data-role=all]",
    reject: "#cc-main .cm [data-role=necessary]",
    waiting: `<script type="text/plain" data-category="statistics">${RAN}</script>`,
    markup: `<link rel="stylesheet" href="/cc.css"><script src="/cc.js"></script><script>CookieConsent.run(${JSON.stringify({
      categories: { necessary: { enabled: true, readOnly: true }, statistics: {}, embeds: {} },
      language: {
        default: "en",
        translations: {
          en: {
            consentModal: { title: TITLE, description: ASK, acceptAllBtn: "Accept all", acceptNecessaryBtn: "Reject all", showPreferencesBtn: "Choose" },
            preferencesModal: {
              title: "Cookie settings", acceptAllBtn: "Accept all", acceptNecessaryBtn: "Reject all", savePreferencesBtn: "Save choices", closeIconLabel: "Close",
              sections: [
                { title: "Necessary", description: "Remembers your choice.", linkedCategory: "necessary" },
                { title: "Statistics", description: STATISTICS, linkedCategory: "statistics" },
                { title: "Maps and video", description: EMBEDS, linkedCategory: "embeds" },
              ],
            },
          },
        },
      },
    })})</script>`,
  }),
  peer("orejime", {
    files: { "/orejime.js": "orejime/dist/orejime-standard-en.js", "/orejime.css": "orejime/dist/orejime-standard.css" },
    accept: ".orejime-Banner-saveButton",
    reject: ".orejime-Banner-declineButton",
    waiting: `<template data-purpose="statistics"><script>${RAN}</script></template>`,
    markup: `<link rel="stylesheet" href="/orejime.css"><script>window.orejimeConfig = ${JSON.stringify({
      privacyPolicyUrl: "/privacy",
      purposes: [
        { id: "necessary", title: "Necessary", description: "Remembers your choice.", isMandatory: true, cookies: [] },
        { id: "statistics", title: "Statistics", description: STATISTICS, cookies: [] },
        { id: "embeds", title: "Maps and video", description: EMBEDS, cookies: [] },
      ],
      translations: { banner: { title: TITLE, description: "With your permission we use cookies for: {purposes}.\n{privacyPolicy}" } },
    })}</script><script src="/orejime.js"></script>`,
  }),
  peer("klaro", {
    files: { "/klaro.js": "klaro/dist/klaro.js" },
    accept: ".cookie-notice .cm-btn-success",
    reject: ".cookie-notice .cn-decline",
    waiting: `<script type="text/plain" data-type="application/javascript" data-name="statistics">${RAN}</script>`,
    markup: `<script>window.klaroConfig = ${JSON.stringify({
      version: 1, acceptAll: true, privacyPolicy: "/privacy", lang: "en",
      translations: { en: { consentNotice: { description: ASK }, ok: "Accept all", decline: "Reject all", purposes: { statistics: { title: "Statistics" }, embeds: { title: "Maps and video" } } } },
      services: [
        { name: "statistics", title: "Statistics", description: STATISTICS, purposes: ["statistics"], cookies: [] },
        { name: "embeds", title: "Maps and video", description: EMBEDS, purposes: ["embeds"], cookies: [] },
      ],
    })}</script><script src="/klaro.js"></script>`,
  }),
  peer("tarteaucitronjs", {
    files: {
      "/tac/tarteaucitron.min.js": "tarteaucitronjs/tarteaucitron.min.js",
      "/tac/tarteaucitron.services.min.js": "tarteaucitronjs/tarteaucitron.services.min.js",
      "/tac/advertising.min.js": "tarteaucitronjs/advertising.min.js",
      "/tac/css/tarteaucitron.min.css": "tarteaucitronjs/css/tarteaucitron.min.css",
      "/tac/lang/tarteaucitron.en.min.js": "tarteaucitronjs/lang/tarteaucitron.en.min.js",
    },
    accept: "#tarteaucitronPersonalize2",
    reject: "#tarteaucitronAllDenied2",
    ran: "tarteaucitron.state.youtube === true",
    waiting: "",
    markup: `<script src="/tac/tarteaucitron.min.js"></script><script>tarteaucitron.init(${JSON.stringify({
      privacyUrl: "/privacy", orientation: "bottom", DenyAllCta: true, AcceptAllCta: true, highPrivacy: true, showIcon: false, mandatory: true,
      googleConsentMode: false, bingConsentMode: false, pianoConsentMode: false, removeCredit: true,
    })});(tarteaucitron.job = tarteaucitron.job || []).push("youtube", "openstreetmap")</script>`,
  }),
  peer("osano", {
    package: "cookieconsent",
    files: { "/osano.js": "cookieconsent/build/cookieconsent.min.js", "/osano.css": "cookieconsent/build/cookieconsent.min.css" },
    accept: ".cc-window .cc-allow",
    reject: ".cc-window .cc-deny",
    waiting: "",
    markup: `<link rel="stylesheet" href="/osano.css"><script src="/osano.js"></script><script>
      const allowed = function () { if (this.hasConsented()) ${RAN}; };
      cookieconsent.initialise({ type: "opt-in", palette: { popup: { background: "#fff", text: "#222" }, button: { background: "#0b6866" } },
        content: { message: ${JSON.stringify(ASK)}, allow: "Accept all", deny: "Reject all", link: "Choose", href: "/privacy" },
        onInitialise: allowed, onStatusChange: allowed })</script>`,
  }),
];
