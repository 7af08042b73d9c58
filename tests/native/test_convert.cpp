// What a conversion reads, and what it refuses; tests/test_convert.py looks at the files it makes.
#include "check.h"
#include "convert.h"
#include "model/model_folder.h"

#include "ggml.h"

#include <algorithm>

using namespace ltx2;

static const int64_t rows = 12, width = 64, values = rows * width;

// A projection of random values.
static std::string projection() {
    std::string bytes =
        file_of({{"text_embedding_projection.video_aggregate_embed.weight", {rows, width}}},
                {{"model_version", "2.3.0"}});
    const std::vector<float> random = normal_values(values);
    const size_t size = random.size() * sizeof(float);
    std::memcpy(&bytes[bytes.size() - size], random.data(), size);
    return bytes;
}

TEST(pieces_are_the_bytes_of_the_whole) {
    ModelFolder folder;
    folder.put("a.safetensors", projection());
    const Conversion conversion({{folder.at("a.safetensors")}, "q4_0"});
    const size_t bytes = ggml_row_size(GGML_TYPE_Q4_0, values);
    std::vector<uint8_t> whole(bytes), pieces(bytes);
    conversion.read(0, 0, values, whole.data(), bytes);
    for (int64_t first = 0; first < values; first += 256) {
        const size_t at = ggml_row_size(GGML_TYPE_Q4_0, first);
        conversion.read(0, first, std::min<int64_t>(256, values - first), &pieces[at], bytes - at);
    }
    CHECK(whole == pieces);
    CHECK(std::count(whole.begin(), whole.end(), 0) < static_cast<int>(bytes) / 4);
}

TEST(what_is_read_is_checked) {
    ModelFolder folder;
    folder.put("a.safetensors", projection());
    const Conversion conversion({{folder.at("a.safetensors")}, "f16"});
    std::vector<uint8_t> out(values * 2);
    const auto read = [&](int32_t tensor, int64_t first, int64_t count, size_t size) {
        conversion.read(tensor, first, count, out.data(), size);
    };
    CHECK_THROWS(read(1, 0, 256, 512), "tensor: 1 is not in 0..0");
    CHECK_THROWS(read(-1, 0, 256, 512), "tensor: -1");
    CHECK_THROWS(read(0, 32, 256, 512), "first, count: 32, 256");
    CHECK_THROWS(read(0, 0, 100, 512), "first, count: 0, 100");
    CHECK_THROWS(read(0, 256, values, 512), "first, count");
    CHECK_THROWS(read(0, -256, 256, 512), "first, count");
    CHECK_THROWS(read(0, INT64_MAX - 255, 256, 512), "first, count");
    CHECK_THROWS(read(0, 0, 0, 512), "first, count");
    CHECK_THROWS(read(0, 0, 256, 511), "size: 511 bytes for 512");
    read(0, 512, values - 512, 512);
}

TEST(arguments_are_checked_before_a_file_is_opened) {
    CHECK_THROWS(Conversion({{"none"}, "q3"}), "type: \"q3\" is not one of f32, bf16, f16, q8_0");
    CHECK_THROWS(Conversion({{"none"}, "f16", "pro"}),
                 "variant: \"pro\" is not one of distilled, dev");
    CHECK_THROWS(Conversion({{"none"}, "f16", "dev"}), "none: there is no such file");
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
