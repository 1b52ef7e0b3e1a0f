// The page of a station: live picture, tracks, events, verdicts. Nothing is fetched from elsewhere.

const $ = (id) => document.getElementById(id);
let cameras = [], chosen = null, next = null, opened = null, again = 0;
const listed = new Map(); // event -> its values
const skipped = new Set(); // events that are not listed, and need not be asked for again

/** An element with properties and children; texts are never taken for HTML. */
function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

async function ask(path, options = {}) {
  const answer = await fetch(path, options);
  if (answer.status === 401) { showLogin(); throw new Error("no token"); }
  if (!answer.ok) {
    const error = new Error((await answer.json().catch(() => ({}))).detail ?? `answer ${answer.status}`);
    throw Object.assign(error, { gone: answer.status === 404 });
  }
  return answer.status === 204 ? null : answer.json();
}

const json = (method, body) =>
  ({ method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

// -- token ------------------------------------------------------------------------------------------------------------

function showLogin() {
  $("station").hidden = true;
  $("live").removeAttribute("src");
  $("login").hidden = false;
  $("token").focus();
}

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("/login", json("POST", { token: $("token").value }));
  $("refused").textContent = answer.ok ? "" : "That is not the token.";
  if (answer.ok) { $("token").value = ""; begin(); }
});

$("leave").addEventListener("click", async () => { await ask("/api/logout", { method: "POST" }); location.reload(); });

// -- live -------------------------------------------------------------------------------------------------------------

const words = {
  running: "running", lost: "lost, connecting again", waiting: "away, tried again soon", off: "off, by its schedule",
  connecting: "connecting", ended: "ended", hangs: "hangs",
};

function showCameras(said) {
  cameras = said.cameras;
  document.title = `${said.station} - irtrack`;
  $("name").textContent = said.station;
  if (!cameras.some((camera) => camera.name === chosen)) choose(cameras[0]?.name ?? null);
  const tabs = cameras.map((camera) => {
    const tab = made("button", { onclick: () => choose(camera.name), title: words[camera.watch] },
      made("i", { className: `dot ${camera.watch}` }), camera.name);
    if (camera.active) tab.append(made("b", { textContent: camera.active, title: "events that go on" }));
    tab.setAttribute("aria-pressed", camera.name === chosen);
    return tab;
  });
  if (document.activeElement?.parentElement !== $("cameras")) $("cameras").replaceChildren(...tabs);
  $("troubles").replaceChildren(...said.troubles.map((text) => made("li", { textContent: text })));
  const select = $("by-camera"), names = cameras.map((camera) => camera.name).join();
  if (select.dataset.names !== names) {
    const value = select.value;
    select.replaceChildren(made("option", { value: "", textContent: "all cameras" }),
      ...cameras.map((camera) => made("option", { value: camera.name, textContent: camera.name })));
    select.value = value;
    select.dataset.names = names;
  }
  const now = cameras.find((camera) => camera.name === chosen);
  if (now) {
    const size = now.width ? `${now.width}×${now.height} px · ` : "";
    const rate = now.watch === "running" ? ` · ${now.rate.toFixed(1)} frames a second · ${Math.round(1000 * now.latency_s)} ms` : "";
    const seen = now.selftest.filter((row) => row.targets).map((row) => `SCR ${row.scr}: ${Math.round(100 * row.pd)} %`);
    $("sight").textContent = seen.length ? `Self-test, found of faint targets: ${seen.join(" · ")}` : "";
    $("facts").textContent = `${now.source} · ${size}${words[now.watch]}${rate}${now.model ? ` · ${now.model}` : ""}${now.without ? ` · ${now.without}` : ""}`;
    if (now.watch !== "running") showTracks({ tracks: [] });
  }
}

function choose(name) {
  if (name === chosen) return;
  chosen = name;
  $("live").src = name ? `/api/cameras/${encodeURIComponent(name)}/live?${Date.now()}` : "";
  $("live").alt = name ? `Live picture of ${name}` : "";
  for (const tab of $("cameras").children) tab.setAttribute("aria-pressed", tab.textContent.startsWith(name));
  showTracks({ tracks: [] });
}

$("live").addEventListener("error", () => setTimeout(() => { const name = chosen; chosen = null; choose(name); }, 2000));

const digits = (value, n = 1) => (value ?? null) === null ? "–" : value.toFixed(n);

function showTracks(said) {
  $("tracks").replaceChildren(...said.tracks.map((track) => {
    const swatch = made("i");
    swatch.style.background = track.colour;
    return made("tr", { className: track.status },
      made("td", {}, swatch, String(track.id)),
      ...[`${digits(track.x_px)}, ${digits(track.y_px)}`, digits(track.speed_px_s), digits(track.snr),
        digits(track.belief), digits(track.age_s)].map((text) => made("td", { textContent: text })));
  }));
  $("still").hidden = said.tracks.length > 0;
}

function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`);
  socket.onopen = () => { $("link").textContent = ""; again = 0; };
  socket.onmessage = ({ data }) => {
    const said = JSON.parse(data);
    if (said.type === "cameras") showCameras(said);
    else if (said.type === "tracks") { if (said.camera === chosen) showTracks(said); }
    else if (said.type === "news") fresh(said);
  };
  socket.onclose = () => {
    $("link").textContent = "The station does not answer …";
    setTimeout(async () => { try { await begin(); } catch { connectLater(); } }, Math.min(8000, 500 * 2 ** again++));
  };
}

const connectLater = () => setTimeout(() => begin().catch(connectLater), Math.min(8000, 500 * 2 ** again++));

// -- events -----------------------------------------------------------------------------------------------------------

const moment = (text) => text ? new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" }) : "time unknown";
const span = (s) => s < 60 ? `${s.toFixed(1)} s` : s < 3600 ? `${Math.floor(s / 60)} min ${Math.round(s % 60)} s` : `${(s / 3600).toFixed(1)} h`;

function filters() {
  const wanted = new URLSearchParams();
  if ($("by-camera").value) wanted.set("camera", $("by-camera").value);
  if ($("by-verdict").value) wanted.set("verdict", $("by-verdict").value);
  if ($("by-star").checked) wanted.set("starred", "true");
  return wanted;
}

async function list(older = false) {
  const wanted = filters();
  wanted.set("limit", "30");
  if (older && next !== null) wanted.set("before", next);
  const page = await ask(`/api/events?${wanted}`);
  if (!older) { listed.clear(); skipped.clear(); $("events").replaceChildren(); }
  for (const one of page.events) { listed.set(one.event, one); $("events").append(card(one)); }
  next = page.next;
  $("more").hidden = next === null;
  $("none").hidden = listed.size > 0;
}

function card(one) {
  const look = made("img", { className: "look", alt: "", loading: "lazy", src: one.pictured ? `/api/events/${one.event}/thumbnail?${one.ended ? "" : Date.now()}` : "/static/icon.svg", onerror: ({ target }) => { target.onerror = null; target.src = "/static/icon.svg"; } });
  const state = one.ended ? span(one.duration_s) : made("b", { className: "now", textContent: "now" });
  const item = made("li", { id: `event-${one.event}`, onclick: (event) => { if (!event.target.closest(".verdicts")) open(one.event); } },
    look,
    made("div", { className: "what" },
      made("button", { className: "open", textContent: `${one.camera}, track ${one.event.split("-")[1]}` }),
      made("span", { textContent: moment(one.first_utc) }),
      made("span", {}, state, ` · SNR ${digits(one.snr)} · ${digits(one.speed_px_s, 0)} px/s${one.clip ? " · clip" : ""}`)),
    verdicts(one, true));
  item.className = one.ended ? one.verdict ?? "" : "going";
  return item;
}

function verdicts(one, brief = false) {
  const buttons = [["target", "✓", "target", one.verdict === "target"], ["clutter", "✕", "clutter", one.verdict === "clutter"],
    ["star", one.starred ? "★" : "☆", "keep the clip", one.starred]];
  return made("div", { className: "verdicts" }, ...buttons.map(([say, sign, word, on]) => {
    const button = made("button", { textContent: brief ? sign : `${sign} ${word}`, title: word, onclick: () => judge(one, say, on) });
    button.dataset.say = say;
    button.setAttribute("aria-label", word);
    button.setAttribute("aria-pressed", on);
    return button;
  }));
}

async function judge(one, say, on) {
  const said = say === "star" ? { starred: !on } : { verdict: on ? null : say };
  try { put(await ask(`/api/events/${one.event}`, json("PATCH", said))); } catch (error) {
    if (!error.gone) throw error;
    remove(one.event);
  }
}

/** An event that was too old to be kept any longer, while it was listed here. */
function remove(event) {
  $(`event-${event}`)?.remove();
  listed.delete(event);
  if (opened === event) $("detail").close();
  $("none").hidden = listed.size > 0;
}

/** An event as it is now, in the list and in the dialog. */
function put(one) {
  const before = $(`event-${one.event}`), known = listed.get(one.event);
  listed.set(one.event, one);
  if (before) {
    const now = card(one);
    if (known?.pictured && known.ended === one.ended) now.querySelector(".look").replaceWith(before.querySelector(".look"));
    before.replaceWith(now);
  }
  if (opened === one.event) showDetail(one);
}

/** News of an event: one that is listed is shown anew; a new one goes on top, where it is wanted. */
async function fresh(said) {
  if (skipped.has(said.event)) return;
  let one;
  try { one = await ask(`/api/events/${said.event}`); } catch { return; } // not written yet: the next news bring it
  if (listed.has(one.event)) return put(one);
  const wanted = filters(), newest = Math.max(0, ...[...listed.values()].map((other) => other.id));
  const fits = (!wanted.has("camera") || wanted.get("camera") === one.camera)
    && (!wanted.has("verdict") || wanted.get("verdict") === (one.verdict ?? "none")) && (!wanted.has("starred") || one.starred);
  if (!fits || one.id < newest) { skipped.add(one.event); return; }
  listed.set(one.event, one);
  $("events").prepend(card(one));
  $("none").hidden = true;
}

async function open(event) {
  let one;
  try { one = await ask(`/api/events/${event}`); } catch (error) {
    if (!error.gone) throw error;
    return remove(event);
  }
  opened = event;
  put(one);
  $("clip").replaceChildren();
  if (one.clip === "mp4") {
    const video = made("video", { controls: true, autoplay: true, muted: true, loop: true, src: `/api/events/${event}/clip` });
    $("clip").replaceChildren(video);
  } else {
    const text = made("p", { textContent: one.clip ? "The clip is a raw recording: " : "There is no clip of this event, or no more." });
    if (one.clip) text.append(made("a", { href: `/api/events/${event}/clip`, download: `${event}.mkv`, textContent: "save it" }));
    $("clip").replaceChildren(text);
  }
  $("detail").showModal();
  $("curve").replaceChildren();
  try { draw(await ask(`/api/events/${event}/curve`)); } catch { draw(null); }
}

function showDetail(one) {
  $("title").textContent = `${one.camera}, track ${one.event.split("-")[1]} · ${moment(one.first_utc)}`;
  const values = {
    "lasted": one.ended ? span(one.duration_s) : `${span(one.duration_s)}, and goes on`,
    "from (px)": `${digits(one.first_x_px)}, ${digits(one.first_y_px)}`,
    "to (px)": `${digits(one.last_x_px)}, ${digits(one.last_y_px)}`,
    "mean speed (px/s)": digits(one.speed_px_s), "highest SNR": digits(one.snr), "highest belief": digits(one.belief),
    "seen in frames": one.measured,
    ...(one.azimuth_deg === null ? {} : {
      "azimuth (°)": `${digits(one.azimuth_deg, 2)} ± ${digits(one.sigma_azimuth_deg, 2)}`,
      "elevation (°)": `${digits(one.elevation_deg, 2)} ± ${digits(one.sigma_elevation_deg, 2)}`,
    }),
    "time within (s)": one.utc_error_s === null ? "not known" : `±${one.utc_error_s.toFixed(3)}`,
  };
  $("values").replaceChildren(...Object.entries(values).map(([name, value]) =>
    made("div", {}, made("dt", { textContent: name }), made("dd", { textContent: value }))));
  $("verdicts").replaceChildren(...verdicts(one).children);
}

/** Two lines over time, each on its own scale. */
function draw(curve) {
  const svg = $("curve"), add = (tag, attributes, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.textContent = text;
    svg.append(element);
  };
  if (!curve || curve.time_s.length < 2) return add("text", { x: 320, y: 78, "text-anchor": "middle" }, "The light curve is written when the event ends.");
  const [left, right, top, bottom] = [46, 600, 12, 126];
  const last = curve.time_s.at(-1) || 1, x = (t) => left + (right - left) * t / last;
  for (const [name, at, anchor] of [["brightness", left - 6, "end"], ["snr", right + 6, "start"]]) {
    const known = curve[name].filter((v) => v !== null);
    if (!known.length) continue;
    const low = Math.min(...known), high = Math.max(...known, low + 1e-6);
    const y = (v) => bottom - (bottom - top) * (v - low) / (high - low);
    let path = "", pen = "M";
    curve[name].forEach((v, i) => {
      if (v === null) { pen = "M"; return; }
      path += `${pen}${x(curve.time_s[i]).toFixed(1)} ${y(v).toFixed(1)}`;
      pen = "L";
    });
    add("path", { d: path, class: name });
    add("text", { x: at, y: bottom, "text-anchor": anchor }, low.toPrecision(3));
    add("text", { x: at, y: top + 8, "text-anchor": anchor }, high.toPrecision(3));
  }
  add("text", { x: left, y: 144 }, "0 s");
  add("text", { x: right, y: 144, "text-anchor": "end" }, span(last));
}

$("close").addEventListener("click", () => $("detail").close());
$("detail").addEventListener("click", (event) => { if (event.target === $("detail")) $("detail").close(); });
$("detail").addEventListener("close", () => { opened = null; $("clip").replaceChildren(); });
$("more").addEventListener("click", () => list(true));
for (const id of ["by-camera", "by-verdict", "by-star"]) $(id).addEventListener("change", () => list());

// -- beginning --------------------------------------------------------------------------------------------------------

async function begin() {
  showCameras(await ask("/api/cameras"));
  $("login").hidden = true;
  $("station").hidden = false;
  await list();
  connect();
}

begin().catch((error) => { if (error.message !== "no token") connectLater(); });
