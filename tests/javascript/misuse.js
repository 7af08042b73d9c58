// What a program may do wrong, or at a bad moment: misuse.js CASE MODEL_FILE... Each case must end
// with exit code 0; what is wrong throws.
const ltx2 = require('../../examples/bare')

const [name, ...files] = Bare.argv.slice(2)
const want = { prompt: 'a red circle', width: 64, height: 64, frames: 9, seed: 1 }

function same(actual, expected, what) {
  if (!Object.is(actual, expected)) throw new Error(`${what}: ${actual}, not ${expected}`)
}

const ended = (view) => (view.buffer.transfer(), view) // its memory has gone

async function fails(promise, code, words) {
  const error = await promise.then(
    () => null,
    (error) => error
  )
  if (error === null) throw new Error(`${words}: did not fail`)
  same(error.code, code, error.stack)
  if (!error.message.includes(words)) throw new Error(`${error.message}: does not say ${words}`)
}

// A progress function that calls `then` once.
function when(stage, then) {
  let met = false
  return (progress) => {
    if (progress.stage !== stage || met) return
    met = true
    return then(progress)
  }
}

const cases = {
  async types() {
    const mine = new Error('mine')
    const wrong = 'INVALID_ARGUMENT'
    for (const [fields, words] of [
      [undefined, 'prompt'],
      ['a prompt', '0: there is no such option'],
      [{ ...want, prompt: 3 }, 'prompt: is not a string'],
      [{ ...want, prompt: 'a\0b' }, 'prompt: contains a NUL character'],
      [{ ...want, step: 3 }, 'step: there is no such option'],
      [{ ...want, steps: '3' }, 'steps: is not a number'],
      [{ ...want, steps: 2 ** 40 }, 'steps: 1.09951e+12 is not an integer'],
      [{ ...want, steps: NaN }, 'steps: nan is not an integer'],
      [{ ...want, width: 0 }, 'width: 0 cannot be used'],
      [{ ...want, width: -32 }, 'width'],
      [{ ...want, fps: Infinity }, 'fps'],
      [{ ...want, fps: 1e-60 }, 'fps: 0 cannot be used'],
      [{ ...want, guidance: {} }, 'guidance: is not a number'],
      [{ ...want, audio: 0 }, 'audio: is not true or false'],
      [{ ...want, seed: -1 }, 'seed'],
      [{ ...want, seed: 2 ** 64 }, 'seed'],
      [{ ...want, seed: 2n ** 64n }, 'seed'],
      [{ ...want, noise: [1] }, 'noise: is not a Float32Array'],
      [{ ...want, noise: new Float32Array(3) }, 'noise'],
      [{ ...want, images: 'a.png' }, 'images: is not an array'],
      [{ ...want, images: [null] }, 'images[0].'],
      [{ ...want, images: [{ pixels: [1] }] }, 'images[0].pixels: is not a Uint8Array'],
      [{ ...want, images: [{ pixels: new Uint8Array(3), width: 2, height: 2 }] }, '2 x 2 x 3'],
      [{ ...want, images: [{ width: 2, height: 2 }] }, 'images[0].pixels'],
      [{ ...want, images: [{ pixels: ended(new Uint8Array(12)), width: 2, height: 2 }] }, '0 values'],
      [{ ...want, images: [{ pixels: new Uint8Array(new SharedArrayBuffer(3)) }] }, '3 values'],
      [{ ...want, images: [{ pixels: new Uint8Array(), path: 'a' }] }, 'images[0].path'],
      [{ ...want, progress: 'often' }, 'progress: is not a function'],
      [{ ...want, schedule: 'none' }, 'schedule']
    ]) {
      await fails(session.generate(fields), wrong, words)
    }
    const throws = {
      get steps() {
        throw mine
      }
    }
    await session.generate({ ...want, images: [throws] }).then(
      () => same(1, 0, 'a getter that throws'),
      (error) => same(error, mine, 'a getter that throws')
    )
    await fails(new session.constructor().generate(want), wrong, 'session')
    const { generate } = session
    await generate(want).then(
      () => same(1, 0, 'no receiver'),
      (error) => same(error.name, 'TypeError', 'no receiver')
    )
    for (const [files, options, words] of [
      [[], {}, 'files'],
      [3, {}, 'files[0]: is not a string'],
      [['a\0b'], {}, 'files[0]: contains a NUL'],
      ['a', { thread: 2 }, 'thread: there is no such option'],
      ['a', { threads: 1.5 }, 'threads: 1.5 is not an integer'],
      ['a', { keep_loaded: 1 }, 'keep_loaded: is not true or false'],
      ['a', { device: {} }, 'device: is not a string']
    ]) {
      await fails(ltx2.open(files, options), wrong, words)
    }
    await fails(ltx2.open('none.gguf'), 'MODEL', 'none.gguf')
    await fails(ltx2.open(files, { device: 'none' }), 'DEVICE', 'none')
  },

  async closed() {
    session.close()
    session.close()
    session.cancel()
    await fails(session.generate(want), 'INVALID_ARGUMENT', 'closed')
  },

  async two_calls_at_once() {
    const first = session.generate(want)
    await fails(session.generate(want), 'INVALID_ARGUMENT', 'a call is under way')
    same((await first).frames, 9, 'frames')
  },

  async two_sessions_at_once() {
    const other = await ltx2.open(files, { threads: 1 })
    const videos = await Promise.all([session.generate(want), other.generate(want)])
    same(Buffer.compare(...videos.map((video) => Buffer.from(video.pixels))), 0, 'frames')
  },

  async cancelled() {
    const stop = when('denoise', () => {
      session.cancel()
      session.cancel()
    })
    await fails(session.generate({ ...want, progress: stop }), 'CANCELLED', 'cancelled')
    same((await session.generate(want)).frames, 9, 'frames')
    const call = session.generate(want)
    session.cancel()
    await fails(call, 'CANCELLED', 'cancelled')
    session.cancel()
    same((await session.generate(want)).frames, 9, 'frames')
  },

  async closed_during_a_call() {
    const close = when('denoise', () => session.close())
    await fails(session.generate({ ...want, progress: close }), 'CANCELLED', '')
  },

  async progress_throws() {
    const mine = new Error('mine')
    const kinds = [() => Promise.reject(mine), () => { throw mine }] // prettier-ignore
    for (const stage of ['load', 'denoise', 'decode']) {
      for (const kind of kinds) {
        await session.generate({ ...want, progress: when(stage, kind) }).then(
          () => same(1, 0, stage),
          (error) => same(error, mine, stage)
        )
      }
    }
  },

  async progress_rejects_after_its_call() {
    let reject = null
    const late = new Promise((_, no) => (reject = no))
    await session.generate({ ...want, progress: () => late })
    const next = session.generate({ ...want, progress: when('denoise', () => reject(new Error('late'))) })
    same((await next).frames, 9, 'frames')
  },

  // With --expose-gc: what nothing in JavaScript refers to any more, though a call reads it.
  async collected() {
    const image = { pixels: new Uint8Array(128 * 128 * 3).fill(99), width: 128, height: 128 }
    const calm = await session.generate({ ...want, images: [{ ...image }] })
    let other = await ltx2.open(files)
    const call = other.generate({ ...want, images: [image], progress: () => gc() })
    other = null
    image.pixels.fill(0)
    image.pixels.buffer.transfer() // detached
    const video = await call
    session = null
    for (let i = 0; i < 5; i++) {
      gc()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    same(Buffer.compare(Buffer.from(video.pixels), Buffer.from(calm.pixels)), 0, 'frames')
  },

  async exit_during_a_call() {
    session.generate({ ...want, frames: 97, progress: when('denoise', () => Bare.exit(0)) })
    await new Promise((resolve) => setTimeout(resolve, 60_000))
    Bare.exit(1)
  },

  async worker_ends_during_a_call() {
    for (const end of ['terminate', 'exit', 'leave']) {
      const data = new SharedArrayBuffer(4)
      const state = new Int32Array(data)
      const thread = new Bare.Thread(require.resolve('./worker.js'), { data })
      while (Atomics.load(state, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 2))
      if (end === 'terminate') thread.terminate()
      else Atomics.store(state, 0, end === 'exit' ? 2 : 3)
      thread.join()
    }
    same((await session.generate(want)).frames, 9, 'frames')
  }
}

let session = null

async function main() {
  session = await ltx2.open(files)
  await cases[name]()
  console.log(`${name} is as it should be`)
}

main()
