// Numbers and states, as people say them.

const STAGES = {
  load: "Loading the model",
  enhance: "Writing a longer prompt",
  text: "Reading the prompt",
  image: "Looking at the picture",
  denoise: "Drawing",
  upscale: "Drawing it larger",
  decode: "Turning it into frames",
  sound: "Making the sound",
};

export function time(seconds) {
  if (seconds < 10) return `${Math.max(seconds, 0.1).toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function bytes(count) {
  if (count >= 2 ** 30) return `${(count / 2 ** 30).toFixed(1)} GiB`;
  return `${Math.round(count / 2 ** 20)} MiB`;
}

export function plan(about) {
  const { width, height, frames, seconds, memory } = about;
  const busy = about.busy ? " or less, once other programs are done" : "";
  const what = `${width} × ${height}, ${frames} ${frames === 1 ? "frame" : "frames"}`;
  return `${what}: about ${time(seconds)}${busy}, ${bytes(memory.own)} of memory`;
}

export function tooLarge(about) {
  const { memory, available, nearest } = about;
  const words = `This needs ${bytes(memory.own)} of memory, and ${bytes(available)} are there.`;
  if (!nearest) return words;
  return `${words} ${nearest.frames} frames of ${nearest.width} × ${nearest.height} would fit.`;
}

// `place` is its place in the queue, 0 for the first.
export function state(video, place) {
  if (video.status === "failed") return `Failed: ${video.error?.message}`;
  if (video.status === "cancelled") return "Cancelled";
  if (video.status === "queued") return place ? `Waiting, ${place} before it` : "Waiting";
  const stage = STAGES[video.stage] ?? "Beginning";
  const steps = video.stage === "denoise" ? `, step ${video.step} of ${video.steps}` : "";
  const left = video.seconds_left === null ? "" : ` · about ${time(video.seconds_left)} left`;
  return `${stage}${steps}${left}`;
}

export function facts(video) {
  const length = video.seconds && `${Number(video.seconds).toFixed(1)} s`;
  const seed = video.seed === null ? null : `seed ${video.seed}`;
  return [video.size?.replace("x", " × "), length, seed].filter(Boolean).join(" · ");
}

// A name for a copy of it, which any file system takes.
export function fileName(video) {
  const letters = [...video.prompt.toLowerCase().replace(/[^\p{L}\p{M}\p{N}]+/gu, "-")];
  const words = letters.slice(0, 60).join("").replace(/^-|-$/g, "") || "video";
  const seed = video.seed === null ? "" : `-${video.seed}`;
  return words + seed + video.file.slice(video.file.lastIndexOf("."));
}
