// The form: what is asked for. A draft outlives a reload of the page.

import * as server from "./server.js";
import * as words from "./words.js";

const at = (id) => document.getElementById(id);
const TEXTS = ["seed", "fps", "steps", "guidance", "negative_prompt"];
const GROUP = 8; // a video has a multiple of it and one frame more
const CELL = 32; // a side is a multiple of it
const SHAPES = [["wide", 16 / 9], ["landscape", 3 / 2], ["square", 1], ["portrait", 2 / 3],
  ["tall", 9 / 16]];
const OTHER = "other";

let defaults;
let picture = null; // {file} that was given, or {name} of one that the server keeps
let kept = {}; // settings of an earlier video for which there is no field
let planning = null;

export function begin(usual) {
  defaults = usual;
  fillSizes();
  at("groups").max = 3 * Math.max(1, (usual.frames - 1) / GROUP);
  at("groups").value = (usual.frames - 1) / GROUP;
  for (const name of ["fps", "steps"]) at(name).placeholder = usual[name];
  at("guidance").placeholder = "the model's own";
  setSize(usual.width, usual.height); // also where another one can be typed
  restore();
  changed();
  at("form").addEventListener("input", changed);
  at("form").addEventListener("submit", submit);
  at("forget").addEventListener("click", () => { kept = {}; changed(); });
  beginPicture();
}

function fillSizes() {
  const { width, height } = defaults;
  const sizes = new Map([[`${width}x${height}`, "usual"]]);
  for (const [scale, name] of [[1, ""], [1 / 2, "small, "], [3 / 2, "large, "]]) {
    for (const [shape, ratio] of SHAPES) {
      const high = Math.sqrt(width * height / ratio) * scale;
      const [w, h] = [high * ratio, high].map((side) => Math.max(1, Math.round(side / CELL)) * CELL);
      if (!sizes.has(`${w}x${h}`)) sizes.set(`${w}x${h}`, name + shape);
    }
  }
  for (const [size, name] of sizes) {
    at("size").append(new Option(`${size.replace("x", " × ")} ${name}`, size));
  }
  at("size").append(new Option("another…", OTHER));
}

function fields() {
  const [width, height] = at("size").value === OTHER
    ? [at("width").value, at("height").value]
    : at("size").value.split("x");
  const all = { ...kept, prompt: at("prompt").value, width: number(width), height: number(height) };
  all.frames = at("groups").value * GROUP + 1;
  for (const name of TEXTS) {
    const text = at(name).value.trim();
    if (text) all[name] = name === "negative_prompt" ? text : number(text);
  }
  if (picture?.name) all.input_reference = { file_id: picture.name };
  return all;
}

// What is no number goes as it is: the server says what is wrong with it. So does a seed that is
// larger than JavaScript counts exactly.
function number(text) {
  const value = Number(text);
  return text !== "" && Number.isFinite(value) && Math.abs(value) <= Number.MAX_SAFE_INTEGER
    ? value : text;
}

function changed() {
  at("own-size").hidden = at("size").value !== OTHER;
  const frames = at("groups").value * GROUP + 1;
  const seconds = (frames / (Number(at("fps").value) || defaults.fps)).toFixed(1);
  at("length").value = `${seconds} s, ${frames} ${frames === 1 ? "frame" : "frames"}`;
  at("kept").hidden = !Object.keys(kept).length;
  at("kept-words").textContent = "As in the video before: "
    + Object.entries(kept).map(([name, value]) => `${name} ${value}`).join(", ");
  say("");
  save();
  clearTimeout(planning?.timer);
  planning?.abort.abort();
  at("plan").textContent = "Estimating…";
  const abort = new AbortController();
  planning = { abort, timer: setTimeout(() => showPlan(abort.signal), 250) };
}

async function showPlan(signal) {
  const { prompt, ...rest } = fields();
  try {
    const about = await server.plan(rest, signal);
    const fits = about.fits !== false;
    at("plan").textContent = fits ? words.plan(about) : words.tooLarge(about);
    at("plan").classList.toggle("large", !fits);
  } catch (error) {
    if (error.name === "AbortError") return;
    at("plan").textContent = error.message;
    at("plan").classList.add("large");
  }
}

async function submit(event) {
  event.preventDefault();
  at("make").disabled = true;
  try {
    await server.create(fields(), picture?.file);
    say("");
  } catch (error) {
    say(error.message);
  } finally {
    at("make").disabled = false;
  }
}

function say(problem) {
  at("problem").textContent = problem;
  at("problem").hidden = !problem;
}

// Everything that made a video, so that it can be changed and made again.
export function fill(again) {
  const { prompt, width, height, frames, input_reference: reference, ...rest } = again;
  at("prompt").value = prompt;
  setSize(width ?? defaults.width, height ?? defaults.height);
  setGroups(((frames ?? defaults.frames) - 1) / GROUP);
  for (const name of TEXTS) {
    at(name).value = rest[name] ?? "";
    if (rest[name] !== "") delete rest[name]; // an empty field would be the model's own
  }
  kept = rest;
  setPicture(reference ? { name: reference.file_id } : null);
  at("prompt").focus();
  at("form").scrollIntoView({ block: "nearest" });
}

function setSize(width, height) {
  const size = `${width}x${height}`;
  const known = [...at("size").options].some((option) => option.value === size);
  at("size").value = known ? size : OTHER;
  at("width").value = width;
  at("height").value = height;
}

function setGroups(count) {
  if (count > at("groups").max) at("groups").max = count;
  at("groups").value = count;
}

// ---- the picture

function beginPicture() {
  at("choose").addEventListener("click", () => at("file").click());
  at("file").addEventListener("change", () => take(at("file").files));
  at("no-picture").addEventListener("click", () => { setPicture(null); at("choose").focus(); });
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      at("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop") take(event.dataTransfer.files);
    });
  }
}

function take(files) {
  const file = [...files].find((one) => one.type.startsWith("image/"));
  if (file) setPicture({ file });
  else if (files.length) say("That is no picture.");
}

function setPicture(next) {
  const shown = at("picture");
  if (shown.src.startsWith("blob:")) URL.revokeObjectURL(shown.src);
  picture = next;
  shown.hidden = !next;
  at("no-picture").hidden = !next;
  at("drop-hint").textContent = next ? "The video begins with it." : "or drop one here, or paste it";
  at("choose").textContent = next ? "Choose another picture" : "Choose a picture to begin with";
  at("file").value = "";
  if (next) shown.src = next.file ? URL.createObjectURL(next.file) : server.pictureOf(next.name);
  changed();
}

// ---- the draft

const DRAFT = "ltx2-draft";

function save() {
  const all = fields();
  // A picture that only the page has would be too large to keep.
  try {
    sessionStorage.setItem(DRAFT, JSON.stringify(all));
  } catch {
    // Some browsers keep nothing.
  }
}

function restore() {
  try {
    const draft = JSON.parse(sessionStorage.getItem(DRAFT));
    if (draft) fill(draft);
  } catch {
    // The next change takes its place.
  }
}
