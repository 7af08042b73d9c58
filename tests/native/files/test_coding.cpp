// The formats' rules, by the examples that define them.
#include "files/coding.h"

#include "check.h"
#include "coded.h"
#include "plain.h"

using namespace ltx2;

static std::vector<float> rotated(std::vector<float> x, int64_t group) {
    rotate(x.data(), static_cast<int64_t>(x.size()), group);
    return x;
}

TEST(a_rotation_is_the_regular_hadamard_matrix) {
    CHECK(rotated({1, 2, 3, 5}, 4) == (std::vector<float>{0.5f, 2.5f, 3.5f, 4.5f}));
    CHECK(rotated({1, 0, 0, 0}, 4) == (std::vector<float>{0.5f, 0.5f, 0.5f, -0.5f}));
    std::vector<float> e0(16), want(16, 0.25f);
    e0[0] = 1;
    for (int i : {3, 7, 11, 12, 13, 14})
        want[static_cast<size_t>(i)] = -0.25f;
    CHECK(rotated(e0, 16) == want);
}

TEST(a_rotation_is_its_own_inverse) {
    for (int64_t group : {4, 16, 64, 256, 1024}) {
        const std::vector<float> x = normal_values(2048);
        CHECK(nmse(rotated(rotated(x, group), group), x) < 1e-13); // measured 1.2e-14
    }
}

// One row of codes with F32 or 8-bit scales.
struct Row {
    std::vector<uint8_t> codes, groups;
    std::vector<float> scale;
    Coding coding{};

    Row(Format format, int64_t k, std::vector<uint8_t> codes, float scale)
        : codes(std::move(codes)), scale{scale} {
        coding.name = "";
        coding.format = format;
        coding.shape = {1, k};
        coding.codes = this->codes.data();
        coding.row_bytes = static_cast<int64_t>(this->codes.size());
        coding.scale = {Numbers::Type::f32, reinterpret_cast<const uint8_t *>(this->scale.data())};
    }
    Row & grouped(int64_t group, Numbers::Type type, std::vector<uint8_t> bytes) {
        groups = std::move(bytes);
        coding.group = group;
        coding.group_scale = {type, groups.data()};
        return *this;
    }
    std::vector<float> values() const {
        std::vector<float> out(static_cast<size_t>(coding.columns()));
        coding.decode(0, coding.columns(), out.data());
        return out;
    }
};

TEST(numbers_of_8_bits) {
    const std::vector<float> e4m3 =
        Row(Format::e4m3, 6, {0x7e, 0x01, 0x08, 0x38, 0xb9, 0x80}, 1).values();
    CHECK(e4m3 == (std::vector<float>{448, 1 / 512.0f, 1 / 64.0f, 1, -1.125f, 0}));
    for (float v : Row(Format::e4m3, 2, {0x7f, 0xff}, 1).values())
        CHECK(std::isnan(v));
    const std::vector<float> e5m2 = Row(Format::e5m2, 4, {0x7b, 0x01, 0x7c, 0xfc}, 2).values();
    CHECK(e5m2 == (std::vector<float>{114688, 2 / 65536.0f, INFINITY, -INFINITY}));
    CHECK(std::isnan(Row(Format::e5m2, 1, {0x7d}, 1).values()[0]));
}

TEST(whole_numbers) {
    CHECK(Row(Format::int8, 3, {0x80, 0xff, 0x7f}, 0.5f).values() ==
          (std::vector<float>{-64, -0.5f, 63.5f}));
    CHECK(Row(Format::int4, 4, {0x8f, 0x70}, 2).values() == (std::vector<float>{-2, -16, 0, 14}));
}

// Code 0 of a codebook, times 72, is -70.6: the value is rounded before its row's scale.
TEST(w4a8_rounds) {
    Row row(Format::w4a8, 4, {0x00, 0xf0}, 0.5f);
    row.grouped(4, Numbers::Type::e4m3, {0x69}); // 72
    row.coding.levels[0] = -0.980602f, row.coding.levels[15] = 2;
    CHECK(row.values() == (std::vector<float>{-35.5f, -35.5f, -35.5f, 63.5f})); // 144 is cut
}

TEST(w6a8_has_two_more_bits_behind) {
    Row row(Format::w6a8, 4, {0x10, 0xf2, 0xe4}, 1); // high bits 0, 1, 2, 3
    row.grouped(4, Numbers::Type::e4m3, {0x40});     // 2
    CHECK(row.values() == (std::vector<float>{-64, -30, 4, 62}));
}

TEST(nvfp4_and_mxfp8) {
    std::vector<uint8_t> scales(512, 0x38); // 1
    Row nvfp4(Format::nvfp4, 2, {0x3a}, 1);
    nvfp4.grouped(16, Numbers::Type::e4m3, scales);
    CHECK(nvfp4.values() == (std::vector<float>{1.5f, -1.0f}));
    scales.assign(512, 130);
    Row mxfp8(Format::mxfp8, 2, {0x38, 0x30}, 1);
    mxfp8.grouped(32, Numbers::Type::e8m0, scales);
    CHECK(mxfp8.values() == (std::vector<float>{8, 4}));
    scales.assign(512, 0); // zero, not 2^-127
    mxfp8.grouped(32, Numbers::Type::e8m0, scales);
    CHECK(mxfp8.values() == (std::vector<float>{0, 0}));
}

TEST(scales_lie_in_tiles) {
    const struct {
        int64_t row, column;
        size_t at;
    } examples[] = {{0, 4, 512}, {33, 1, 21}, {128, 0, 2560}};
    for (const auto & e : examples) {
        std::vector<uint8_t> scales(256 * 20);
        scales[e.at] = 0x40; // 2
        Coding coding{};
        coding.format = Format::nvfp4;
        coding.shape = {160, 320};
        coding.group = 16;
        coding.group_scale = {Numbers::Type::e4m3, scales.data()};
        for (int64_t row = 0; row < 160; ++row) {
            float found[20];
            coding.group_scales(row, 0, 20, found);
            for (int64_t column = 0; column < 20; ++column)
                CHECK(found[column] == (row == e.row && column == e.column ? 2.0f : 0.0f));
        }
    }
}

// From anywhere, any number of them: across rows and in the middle of a rotated group.
TEST(any_part_is_decoded) {
    for (const CodedKind & kind : coded_kinds) {
        const CodedMatrix m(kind, 192, 7);
        const std::vector<float> all = m.decoded();
        for (int i = 0; i < 20; ++i) {
            const int first = any(0, 7 * 192 - 1), count = any(1, 7 * 192 - first);
            std::vector<float> some(static_cast<size_t>(count));
            m.coding.decode(first, count, some.data());
            CHECK(std::equal(some.begin(), some.end(), all.begin() + first));
        }
    }
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
