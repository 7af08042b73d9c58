// The frames of a text to video run and of an image to video run that begins with one of its
// frames, and the sound of the first, raw into a file each: bare frames.js T2V I2V SOUND MODEL_FILE...
const fs = require('../../examples/bare/node_modules/bare-fs')
const ltx2 = require('../../examples/bare')

async function main([t2v, i2v, sound, ...files]) {
  const prompt = 'a red circle moves right on a blue background'
  const size = { width: 64, height: 64, frames: 9 }
  const told = []
  const session = await ltx2.open(files, { threads: 2 })
  const first = await session.generate({
    prompt,
    ...size,
    seed: 2n ** 64n - 1n,
    progress: (progress) => told.push(progress)
  })
  fs.writeFileSync(t2v, first.pixels)
  fs.writeFileSync(sound, new Uint8Array(first.audio?.buffer ?? 0))
  const { width, height } = first
  const last = first.pixels.slice(8 * width * height * 3)
  const image = { pixels: last, width, height, frame: 0, strength: 0.5 }
  const second = await session.generate({ prompt, ...size, images: [image], guidance: 0, audio: false })
  session.close()
  fs.writeFileSync(i2v, second.pixels)
  const { pixels, ...about } = second
  console.log(JSON.stringify({ about, bytes: pixels.length, told }))
}

main(Bare.argv.slice(2))
