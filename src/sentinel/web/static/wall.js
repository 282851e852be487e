/* The wall's live part: it patches what the server drew, and says so when the daemon is gone. */
"use strict";

const LOST_AFTER = 12; // seconds without a sign of life; the daemon gives one each 5
const words = JSON.parse(document.body.dataset.words);
const tiles = new Map([...document.querySelectorAll("[data-tile]")].map((element) => [element.dataset.tile, element]));
const byId = (id) => document.getElementById(id);

let source = null;
let page = null; // what the daemon calls this page; another name means that it must be loaded anew
let ahead = Number(document.body.dataset.now) - Date.now() / 1000; // the daemon's clock minus ours, seconds
let heard = performance.now(); // last sign of life; not the wall clock, which may be set

/* ---- words -------------------------------------------------------------------------------------------------- */

function now() {
  return Date.now() / 1000 + ahead;
}

// The same as text.span on the server.
function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [size, unit, smaller, small] of [[86400, "day", 3600, "hour"], [3600, "hour", 60, "minute"], [60, "minute", 1, ""]]) {
    if (whole >= size) {
      const rest = Math.floor((whole % size) / smaller);
      const text = `${Math.floor(whole / size)} ${words[unit]}`;
      return small && rest ? `${text} ${rest} ${words[small]}` : text;
    }
  }
  return `${whole} ${words.second}`;
}

const clock = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Shanghai", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/* ---- patches: text goes in as text, never as markup ------------------------------------------------------------ */

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function patchTile(tile) {
  const element = tiles.get(tile.id);
  if (!element) return;
  if (element.dataset.state !== tile.state) {
    element.dataset.state = tile.state;
    element.classList.remove("changed");
    void element.offsetWidth; // lets the animation begin again
    element.classList.add("changed");
  }
  element.toggleAttribute("data-partial", tile.partial);
  put(element.querySelector(".word"), tile.word);
  const note = element.querySelector(".note");
  if (note) put(note, tile.note);
}

function patchVerdict(verdict) {
  const header = byId("verdict");
  header.dataset.state = verdict.state;
  put(header.querySelector(".verdict strong"), verdict.text);
  put(header.querySelector(".sub"), verdict.sub);
  put(header.querySelector(".undelivered"), verdict.undelivered);
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function patchIncidents(incidents) {
  byId("incidents").replaceChildren(...incidents.rows.map((row) => {
    const item = document.createElement("li");
    item.dataset.severity = row.severity;
    const age = element("time", "age", span(now() - row.since));
    age.dataset.since = row.since;
    const line = document.createElement("p");
    line.append(element("bdi", "what", row.what), " ", element("bdi", "where", row.where), " ", element("span", "hang", row.hang));
    item.append(element("span", "severity", row.word), element("bdi", "title", row.title), age, line);
    return item;
  }));
  put(byId("more"), incidents.more);
  put(byId("open"), incidents.open ? String(incidents.open) : "");
}

function patchPromises(cards) {
  byId("promises").replaceChildren(...cards.map((card) => {
    const item = document.createElement("li");
    item.dataset.kind = card.kind;
    item.dataset.kept = card.kept;
    item.append(element("span", "name", card.name), element("strong", "big", card.big), element("span", "of", card.of), element("span", "lines", card.lines.join(" · ")));
    if (card.running.text) {
      const running = element("span", "running", `${card.running.text} `);
      const age = element("time", "age", span(now() - card.running.since));
      age.dataset.since = card.running.since;
      running.append(age);
      item.append(running);
    }
    return item;
  }));
}

function patch(data) {
  (data.tiles || []).forEach(patchTile);
  if (data.verdict) patchVerdict(data.verdict);
  if (data.incidents) patchIncidents(data.incidents);
  if (data.promises) patchPromises(data.promises);
}

/* ---- the stream ------------------------------------------------------------------------------------------------ */

function alive(data) {
  heard = performance.now();
  ahead = data.now - Date.now() / 1000;
}

function say(state, text) {
  byId("live").dataset.state = state;
  put(byId("live").querySelector(".say"), text);
}

function connect() {
  if (source) source.close();
  source = new EventSource(`/events?lang=${encodeURIComponent(words.lang)}`);
  source.addEventListener("hello", (event) => {
    const data = JSON.parse(event.data);
    alive(data);
    const known = data.tiles.length === tiles.size && data.tiles.every((tile) => tiles.has(tile.id));
    if ((page !== null && page !== data.page) || !known) {
      location.reload();
      return;
    }
    page = data.page;
    patch(data);
    say("live", words.live);
    tick();
  });
  source.addEventListener("change", (event) => {
    const data = JSON.parse(event.data);
    alive(data);
    patch(data);
  });
  source.addEventListener("beat", (event) => alive(JSON.parse(event.data)));
  source.addEventListener("error", () => say("connecting", words.connecting));
}

let attempted = performance.now();

function tick() {
  put(byId("clock"), clock.format(new Date(now() * 1000)));
  for (const age of document.querySelectorAll(".age")) put(age, span(now() - Number(age.dataset.since)));
  const silent = (performance.now() - heard) / 1000;
  const lost = silent > LOST_AFTER;
  const banner = byId("lost");
  banner.hidden = !lost;
  document.body.classList.toggle("is-lost", lost);
  if (lost) put(banner.querySelector("span"), words.lost_since.replace("{age}", span(silent)));
  // A browser gives up on a stream that was refused, and never notices one whose other end is frozen or unplugged.
  const waited = (performance.now() - attempted) / 1000;
  if ((source.readyState === EventSource.CLOSED && waited > 2) || (lost && waited > 10)) {
    attempted = performance.now();
    connect();
  }
}

say("connecting", words.connecting);
connect();
setInterval(tick, 1000);
