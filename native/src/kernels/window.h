// The inner kernel of attention over a grid: queries of a few neighbouring rows and columns of one
// frame and one head, against the keys around them.
//
// Keys lie across the vectors in the scores and channels in the means, so that a vector of keys, or
// of a value, serves all queries of the block that see it. All scores of a block are in memory
// before the softmax: there are few.
#pragma once

#include <cstdint>

namespace ltx2::kernels {

constexpr int window_most = 11;                                // keys of a window along an axis
constexpr int window_columns = 6;                              // of queries, in a block
constexpr int window_rows = 4;                                 // likewise
constexpr int window_strip = window_most + window_columns - 1; // columns of keys that these see

// Rows of keys are numbered frame by frame, `union_rows` of each: those that any query sees.
struct WindowTask {
    int64_t head_dim;
    int frames, union_rows, union_columns; // of keys
    int seen_rows, seen_columns;           // by one query, of each frame
    int rows, columns;                     // of queries
    const int * first_row;                 // that each row of queries sees
    const int * first_column;              // and each column
    // Of the queries, times the scale and log2 e; columns are head_dim apart.
    const float * q;
    int64_t q_row;
    // [frames * union_rows], each at its first column. Keys are [head_dim] at k_step, with
    // window_strip columns to read; values [columns][v_step], zeros after head_dim.
    const float *const *k, *const *v;
    int64_t k_step, v_step;
    float * out; // of the first query
    int64_t out_row, out_column;
    float * scratch; // window_scratch()
};

constexpr int64_t window_block = int64_t{window_rows} * window_columns; // queries
// In floats.
inline int64_t window_scratch(int64_t head_dim, int frames, int seen_rows) {
    return window_block * head_dim + window_columns * window_strip +
           int64_t{window_rows} * frames * seen_rows * window_columns * window_strip;
}

using Window = void (*)(const WindowTask & task);

} // namespace ltx2::kernels
