// What the dashboard does besides showing figures: keys, and tabs that change in place. Without it every page still works.
const PERIODS = "DEWTMPYLA";
const find = (selector) => document.querySelector(selector);

function open(menu, focus) {
  const details = find(menu);
  if (!details) return;
  details.open = true;
  details.querySelector(focus)?.focus();
}

// X switches the comparison off, and on again to the first one that is offered.
function compare() {
  const links = [...document.querySelectorAll("#compare a")];
  const off = links.at(-1);
  (off?.ariaCurrent ? links[0] : off)?.click();
}

function leave() {
  const menus = [...document.querySelectorAll(".menu[open]")];
  for (const menu of menus) {
    menu.open = false;
    if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
  }
  if (!menus.length && document.activeElement?.matches("input, textarea")) document.activeElement.blur();
  else if (!menus.length) find("[data-clear]")?.click();
}

function help() {
  const dialog = find("#keys");
  if (dialog?.open) dialog.close();
  else dialog?.showModal();
}

const ACTIONS = {
  c: () => open("#periods", "input[type=date]"),
  x: compare,
  "/": () => (find("input[type=search]") ?? find(".all a"))?.focus(),
  "?": help,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (find("dialog[open]") && event.key !== "?") return;
  if (event.key === "Escape") return leave();
  if (event.target.closest?.("input, textarea, select")) return;
  const key = event.key.toLowerCase();
  const period = key.length === 1 && PERIODS.includes(key.toUpperCase());
  const act = ACTIONS[event.key] ?? ACTIONS[key];
  if (act) event.preventDefault();
  if (act) act();
  else if (period) find(`[data-key="${key.toUpperCase()}"]`)?.click();
});

// A menu closes when something else is pressed.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll(".menu[open]")) {
    if (!menu.contains(event.target) && !menu.classList.contains("wrong")) menu.open = false;
  }
});

// A tab fetches its page and puts the one card in place: what was scrolled to stays where it is.
function swap(link, id) {
  const request = new XMLHttpRequest();
  request.responseType = "document";
  request.open("GET", link.href);
  request.onload = () => {
    const fresh = request.response;
    const cards = fresh && [...document.querySelectorAll(".card")].map((old) => [old, fresh.getElementById(old.id)]);
    if (request.status !== 200 || !cards?.length || cards.some(([, card]) => !card)) return location.assign(link.href);
    for (const [old, card] of cards) old.replaceWith(document.adoptNode(card));
    history.replaceState(null, "", link.href);
    find(`#${CSS.escape(id)} .tabs [aria-current]`)?.focus({ preventScroll: true });
  };
  request.onerror = () => location.assign(link.href);
  request.send();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.(".tabs a");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  swap(link, link.closest(".card").id);
});

// In a table in full, typing hides what does not fit; Enter asks the server, which does the same.
const search = find("#search");
search?.addEventListener("input", () => {
  const wanted = search.value.trim().toLowerCase();
  for (const row of document.querySelectorAll(".full tbody tr")) {
    row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
  }
});

// A stretch of the line that is drawn over with the pointer becomes the days that are shown.
const chart = find("svg.chart[data-zoom]");
let from = null;
const mark = (event) => event.target.closest?.(".mark");
chart?.addEventListener("pointerdown", (event) => {
  from = mark(event);
  if (from) event.preventDefault();
});
chart?.addEventListener("pointermove", (event) => {
  const to = from && mark(event);
  if (!to) return;
  const marks = [...chart.querySelectorAll(".mark")];
  const [first, last] = [marks.indexOf(from), marks.indexOf(to)].sort((one, other) => one - other);
  marks.forEach((each, place) => each.classList.toggle("picked", first !== last && place >= first && place <= last));
});
addEventListener("pointerup", () => {
  const picked = chart ? [...chart.querySelectorAll(".picked")] : [];
  from = null;
  if (picked.length < 2) return;
  const address = new URL(location.href);
  address.searchParams.delete("period");
  address.searchParams.set("from", picked[0].dataset.start);
  address.searchParams.set("to", picked.at(-1).dataset.end);
  location.assign(address);
});
