// A clip from a prompt, as pictures 0000.ppm, 0001.ppm, ...: bare demo.js MODEL_FILE...
const fs = require('bare-fs')
const ltx2 = require('.')

async function main(files) {
  const session = await ltx2.open(files)
  const video = await session.generate({ prompt: 'a red circle moves right', seed: 1 })
  session.close()
  const size = video.width * video.height * 3
  for (let i = 0; i < video.frames; i++) {
    const header = Buffer.from(`P6\n${video.width} ${video.height}\n255\n`)
    const frame = video.pixels.subarray(i * size, (i + 1) * size)
    fs.writeFileSync(`${i}.ppm`.padStart(8, '0'), Buffer.concat([header, frame]))
  }
}

main(Bare.argv.slice(2))
