// A thread of misuse.js that ends with a session open. Its data: 1 is for it to say that a call is
// under way, what is there then is for it to do: 2 exits, 3 lets the call end and closes nothing.
const ltx2 = require('../../examples/bare')

const state = new Int32Array(Bare.Thread.self.data)
let session = null

async function main(files) {
  session = await ltx2.open(files)
  await session.generate({
    prompt: 'a red circle',
    width: 64,
    height: 64,
    frames: 9,
    progress: ({ stage }) => {
      if (stage === 'denoise') Atomics.compareExchange(state, 0, 0, 1)
      if (Atomics.load(state, 0) === 2) Bare.exit()
    }
  })
}

main(Bare.argv.slice(4)) // as those of the main thread's program
