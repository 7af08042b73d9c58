// A picture of any size scaled to cover any other.
#include "fuzz.h"
#include "vae/image.h"

#include <cstring>

void run_target(const uint8_t * data, size_t size) {
    uint16_t sides[4]; // of the picture, of the video
    if (size < sizeof sides + 1)
        return;
    std::memcpy(sides, data, sizeof sides);
    const size_t from = size_t{sides[0]} * sides[1], to = size_t{sides[2]} * sides[3];
    if (from > 1 << 16 || to > 1 << 14) // what it takes is what the caller asked for
        return;
    std::vector<uint8_t> pixels(from * 3);
    for (size_t i = 0; i < pixels.size(); ++i)
        pixels[i] = data[sizeof sides + i % (size - sizeof sides)];
    const auto covered = ltx2::cover(pixels.data(), sides[0], sides[1], sides[2], sides[3]);
    if (covered.size() != to * 3)
        finding("%zu values for %zu", covered.size(), to * 3);
    for (const float value : covered)
        if (!(value >= -1.00001f && value <= 1.00001f)) // what rounding adds
            finding("a value of %g", value);
}

static std::string sized(uint16_t width, uint16_t height, uint16_t to_width, uint16_t to_height) {
    std::string out;
    for (const uint16_t side : {width, height, to_width, to_height})
        out.append(reinterpret_cast<const char *>(&side), sizeof side);
    return out + std::string("\x00\xff\x80\x01picture", 11);
}

std::vector<std::string> seeds() {
    return {sized(3, 5, 32, 64), sized(40, 1, 32, 32), sized(65535, 1, 32, 32),
            sized(1, 65535, 64, 32), sized(64, 64, 64, 64)};
}

std::vector<std::string> worst_inputs() { return {}; }

std::vector<std::string> dictionary() { return {}; }
