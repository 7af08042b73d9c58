#include "kernels/window.h"

#include "kernels/attention_product.h"

namespace ltx2::kernels::LTX2_VARIANT {

static constexpr int columns_at_once = window_columns;
static constexpr int vectors = window_strip / lanes;            // of a strip
static constexpr int rows_at_once = registers == 32 ? 4 : 2;    // of queries, in registers
static constexpr int parts_at_once = registers == 32 ? 4 : 2;   // vectors of a value, likewise
static constexpr int64_t line = columns_at_once * window_strip; // scores of a row of queries

static_assert(window_strip % lanes == 0, "a strip is whole vectors");

namespace {
struct Room {
    float *q, *bias, *scores; // [head_dim][block], [columns][strip], [rows][lines][columns][strip]
};
} // namespace

static Room room_of(const WindowTask & t) {
    Room room;
    room.q = t.scratch;
    room.bias = room.q + window_block * t.head_dim;
    room.scores = room.bias + line;
    return room;
}

static int64_t lines_of(const WindowTask & t) { return int64_t{t.frames} * t.seen_rows; }

// Queries side by side for each channel; those that are missing are copies of the last.
static void pack_queries(const WindowTask & t, float * to) {
    for (int64_t r = 0; r < window_rows; ++r)
        for (int64_t c = 0; c < columns_at_once; ++c) {
            const int64_t row = r < t.rows ? r : t.rows - 1,
                          column = c < t.columns ? c : t.columns - 1;
            const float * q = t.q + row * t.q_row + column * t.head_dim;
            float * out = to + r * columns_at_once + c;
            for (int64_t d = 0; d < t.head_dim; ++d)
                out[d * window_block] = q[d];
        }
}

// What hides the keys of a strip that a column of queries does not see.
static void set_bias(const WindowTask & t, float * bias) {
    for (int c = 0; c < columns_at_once; ++c) {
        const int first = t.first_column[c < t.columns ? c : t.columns - 1];
        for (int i = 0; i < window_strip; ++i)
            bias[c * window_strip + i] = i >= first && i < first + t.seen_columns ? 0.0f : -1e30f;
    }
}

// The scores of one row of keys with `Rows` rows of queries, into `out` of each.
template <int Rows>
static void score(const float * q, const float * k, int64_t k_step, int64_t head_dim,
                  const float * bias, float * const * out) {
    for (int v = 0; v < vectors; ++v) {
        Vec sums[Rows][columns_at_once] = {};
        const float * key = k + v * lanes;
        const float * query = q;
        for (int64_t d = 0; d < head_dim; ++d, key += k_step, query += window_block) {
            const Vec keys = load(key);
            each<Rows>([&](auto r) __attribute__((always_inline)) {
                each<columns_at_once>([&](auto c) __attribute__((always_inline)) {
                    sums[r][c] += keys * query[r * columns_at_once + c];
                });
            });
        }
        each<Rows>([&](auto r) __attribute__((always_inline)) {
            each<columns_at_once>([&](auto c) __attribute__((always_inline)) {
                const int64_t at = c * window_strip + v * lanes;
                store(out[r] + at, sums[r][c] + load(bias + at));
            });
        });
    }
}

// Each row of keys with the rows of queries that see it, which are neighbours.
static void score_all(const WindowTask & t, const Room & room) {
    for (int frame = 0; frame < t.frames; ++frame)
        for (int u = 0; u < t.union_rows; ++u) {
            const float * k = t.k[frame * t.union_rows + u];
            int r = 0;
            while (r < t.rows && t.first_row[r] + t.seen_rows <= u)
                ++r;
            while (r < t.rows && t.first_row[r] <= u) {
                int count = 0;
                float * out[rows_at_once];
                for (; count < rows_at_once && r + count < t.rows && t.first_row[r + count] <= u;
                     ++count) {
                    const int64_t at = (r + count) * lines_of(t) + int64_t{frame} * t.seen_rows +
                                       (u - t.first_row[r + count]);
                    out[count] = room.scores + at * line;
                }
                const float * q = room.q + r * columns_at_once;
                with_count<rows_at_once>(
                    count, [&](auto n) { score<n>(q, k, t.k_step, t.head_dim, room.bias, out); });
                r += count;
            }
        }
}

// Scores of one query become their exponentials, whose sum is returned.
static float soften(float * scores, int64_t lines) {
    Vec top[vectors];
    for (int v = 0; v < vectors; ++v)
        top[v] = splat(-1e30f);
    for (int64_t i = 0; i < lines; ++i)
        for (int v = 0; v < vectors; ++v)
            top[v] = max(top[v], load(scores + i * line + v * lanes));
    float most = top[0][0];
    for (int v = 0; v < vectors; ++v)
        for (int i = 0; i < lanes; ++i)
            most = top[v][i] > most ? top[v][i] : most;
    Vec total = {};
    for (int64_t i = 0; i < lines; ++i)
        for (int v = 0; v < vectors; ++v) {
            float * at = scores + i * line + v * lanes;
            const Vec p = exp2<false>(load(at) - most);
            store(at, p);
            total += p;
        }
    return sum(total);
}

// The means of `Parts` vectors of the values, of a row of queries.
template <int Parts>
static void add_values(const WindowTask & t, int row, const float * scores, int64_t channel,
                       const float * factors) {
    Vec sums[columns_at_once][Parts] = {};
    for (int frame = 0; frame < t.frames; ++frame)
        for (int i = 0; i < t.seen_rows; ++i, scores += line) {
            const float * v = t.v[frame * t.union_rows + t.first_row[row] + i] + channel;
            for (int c = 0; c < t.union_columns; ++c, v += t.v_step) {
                Vec values[Parts];
                each<Parts>([&](auto n) __attribute__((always_inline)) {
                    values[n] = load(v + n * lanes);
                });
                each<columns_at_once>([&](auto q) __attribute__((always_inline)) {
                    const Vec p = splat(scores[q * window_strip + c]);
                    each<Parts>([&](auto n) __attribute__((always_inline)) {
                        sums[q][n] += p * values[n];
                    });
                });
            }
        }
    each<columns_at_once>([&](auto c) __attribute__((always_inline)) {
        if (c >= t.columns)
            return;
        float * out = t.out + row * t.out_row + c * t.out_column + channel;
        each<Parts>([&](auto n) __attribute__((always_inline)) {
            const int64_t left = t.head_dim - channel - n * lanes;
            if (left > 0)
                write(out + n * lanes, sums[c][n] * factors[c],
                      left < lanes ? static_cast<int>(left) : lanes);
        });
    });
}

static void run(const WindowTask & t) {
    const Room room = room_of(t);
    pack_queries(t, room.q);
    set_bias(t, room.bias);
    score_all(t, room);
    for (int r = 0; r < t.rows; ++r) {
        float * scores = room.scores + r * lines_of(t) * line;
        float factors[columns_at_once];
        for (int c = 0; c < columns_at_once; ++c)
            factors[c] = 1.0f / soften(scores + c * window_strip, lines_of(t));
        for (int64_t d = 0; d < t.head_dim; d += parts_at_once * lanes) {
            const int64_t parts = (t.head_dim - d + lanes - 1) / lanes;
            with_count<parts_at_once>(
                static_cast<int>(parts < parts_at_once ? parts : parts_at_once),
                [&](auto n) { add_values<n>(t, r, scores, d, factors); });
        }
    }
}

extern constexpr Window window_kernel = run;

} // namespace ltx2::kernels::LTX2_VARIANT
