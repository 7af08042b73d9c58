// What the page asks of the server.

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status; // of HTTP; none where no answer came
  }
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server does not answer.");
  }
  const about = await answer.json().catch(() => ({}));
  options.signal?.throwIfAborted();
  if (answer.ok) return about;
  const { status } = answer;
  throw new Refused(about.error?.message ?? `The server answers ${status}.`, status);
}

function post(path, fields, signal) {
  const headers = { "Content-Type": "application/json" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(fields), signal });
}

export const model = async () => (await ask("/v1/models")).data[0];
export const plan = (fields, signal) => post("/v1/plan", fields, signal);
export const cancel = (id) => post(`/v1/videos/${id}/cancel`, {});
export const retry = (id) => post(`/v1/videos/${id}/retry`, {});
export const remove = (id) => ask(`/v1/videos/${id}`, { method: "DELETE" });
export const contentOf = (id) => `/v1/videos/${id}/content`;
export const pictureOf = (name) => `/v1/pictures/${name}`;

export function create(fields, file) {
  if (!file) return post("/v1/videos", fields);
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (Array.isArray(value)) for (const one of value) form.append(`${name}[]`, one);
    else form.append(name, value);
  }
  form.append("input_reference", file);
  return ask("/v1/videos", { method: "POST", body: form });
}

export function list(statuses, { after, limit = 100, order = "desc" } = {}) {
  const query = new URLSearchParams({ limit, order });
  for (const status of statuses) query.append("status", status);
  if (after) query.append("after", after);
  return ask(`/v1/videos?${query}`);
}

// Calls `begun` whenever the stream begins, as after a restart of the server: what happened before
// that was not heard. A page that nobody sees has none: a browser makes six connections to a server,
// for all of its pages together.
export function listen({ begun, lost, video, deleted }) {
  let stream;
  const open = () => {
    stream?.close();
    if (document.hidden) return;
    stream = new EventSource("/v1/events");
    stream.onopen = begun;
    stream.addEventListener("video", (event) => video(JSON.parse(event.data)));
    stream.addEventListener("deleted", (event) => deleted(JSON.parse(event.data).id));
    stream.onerror = ({ target }) => {
      lost();
      if (target.readyState === EventSource.CLOSED) setTimeout(open, 2000);
    };
  };
  document.addEventListener("visibilitychange", open);
  open();
}
