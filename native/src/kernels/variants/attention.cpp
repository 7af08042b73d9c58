#include "kernels/attention.h"
#include "kernels/attention_product.h"
#include "kernels/variants/attention_tiles.h"

namespace ltx2::kernels::LTX2_VARIANT {

static constexpr int tiles = 4;                // of a task; they share a block of keys
static constexpr int64_t block = 256;          // keys between two updates of the maximum
static constexpr int chunk = has_amx ? 32 : 8; // keys are padded to it
static constexpr float lowest = -1e30f;        // below every score

static int64_t up_to(int64_t n, int64_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

// Rows lie a whole token apart, further than the processor prefetches by itself.
static inline void prefetch(const float * p, int64_t n) {
    for (int64_t i = 0; p && i < n; i += 16)
        __builtin_prefetch(p + i);
}
static inline void prefetch(const HeadRow & row, int64_t ahead, int64_t head_dim) {
    prefetch(row.x + ahead, head_dim);
    if (row.cos) {
        prefetch(row.cos + ahead / 2, head_dim / 2);
        prefetch(row.sin + ahead / 2, head_dim / 2);
    }
}

// one(i, count) for vectors of values that begin at i < n, of which the last may be part of one.
template <class One>
static inline void by_vector(int64_t n, One one) {
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
        one(i, lanes);
    if (i < n)
        one(i, static_cast<int>(n - i));
}
// Zeros to the whole vectors of [from, end).
static inline void clear(float * p, int64_t from, int64_t end) {
    for (int64_t i = from; i < end; i += lanes)
        store(p + i, Vec{});
}

// Times the factor and the norm's weights, then rotated.
static void rotate(const HeadRow & row, int64_t head_dim, float * out) {
    const auto value = [&](int64_t i, int n) {
        const Vec v = read(row.x + i, n) * row.factor;
        return row.weight ? v * read(row.weight + i, n) : v;
    };
    if (!row.cos)
        return by_vector(head_dim, [&](int64_t i, int n) { write(out + i, value(i, n), n); });
    const int64_t half = head_dim / 2;
    by_vector(half, [&](int64_t i, int n) {
        const Vec a = value(i, n), b = value(half + i, n);
        const Vec c = read(row.cos + i, n), s = read(row.sin + i, n);
        write(out + i, a * c - b * s, n);
        write(out + half + i, b * c + a * s, n);
    });
}

template <size_t... I>
static inline void interleave(Vec & a, Vec & b, std::index_sequence<I...>) {
    const Vec low = __builtin_shufflevector(a, b, (I % 2 * lanes + I / 2)...);
    b = __builtin_shufflevector(a, b, (I % 2 * lanes + lanes / 2 + I / 2)...);
    a = low;
}
// A square of lanes x lanes values: halves of its rows are interleaved until they are its columns.
static inline void transpose(Vec (&square)[lanes]) {
#pragma GCC unroll 8
    for (int passes = 1; passes < lanes; passes *= 2) {
        Vec next[lanes];
#pragma GCC unroll 16
        for (int i = 0; i < lanes / 2; ++i) {
            next[2 * i] = square[i];
            next[2 * i + 1] = square[i + lanes / 2];
            interleave(next[2 * i], next[2 * i + 1], std::make_index_sequence<lanes>());
        }
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i)
            square[i] = next[i];
    }
}

// A row's values as steps of the product: in place.
template <class M>
static void into_steps([[maybe_unused]] float * row, [[maybe_unused]] int64_t head_dim) {
    if constexpr (M::pair == 2)
        for (int64_t i = 0; 2 * i < head_dim; i += lanes)
            store(row + i, M::neighbours(row + 2 * i));
}

template <class M>
static int64_t steps_of(int64_t n) {
    return up_to(n, M::pair) / M::pair;
}

template <class M>
static void pack_values(const float * const * v, int count, int64_t first, const PackedHead & head,
                        float * scratch) {
    const int64_t steps = block / M::pair, wide = up_to(head.head_dim, rows);
    clear(scratch, 0, wide);
    const float * zeros = scratch;
    float * line = scratch + up_to(wide, lanes);
    for (int key = 0; key < chunk; key += M::pair) {
        const float * a = key < count ? v[key] : zeros;
        const float * b = key + M::pair - 1 < count ? v[key + M::pair - 1] : zeros;
        prefetch(a + head.head_dim, head.head_dim); // the next head's
        prefetch(b + head.head_dim, M::pair == 2 ? head.head_dim : 0);
        by_vector(head.head_dim, [&](int64_t i, int n) {
            Vec value = read(a + i, n);
            if constexpr (M::pair == 2)
                value = M::both(value, read(b + i, n));
            store(line + i, value);
        });
        (void)b;
        float * to =
            head.v + first / block * (wide * steps) + (first % block + key) / M::pair * rows;
        for (int64_t d = 0; d < wide; d += rows, to += steps * rows)
            std::memcpy(to, line + d, rows * sizeof(float));
    }
}

#if defined(__AMX_BF16__)
template <>
void pack_values<Tiles>(const float * const * v, int count, int64_t first, const PackedHead & head,
                        float * scratch) {
    clear(scratch, 0, head.head_dim);
    for (int64_t d = 0; d < head.head_dim; d += lanes) {
        Vec square[lanes];
        for (int key = 0; key < chunk; key += 2) {
            const float * a = key < count ? v[key] : scratch;
            const float * b = key + 1 < count ? v[key + 1] : scratch;
            square[key / 2] = Tiles::both(load(a + d), load(b + d));
        }
        transpose(square);
        for (int i = 0; i < lanes; ++i)
            store(head.v + first / 2 * head.head_dim + (d + i) * lanes, square[i]);
    }
}
#endif

template <class M>
static void pack(const HeadRow * k, const float * const * v, int count, int64_t first,
                 const PackedHead & head, float * scratch) {
    const int64_t steps = steps_of<M>(head.head_dim), wide = up_to(head.head_dim, 2 * lanes);
    clear(scratch, 0, wide);
    for (int key = 0; key < chunk; ++key) {
        float * to = head.k + (first + key) * steps;
        if (key == count) // zeros from here on
            clear(scratch, 0, wide);
        if (key < count) {
            clear(scratch, head.head_dim / lanes * lanes, wide);
            prefetch(k[key], head.head_dim, head.head_dim); // the next head's
            rotate(k[key], head.head_dim, scratch);
            into_steps<M>(scratch, head.head_dim);
        }
        by_vector(steps, [&](int64_t i, int n) { write(to + i, load(scratch + i), n); });
    }
    pack_values<M>(v, count, first, head, scratch);
}

namespace {
// What a task keeps of one tile of queries, in its scratch.
struct Tile {
    float *q, *out;              // [steps][tile], [head_dim][tile]
    float *top, *total, *forget; // [tile]: the maximum so far, the sum, 2^(old - new maximum)
    int queries, vectors;
    int64_t first;
};
} // namespace

static int64_t tall(int64_t head_dim) { return up_to(head_dim, 2 * lanes); }
static int64_t scratch_size(int64_t head_dim) {
    return tiles * (2 * tall(head_dim) + 3) * tile + block * tile + lanes * tall(head_dim);
}

static Tile tile_at(const AttentionTask & task, int index) {
    Tile t;
    const int64_t size = tall(task.head.head_dim) * tile;
    t.q = task.scratch + index * (2 * size + 3 * tile);
    t.out = t.q + size;
    t.top = t.out + size;
    t.total = t.top + tile;
    t.forget = t.total + tile;
    t.queries = task.queries - index * tile < tile ? task.queries - index * tile : tile;
    t.vectors = (t.queries + lanes - 1) / lanes;
    t.first = task.first_query + index * tile;
    return t;
}

template <class M>
static void begin(const AttentionTask & task, int index, float * buffer) {
    constexpr int ahead = 8;
    const Tile t = tile_at(task, index);
    const int64_t dim = task.head.head_dim, wide = tall(dim), steps = steps_of<M>(dim);
    for (int n = 0; n < t.vectors; ++n) {
        for (int i = 0; i < lanes; ++i) {
            float * row = buffer + i * wide;
            const int query = n * lanes + i;
            clear(row, query < t.queries ? dim / lanes * lanes : 0, wide);
            if (query >= t.queries)
                continue;
            if (query + ahead < t.queries)
                prefetch(task.rows[index * tile + query + ahead], 0, dim);
            rotate(task.rows[index * tile + query], dim, row);
            into_steps<M>(row, dim);
        }
        for (int64_t d = 0; d < steps; d += lanes) {
            Vec square[lanes];
            for (int i = 0; i < lanes; ++i)
                square[i] = load(buffer + i * wide + d);
            transpose(square);
            for (int i = 0; i < lanes; ++i)
                store(t.q + (d + i) * tile + n * lanes, square[i]);
        }
        store(t.top + n * lanes, splat(lowest));
        store(t.total + n * lanes, Vec{});
    }
    clear(t.out, 0, wide * tile);
}

// Scores no query may see: of keys past the end, before the window, after the query itself.
static void hide(const Tile & t, const AttentionTask & task, int64_t first, int64_t count,
                 float * scores) {
    IVec lane;
    for (int i = 0; i < lanes; ++i)
        lane[i] = i;
    for (int64_t k = 0; k < count; ++k)
        for (int n = 0; n < t.vectors; ++n) {
            const int32_t key = static_cast<int32_t>(first + k);
            float * at = scores + k * tile + n * lanes;
            // How far the query is past the key.
            const IVec past = lane + (static_cast<int32_t>(t.first) + n * lanes - key);
            if (key >= task.head.keys)
                store(at, splat(2 * lowest));
            else if (task.window) {
                const int32_t window = static_cast<int32_t>(
                    task.window < (int64_t{1} << 30) ? task.window : int64_t{1} << 30);
                const IVec seen = (past >= 0) & (past < window);
                const Vec score = load(at);
                store(at, seen ? score : splat(2 * lowest));
            }
        }
}

static const SeenGroup & group_of(const AttentionTask & task, int64_t token) {
    int i = 0;
    while (i + 1 < task.group_count && token >= task.groups[i].end)
        ++i;
    return task.groups[i];
}

// Whether these keys and all queries of the tile are of one group.
static bool is_one_group(const Tile & t, const AttentionTask & task, int64_t first, int64_t last) {
    const SeenGroup & group = group_of(task, first);
    return last < group.end && t.first >= group.first && t.first + t.queries <= group.end;
}

// Scores between groups: less of them is seen, or nothing.
static void weigh(const Tile & t, const AttentionTask & task, int64_t first, int64_t count,
                  float * scores) {
    IVec lane;
    for (int i = 0; i < lanes; ++i)
        lane[i] = i;
    for (int64_t k = 0; k < count; ++k) {
        const SeenGroup & own = group_of(task, first + k);
        for (int n = 0; n < t.vectors; ++n) {
            float * at = scores + k * tile + n * lanes;
            const IVec query = lane + (static_cast<int32_t>(t.first) + n * lanes);
            Vec score = load(at);
            for (const SeenGroup * g = task.groups; g < task.groups + task.group_count; ++g) {
                const bool seen = g == task.groups || own.first == 0;
                const float bias = own.first == 0 ? g->bias : own.bias;
                const IVec in = (query >= static_cast<int32_t>(g->first)) &
                                (query < static_cast<int32_t>(g->end));
                if (g->first != own.first)
                    score = in ? (seen ? score + bias : splat(2 * lowest)) : score;
            }
            store(at, score);
        }
    }
}

// Scores become their exponentials, as steps of the second product.
template <class M, int N>
static void soften(const Tile & t, int64_t count, float * scores) {
    Vec top[N], total[N];
    for (int n = 0; n < N; ++n)
        top[n] = load(t.top + n * lanes);
    for (int64_t k = 0; k < count; ++k)
        for (int n = 0; n < N; ++n)
            top[n] = max(top[n], load(scores + k * tile + n * lanes));
    for (int n = 0; n < N; ++n) {
        const Vec forget = exp2<false>(load(t.top + n * lanes) - top[n]);
        store(t.forget + n * lanes, forget);
        store(t.top + n * lanes, top[n]);
        total[n] = load(t.total + n * lanes) * forget;
    }
    for (int64_t k = 0; k < count; k += M::pair)
        for (int n = 0; n < N; ++n) {
            const float * at = scores + k * tile + n * lanes;
            Vec p = exp2<M::pair == 2>(load(at) - top[n]);
            total[n] += p;
            if constexpr (M::pair == 2) {
                const Vec second = exp2<true>(load(at + tile) - top[n]);
                total[n] += second;
                p = M::both(p, second);
            }
            store(scores + k / M::pair * tile + n * lanes, p);
        }
    for (int n = 0; n < N; ++n)
        store(t.total + n * lanes, total[n]);
}

template <class M, int N>
static void add_block(const Tile & t, const AttentionTask & task, int64_t first, int64_t count,
                      float * scores) {
    using Value = typename M::Value;
    const PackedHead & head = task.head;
    const int64_t steps = steps_of<M>(head.head_dim);
    const Value * k = reinterpret_cast<const Value *>(head.k) + first * steps;
#if defined(__AMX_BF16__)
    if constexpr (std::is_same_v<M, Tiles>)
        score_by_tiles<N>(k, steps, t.q, count, scores);
    else
#endif
        for (int64_t i = 0; i < count; i += rows)
            product<M, false, N>(k + i * steps, steps, t.q, steps, nullptr, scores + i * tile);
    const int64_t last = first + count - 1;
    if (last >= head.keys ||
        (task.window && (last > t.first || first <= t.first + t.queries - 1 - task.window)))
        hide(t, task, first, count, scores);
    if (task.groups && !is_one_group(t, task, first, last))
        weigh(t, task, first, count, scores);
    soften<M, N>(t, count, scores);
#if defined(__AMX_BF16__)
    if constexpr (std::is_same_v<M, Tiles>) {
        const auto * v = reinterpret_cast<const Value *>(head.v) + first / 2 * head.head_dim;
        return add_by_tiles<N>(v, head.head_dim, scores, count, t.forget, t.out);
    }
#endif
    const Value * v =
        reinterpret_cast<const Value *>(head.v) + first / M::pair * up_to(head.head_dim, rows);
    for (int64_t d = 0; d < head.head_dim; d += rows, v += block / M::pair * rows)
        product<M, true, N>(v, 0, scores, count / M::pair, t.forget, t.out + d * tile);
}

static void end(const AttentionTask & task, int index) {
    const Tile t = tile_at(task, index);
    for (int n = 0; n < t.vectors; ++n) {
        Vec factor = 1.0f / load(t.total + n * lanes);
        const int first = n * lanes;
        const int queries = t.queries - first < lanes ? t.queries - first : lanes;
        if (task.gate) {
            Vec logits = {};
            for (int i = 0; i < queries; ++i)
                logits[i] = task.gate[(index * tile + first + i) * task.gate_step];
            // The difference is 0, or NaN where a logit is not finite, which would close the gate.
            factor *= 2.0f / (1.0f + exp(-logits)) + (logits - logits);
        }
        float * out = task.out + (index * tile + first) * task.out_step;
        by_vector(task.head.head_dim, [&](int64_t d, int width) {
            Vec square[lanes];
            for (int i = 0; i < lanes; ++i)
                square[i] = load(t.out + (d + i) * tile + first) * factor;
            transpose(square);
            for (int i = 0; i < queries; ++i)
                write(out + i * task.out_step + d, square[i], width);
        });
    }
}

template <class M>
static void run_as(const AttentionTask & task) {
    const int count = (task.queries + tile - 1) / tile;
    float * scores = task.scratch + tiles * (2 * tall(task.head.head_dim) + 3) * tile;
    for (int i = 0; i < count; ++i)
        begin<M>(task, i, scores + block * tile);
    // Keys that any of the queries sees.
    int64_t first = 0, last = up_to(task.head.keys, chunk);
    if (task.window) {
        const int64_t end = up_to(task.first_query + task.queries, chunk);
        last = end < last ? end : last;
        const int64_t begin = task.first_query - task.window + 1;
        first = begin > 0 ? begin / block * block : 0;
    }
    for (; first < last; first += block) {
        const int64_t keys = last - first < block ? last - first : block;
        for (int i = 0; i < count; ++i) {
            const Tile t = tile_at(task, i);
            const int64_t end = up_to(t.first + t.queries - first, chunk);
            const int64_t seen = task.window && end < keys ? end : keys;
            if (seen <= 0)
                continue;
            with_count<columns>(t.vectors,
                                [&](auto n) { add_block<M, n>(t, task, first, seen, scores); });
        }
    }
    for (int i = 0; i < count; ++i)
        end(task, i);
}

static void run(const AttentionTask & task) {
#if defined(__AMX_BF16__)
    if (task.head.bf16) {
        begin_tiles();
        run_as<Tiles>(task);
        return end_tiles();
    }
#elif defined(__AVX512BF16__)
    if (task.head.bf16)
        return run_as<Pairs>(task);
#endif
    run_as<Singles>(task);
}

static void pack_head(const HeadRow * k, const float * const * v, int count, int64_t first,
                      const PackedHead & head, float * scratch) {
#if defined(__AMX_BF16__)
    if (head.bf16)
        return pack<Tiles>(k, v, count, first, head, scratch);
#elif defined(__AVX512BF16__)
    if (head.bf16)
        return pack<Pairs>(k, v, count, first, head, scratch);
#endif
    pack<Singles>(k, v, count, first, head, scratch);
}

static int64_t k_size(int64_t head_dim, int64_t keys, bool bf16) {
    return up_to(keys, chunk) * (bf16 ? (head_dim + 1) / 2 : head_dim);
}
static int64_t v_size(int64_t head_dim, int64_t keys, bool bf16) {
    return up_to(keys, block) / (bf16 ? 2 : 1) * up_to(head_dim, rows);
}

extern constexpr AttentionKernels attention_kernels = {
    has_amx ? 32 : has_bf16, tiles * tile, chunk, pack_head, run, k_size, v_size, scratch_size};

} // namespace ltx2::kernels::LTX2_VARIANT
