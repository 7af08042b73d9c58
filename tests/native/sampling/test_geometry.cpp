#include "check.h"
#include "dit/positions.h"
#include "sampling/geometry.h"
#include "sampling/noise.h"

#include <cmath>

using namespace ltx2;

static void sizes() {
    const Geometry g(768, 512, 121, 24, 128);
    CHECK(g.latent_frames() == 16 && g.latent_height() == 16 && g.latent_width() == 24);
    CHECK(g.tokens() == 6144 && g.latent_size() == 6144 * 128);
    CHECK(Geometry(32, 32, 1, 24, 128).tokens() == 1);
    CHECK_THROWS(Geometry(500, 512, 121, 24, 128), "width: 500 is not a multiple of 32");
    CHECK_THROWS(Geometry(500, 512, 121, 24, 128), "nearest are 480 and 512");
    CHECK_THROWS(Geometry(768, 0, 121, 24, 128), "height: 0");
    CHECK_THROWS(Geometry(768, 512, 120, 24, 128),
                 "frames: 120 is not 8k+1; nearest are 113 and 121");
    CHECK_THROWS(Geometry(768, 512, -7, 24, 128), "frames: -7");
    CHECK_THROWS(Geometry(768, 512, 2147483641, 24, 128), "frames");
    CHECK_THROWS(Geometry(768, 512, 121, NAN, 128), "fps");
    CHECK_THROWS(Geometry(768, 512, 121, 0.5f, 128), "fps: 0.5");
}

static void positions() {
    const Geometry g(128, 96, 17, 24, 8);
    const std::vector<Position> p = video_positions(g);
    CHECK(p.size() == 3 * 3 * 4);
    // Token (1, 2, 3) of the specification's test vector.
    const Position & q = p[1 * 12 + 2 * 4 + 3];
    CHECK(std::fabs(q.time - 0.20833333) < 1e-7 && q.row == 80 && q.column == 112);
    CHECK(std::fabs(p[0].time - 0.5 / 24) < 1e-8 && p[0].row == 16 && p[0].column == 16);
    const std::vector<Position> k = keyframe_positions(g, 12);
    CHECK(k.size() == 12 && std::fabs(k[0].time - 12.5 / 24) < 1e-6);
}

static void layouts() {
    const std::vector<float> latents = {1, 2, 3, 10, 20, 30}; // 2 channels, 3 tokens
    const std::vector<float> tokens = to_tokens(latents.data(), 3, 2);
    CHECK((tokens == std::vector<float>{1, 10, 2, 20, 3, 30}));
    CHECK(from_tokens(tokens.data(), 3, 2) == latents);
}

static void noise() {
    const std::vector<float> a = normal_noise(10, 0, 100001);
    double sum = 0, squares = 0, fourth = 0;
    for (float v : a) {
        sum += v;
        squares += double(v) * v;
        fourth += double(v) * v * v * v;
    }
    const double n = static_cast<double>(a.size());
    CHECK(std::fabs(sum / n) < 0.01);
    CHECK(std::fabs(squares / n - 1) < 0.02);
    CHECK(std::fabs(fourth / n - 3) < 0.15);
    // A longer run begins with the shorter one; seeds and streams differ.
    const std::vector<float> b = normal_noise(10, 0, 5);
    CHECK(std::equal(b.begin(), b.end(), a.begin()));
    CHECK(normal_noise(11, 0, 5) != b && normal_noise(10, 1, 5) != b);
    CHECK(normal_noise(uint64_t{1} << 40, 0, 5) != normal_noise(0, 0, 5));
    // These bits are promised: a saved seed must give the same video after an update. They follow
    // from Philox's published answer for counter 0, key 0: 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
    const std::vector<float> zero = normal_noise(0, 0, 4);
    const double u0 = (0x6627e8d5 + 0.5) / 4294967296.0, t0 = 0xe169c58d / 4294967296.0;
    const double u1 = (0xbc57ac4c + 0.5) / 4294967296.0, t1 = 0x9b00dbd8 / 4294967296.0;
    const double pi = 3.14159265358979323846;
    CHECK(std::fabs(zero[0] - std::sqrt(-2 * std::log(u0)) * std::cos(2 * pi * t0)) < 1e-7);
    CHECK(std::fabs(zero[1] - std::sqrt(-2 * std::log(u0)) * std::sin(2 * pi * t0)) < 1e-7);
    CHECK(std::fabs(zero[2] - std::sqrt(-2 * std::log(u1)) * std::cos(2 * pi * t1)) < 1e-7);
    CHECK(std::fabs(zero[3] - std::sqrt(-2 * std::log(u1)) * std::sin(2 * pi * t1)) < 1e-7);
}

int main() {
    sizes();
    positions();
    layouts();
    noise();
    return check_result();
}
