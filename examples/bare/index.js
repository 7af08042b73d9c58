// ltx2.h in JavaScript: video from a prompt, or from a prompt and images. See docs/javascript.md.
const binding = require.addon()

class Session {
  #opened

  static async open(files, options) {
    const session = new Session()
    session.#opened = await binding.open([].concat(files), { ...options })
    return session
  }

  async generate(options) {
    const { progress, ...fields } = { ...options }
    if (progress !== undefined && typeof progress !== 'function') {
      throw Object.assign(new TypeError('progress: is not a function'), { code: 'INVALID_ARGUMENT' })
    }
    let thrown = null // by progress; it ends the call, and reaches the caller unchanged
    let ended = false
    const say = async (stage, done, total) => {
      try {
        if (thrown === null) await progress({ stage, done, total })
      } catch (error) {
        if (ended) return // a promise that took longer: what is under way now is another call
        thrown = { error }
        this.cancel()
      }
    }
    try {
      const video = await binding.generate(this.#opened, fields, progress && say)
      if (thrown === null) return video
    } catch (error) {
      if (thrown === null) throw error
    } finally {
      ended = true
    }
    throw thrown.error
  }

  cancel() {
    binding.cancel(this.#opened)
  }

  close() {
    binding.close(this.#opened)
  }
}

module.exports = {
  open: Session.open,
  devices: binding.devices,
  version: binding.version
}
