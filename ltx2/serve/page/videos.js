// The videos: those in the works, and the gallery.

import * as server from "./server.js";
import * as words from "./words.js";

const at = (id) => document.getElementById(id);
const PAGE = 24;
const WAITING = ["queued", "in_progress", "failed", "cancelled"];
const rows = new Map(); // id -> {video, element}
const told = new Set(); // ids that the server told of since the list was asked for
let useAgain;

export function begin(fill) {
  useAgain = fill;
  at("older").addEventListener("click", () => guarded(at("older"), showOlder));
}

// All of it anew: what happened while nobody listened is not known. What is told meanwhile is newer
// than what is listed. The waiting ones are listed first, so that one which is done between the two
// is in both.
export async function refresh() {
  told.clear();
  const waiting = [];
  for (let part = { has_more: true }; part.has_more;) {
    part = await server.list(WAITING, { order: "asc", after: part.last_id });
    waiting.push(...part.data);
  }
  const done = await server.list(["completed"], { limit: PAGE });
  const listed = [...waiting, ...done.data.reverse()];
  const here = new Set(listed.map((video) => video.id));
  for (const id of rows.keys()) if (!here.has(id) && !told.has(id)) remove(id);
  for (const video of listed) if (!told.has(video.id)) show(video);
  order(done.data);
  at("older").hidden = !done.has_more;
  arrange();
}

export function tell(video) {
  told.add(video.id);
  show(video);
  arrange();
}

export function forget(id) {
  told.add(id);
  remove(id);
  arrange();
}

// Those that were there before stand among those that were not.
function order(oldestFirst) {
  let next = null;
  for (const element of oldestFirst.map((video) => rows.get(video.id)?.element).filter(Boolean)) {
    if (element.nextElementSibling !== next) at("gallery").insertBefore(element, next);
    next = element;
  }
}

async function showOlder() {
  const after = at("gallery").lastElementChild?.dataset.id;
  try {
    const more = await server.list(["completed"], { limit: PAGE, after });
    for (const video of more.data) show(video, { last: true });
    at("older").hidden = !more.has_more;
    arrange();
  } catch (error) {
    if (error.status !== 404) throw error;
    await refresh(); // the last one's file is gone
  }
}

function show(video, { last = false } = {}) {
  const before = rows.get(video.id);
  const done = video.status === "completed";
  if (before && (before.video.status === "completed") === done) {
    before.video = video;
    if (!done) update(before);
  } else {
    before?.element.remove();
    const row = { video, element: (done ? clip : waiting)(video) };
    rows.set(video.id, row);
    if (!done) at("queue").append(row.element);
    else if (last) at("gallery").append(row.element);
    else at("gallery").prepend(row.element);
    if (!done) update(row);
    if (done && before) finished(row);
  }
}

function remove(id) {
  rows.get(id)?.element.remove();
  rows.delete(id);
}

function finished({ video, element }) {
  at("news").textContent = `Done: ${video.prompt}`;
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
    element.querySelector("video")?.play().catch(() => {}); // a browser may not want to
  }
}

// After any change. What is being made comes before all that wait, also where it was asked for later.
function arrange() {
  at("queue-section").hidden = !at("queue").children.length;
  at("empty").hidden = at("gallery").children.length > 0;
  const all = [...rows.values()];
  const [making, queued] = ["in_progress", "queued"].map(
    (status) => all.filter((row) => row.video.status === status));
  for (const [place, { video, element }] of [...making, ...queued].entries()) {
    set(element.querySelector(".state"), words.state(video, place));
  }
}

// ---- in the works

function waiting(video) {
  const element = at("waiting").content.firstElementChild.cloneNode(true);
  element.dataset.id = video.id;
  const row = () => rows.get(video.id).video;
  on(element, ".cancel", () => server.cancel(video.id));
  on(element, ".retry", () => server.retry(video.id));
  on(element, ".again", () => useAgain(row().again));
  on(element, ".delete", () => server.remove(video.id));
  return element;
}

function update({ video, element }) {
  const find = (name) => element.querySelector(name);
  const over = video.status === "failed" || video.status === "cancelled";
  element.classList.toggle("failed", video.status === "failed");
  set(find(".prompt"), video.prompt);
  if (over) set(find(".state"), words.state(video, 0));
  const bar = find("progress");
  bar.hidden = over;
  bar.value = video.progress;
  bar.setAttribute("aria-label", `Progress of: ${video.prompt}`);
  find(".cancel").hidden = over;
  for (const name of [".retry", ".again", ".delete"]) find(name).hidden = !over;
  const preview = find(".preview img");
  preview.hidden = !video.preview;
  if (video.preview && preview.getAttribute("src") !== video.preview) preview.src = video.preview;
  preview.alt = `Preview of: ${video.prompt}`;
}

// ---- the gallery

function clip(video) {
  const element = at("clip").content.firstElementChild.cloneNode(true);
  element.dataset.id = video.id;
  const find = (name) => element.querySelector(name);
  find(".frame").append(player(video));
  find(".prompt").textContent = video.prompt;
  find(".facts").textContent = words.facts(video);
  find(".download").href = server.contentOf(video.id);
  find(".download").download = words.fileName(video);
  for (const name of [".again", ".another"]) find(name).hidden = !video.again;
  on(element, ".again", () => useAgain(video.again));
  on(element, ".another", () => {
    const { seed, input_reference, ...rest } = video.again;
    return server.create(input_reference ? { ...rest, input_reference } : rest);
  });
  on(element, ".delete", () => confirmDelete(video));
  const list = find("dl");
  for (const [name, value] of Object.entries(video.metadata ?? {})) {
    const exact = name === "seed" ? video.seed : value; // it may be too large for JavaScript
    const text = typeof exact === "object" ? JSON.stringify(exact) : String(exact);
    list.append(made("dt", name), made("dd", text));
  }
  return element;
}

function player(video) {
  const moves = video.type.startsWith("video/");
  const element = document.createElement(moves ? "video" : "img");
  const [width, height] = (video.size ?? "1x1").split("x");
  element.style.setProperty("--shape", `${width} / ${height}`);
  if (moves) {
    Object.assign(element, {
      muted: true, loop: true, playsInline: true, preload: "metadata", tabIndex: 0,
    });
    element.setAttribute("aria-label", video.prompt);
    showControls(element);
  } else {
    Object.assign(element, { alt: video.prompt, loading: "lazy" });
  }
  // Some browsers show nothing of a clip until a moment of it is asked for.
  element.src = server.contentOf(video.id) + (moves ? "#t=0.001" : "");
  return element;
}

// They would cover much of a small clip.
function showControls(element) {
  for (const kind of ["pointerenter", "focus"]) {
    element.addEventListener(kind, () => { element.controls = true; });
  }
  for (const kind of ["pointerleave", "blur"]) {
    element.addEventListener(kind, () => { element.controls = element.matches(":focus"); });
  }
}

function confirmDelete(video) {
  const dialog = at("ask-delete");
  at("delete-prompt").textContent = video.prompt;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "yes") server.remove(video.id).then(resolve, reject);
      else resolve();
    }, { once: true });
  });
}

// ---- small things

function made(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function on(element, name, work) {
  const button = element.querySelector(name);
  button.addEventListener("click", () => guarded(button, work));
}

// A button that waits for its answer is not pressed twice; what goes wrong is said.
async function guarded(button, work) {
  button.disabled = true;
  try {
    await work();
    at("problem").hidden = true;
  } catch (error) {
    at("problem").textContent = error.message;
    at("problem").hidden = false;
  } finally {
    button.disabled = false;
  }
}
