// Runs in every frame before the page's own scripts: tells who sets a cookie from a script and who asks for what tells
// browsers apart. It changes no answer; it counts.
(() => {
  const told = window.consentScanSaw;
  if (!told) return;
  const by = () => new Error().stack.match(/https?:[^\s)]+?(?=:\d+:\d+)/)?.[0] ?? document.URL;
  const tell = (kind, name) => void told(kind, name, by()).catch(() => 0);

  /** Call `tell` before what stood in that place. */
  const watch = (owner, name, interfaceName, worth = () => true) => {
    const original = owner?.prototype?.[name];
    if (!original) return;
    owner.prototype[name] = function (...given) {
      if (worth(...given)) tell(interfaceName, name);
      return original.apply(this, given);
    };
  };

  const cookie = Object.getOwnPropertyDescriptor(Document.prototype, "cookie");
  Object.defineProperty(Document.prototype, "cookie", {
    ...cookie,
    set(text) {
      tell("cookie", String(text).split("=")[0].trim());
      cookie.set.call(this, text);
    },
  });
  const store = window.CookieStore?.prototype;
  const set = store?.set;
  if (set) {
    store.set = function (...given) {
      tell("cookie", String(given[0]?.name ?? given[0]));
      return set.apply(this, given);
    };
  }

  watch(window.HTMLCanvasElement, "toDataURL", "canvas");
  watch(window.HTMLCanvasElement, "toBlob", "canvas");
  watch(window.CanvasRenderingContext2D, "getImageData", "canvas");
  watch(window.CanvasRenderingContext2D, "measureText", "fonts");
  watch(window.FontFaceSet, "check", "fonts");
  watch(window.OfflineAudioContext, "startRendering", "audio");
  // The names of the graphics card and of its maker (WEBGL_debug_renderer_info).
  const unmasked = (which) => which === 37445 || which === 37446;
  watch(window.WebGLRenderingContext, "getParameter", "graphics", unmasked);
  watch(window.WebGL2RenderingContext, "getParameter", "graphics", unmasked);
})();
