// Does the tool that refuses cookies for its users, @duckduckgo/autoconsent, read our buttons as what they are?
import assert from "node:assert/strict";
import test from "node:test";
import { classifyButtonTextRegex as read } from "autoconsent-heuristics";
import de from "../../../consent_app/languages/de.json";
import en from "../../../consent_app/languages/en.json";
import es from "../../../consent_app/languages/es.json";
import fr from "../../../consent_app/languages/fr.json";
import it from "../../../consent_app/languages/it.json";
import nl from "../../../consent_app/languages/nl.json";
import pl from "../../../consent_app/languages/pl.json";
import pt from "../../../consent_app/languages/pt.json";
import sv from "../../../consent_app/languages/sv.json";

// The languages it has words of refusal for and we have texts for. (Of Czech, Russian and Turkish it knows a few phrases.)
for (const [language, texts] of Object.entries({ de, en, es, fr, it, nl, pl, pt, sv }))
  test(`${language}: only “${texts.reject}” is a refusal`, () => {
    assert.equal(read(texts.reject), "reject");
    for (const other of [texts.accept, texts.choose, texts.save, texts.close]) assert.equal(read(other) === "reject", false);
  });
