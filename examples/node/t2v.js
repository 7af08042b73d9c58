// A clip from a prompt, its frames one below the other in t2v.ppm: node t2v.js LIBRARY MODEL_FILE...
const fs = require('fs')
const koffi = require('koffi')

const [name, ...files] = process.argv.slice(2)
const library = koffi.load(name) // the file libltx2.so, libltx2.dylib or ltx2.dll
const call = (prototype, ...given) => {
  const out = [null]
  if (library.func(`int ${prototype}`)(...given, out) === 0) return out[0]
  throw new Error(library.func('str ltx2_last_error()')())
}
// The fields of ltx2.h in its order, at least those of its first release; what is not given is zero.
const [size, text, int, float, any] = ['size_t', 'str', 'int32_t', 'float', 'void *']
const Open = koffi.struct('open', { size, files: 'str *', file_count: size, device: text,
  threads: int, keep_loaded: 'bool', low_memory: 'bool', loras: any,
  lora_count: size }) // prettier-ignore
const Want = koffi.struct('want', { size, prompt: text, negative_prompt: text, images: any,
  image_count: size, width: int, height: int, frames: int, fps: float, schedule: text, steps: int,
  guidance: float, stg: float, rescale: float, seed: 'uint64_t', noise: any, noise_count: size,
  progress: any, latents: any, user_data: any }) // prettier-ignore
const Video = koffi.struct('video', { pixels: any, frames: int, height: int, width: int })

const open = { size: koffi.sizeof(Open), files, file_count: files.length }
const want = { size: koffi.sizeof(Want), prompt: 'a red circle moves right', seed: 1 }
const session = call('ltx2_session_open(open *, _Out_ void **)', open)
const made = call('ltx2_session_generate(void *, want *, _Out_ void **)', session, want)
const { pixels, frames, height, width } = koffi.decode(made, Video)
const header = Buffer.from(`P6\n${width} ${frames * height}\n255\n`)
const shown = new Uint8Array(koffi.view(pixels, frames * height * width * 3))
fs.writeFileSync('t2v.ppm', Buffer.concat([header, shown]))
library.func('void ltx2_video_free(void *)')(made)
library.func('void ltx2_session_close(void *)')(session)
