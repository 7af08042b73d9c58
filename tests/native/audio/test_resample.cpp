#include "audio/resample.h"

#include "check.h"

#include <cmath>

using namespace ltx2;

namespace {

std::vector<float> tone(int rate, int positions, double hertz) {
    std::vector<float> samples;
    for (int i = 0; i < positions; ++i) {
        const double angle = 2 * std::acos(-1.0) * hertz * i / rate;
        samples.push_back(static_cast<float>(std::sin(angle)));
        samples.push_back(static_cast<float>(-std::sin(angle)));
    }
    return samples;
}

// A tone far below either band stays itself, at the new rate; of odd rates too.
TEST(a_tone_stays_a_tone) {
    for (const int from : {8000, 11025, 16000, 44100, 47999, 48000, 96000})
        for (const int to : {16000, 48000}) {
            const std::vector<float> have =
                resample(tone(from, from / 10, 300), from, to, Outside::zeros);
            const std::vector<float> want = tone(to, static_cast<int>(have.size() / 2), 300);
            CHECK(have.size() / 2 ==
                  static_cast<size_t>((int64_t{from / 10} * to + from - 1) / from));
            double worst = 0;
            for (size_t i = have.size() / 4; i < have.size() * 3 / 4; ++i)
                worst = std::max(worst, std::fabs(double(have[i]) - double(want[i])));
            CHECK(worst < 4e-3); // the ripple of a filter of twelve zeros
        }
}

TEST(what_the_lower_rate_has_no_room_for_is_left_out) {
    const std::vector<float> high =
        resample(tone(48000, 4800, 12000), 48000, 16000, Outside::zeros);
    double most = 0;
    for (size_t i = high.size() / 4; i < high.size() * 3 / 4; ++i)
        most = std::max(most, std::fabs(double(high[i])));
    CHECK(most < 0.01);
}

TEST(edges) {
    CHECK(resample({}, 44100, 16000, Outside::zeros).empty());
    CHECK(resample({1, 2}, 16000, 16000, Outside::zeros) == (std::vector<float>{1, 2}));
    CHECK(resample({1, 2}, most_rate, 1, Outside::zeros).size() == 2);
    CHECK(resample({1, -1}, 1, 7, Outside::copies).size() == 14);
    for (const float v : resample({1, 1}, 16000, 48000, Outside::copies)) // of one value, itself
        CHECK(std::fabs(v - 1) < 2e-3f);
}

} // namespace

int main(int argc, char ** argv) { return run_tests(argc, argv); }
