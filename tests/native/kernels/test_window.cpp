// Attention over a grid against its scalar reference on random ragged grids, frame by frame through
// the ring, and against itself: the same bits for any number of threads.
#include "graph/device.h"
#include "kernels/cpu_ops.h"
#include "kernels/kernel_tests.h"
#include "nodes_in.h"
#include "plain.h"

#include "ggml-cpu.h"

#include <algorithm>
#include <cmath>
#include <ctime>

using namespace ltx2;
using kernels::floats;

namespace {

struct Tensors {
    static constexpr size_t memory_size = size_t{192} << 20;
    std::unique_ptr<char[]> memory{new char[memory_size]}; // not written until it is used
    std::unique_ptr<ggml_context, decltype(&ggml_free)> context{
        ggml_init({memory_size, memory.get(), false}), ggml_free};
    WindowCall call;
    ggml_tensor * qkv;
    double seconds = 0; // of the processor, of all graphs so far

    ggml_tensor * values(int64_t a, int64_t b, float mean = 0, float deviation = 1) {
        ggml_tensor * t = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, a, b);
        const std::vector<float> some = normal_values(ggml_nelements(t), mean, deviation);
        std::copy(some.begin(), some.end(), floats(t));
        return t;
    }
    explicit Tensors(const WindowCall & c) : call(c) {
        call.q_norm = values(c.head_dim, 1, 1, 0.5f);
        call.k_norm = values(c.head_dim, 1, 1, 0.5f);
        call.eps = 1e-6f;
        qkv = values(3 * c.heads * c.head_dim, c.cells() * c.frames);
    }
    // `chunk` frames come, then those that have all they see leave, at most `chunk` at once.
    std::vector<float> run(int threads, int64_t chunk) {
        Scratch scratch;
        const Shape ne = call.ring_shape(std::min(call.frames, call.window[0] - 1 + chunk));
        call.ring = values(ne[0], ne[1]);
        std::fill_n(floats(call.ring), ggml_nelements(call.ring), NAN); // nothing else is read
        std::vector<float> all;
        int64_t next = 0;
        for (int64_t first = 0; first < call.frames; first += chunk) {
            const int64_t come = std::min(chunk, call.frames - first);
            ggml_tensor * part =
                ggml_view_2d(context.get(), qkv, qkv->ne[0], come * call.cells(), qkv->nb[1],
                             static_cast<size_t>(first * call.cells()) * qkv->nb[1]);
            NodesIn nodes(context.get(), {threads, scratch}, /*exact=*/false);
            ggml_tensor * ring = kernels::window_keep(nodes, call, part, first);
            int64_t count = 0;
            while (next + count < call.frames &&
                   call.first_seen(next + count) + call.window[0] <= first + come)
                ++count;
            ggml_tensor * out =
                count ? kernels::window_attention(nodes, call, ring, next, count) : ring;
            ggml_cgraph * graph = ggml_new_graph(context.get());
            ggml_build_forward_expand(graph, out);
            const std::clock_t begin = std::clock();
            ggml_graph_compute_with_ctx(context.get(), graph, threads);
            seconds += double(std::clock() - begin) / CLOCKS_PER_SEC;
            if (count)
                all.insert(all.end(), floats(out), floats(out) + ggml_nelements(out));
            next += count;
        }
        return all;
    }
};

// A head of a cell, normed, and each pair turned by position / 10000^(2j / dim) of its axis.
std::vector<double> plain_head(const Tensors & t, int64_t third, int64_t head, int64_t frame,
                               int64_t row, int64_t column) {
    const WindowCall & c = t.call;
    const int64_t n = c.head_dim, from = std::clamp<int64_t>(column, 0, c.width - 1);
    const float * x = floats(t.qkv) + ((frame * c.height + row) * c.width + from) * t.qkv->ne[0] +
                      (third * c.heads + head) * n;
    std::vector<double> h(x, x + n);
    if (third == 2)
        return h;
    double squares = 0;
    for (const double v : h)
        squares += v * v;
    const float * weight = floats(third ? c.k_norm : c.q_norm);
    for (int64_t i = 0; i < n; ++i)
        h[size_t(i)] *= double(weight[i]) / std::sqrt(squares / double(n) + 1e-6);
    int64_t dims[3] = {n / 8 * 2, 0, 0};
    dims[1] = dims[2] = (n - dims[0]) / 2;
    if (dims[1] % 2)
        dims[0] -= 2, dims[1] = dims[2] = dims[1] + 1;
    const int64_t at[3] = {frame, row, column};
    size_t i = 0;
    for (int axis = 0; axis < 3; ++axis)
        for (int64_t j = 0; j < dims[axis]; j += 2, i += 2) {
            const double angle = double(at[axis]) * std::pow(1e4, -double(j) / double(dims[axis]));
            const double a = h[i], b = h[i + 1];
            h[i] = a * std::cos(angle) - b * std::sin(angle);
            h[i + 1] = a * std::sin(angle) + b * std::cos(angle);
        }
    return h;
}

int64_t first_of(int64_t at, int64_t window, int64_t count) {
    return std::max<int64_t>(0, std::min(at - window / 2, count - window));
}

std::vector<double> plain(const Tensors & t, int64_t head, int64_t frame, int64_t row,
                          int64_t column) {
    const WindowCall & c = t.call;
    const std::vector<double> q = plain_head(t, 0, head, frame, row, column);
    const int64_t first =
        c.copied ? column - c.window[2] / 2 : first_of(column, c.window[2], c.width);
    std::vector<double> out(q.size(), 0.0);
    double total = 0;
    for (int f = 0; f < c.window[0]; ++f)
        for (int r = 0; r < c.window[1]; ++r)
            for (int x = 0; x < c.window[2]; ++x) {
                const int64_t key[3] = {c.first_seen(frame) + f,
                                        first_of(row, c.window[1], c.height) + r, first + x};
                const auto k = plain_head(t, 1, head, key[0], key[1], key[2]);
                const auto v = plain_head(t, 2, head, key[0], key[1], key[2]);
                double score = 0;
                for (size_t i = 0; i < q.size(); ++i)
                    score += q[i] * k[i];
                const double p = std::exp(score / std::sqrt(double(q.size())));
                total += p;
                for (size_t i = 0; i < q.size(); ++i)
                    out[i] += p * v[i];
            }
    for (double & v : out)
        v /= total;
    return out;
}

WindowCall any_call() {
    WindowCall c;
    c.copied = any(0, 1) == 1;
    c.heads = any(1, 3);
    c.head_dim = 8 * any(1, 9);
    int64_t * const sides[3] = {&c.frames, &c.height, &c.width};
    for (int axis = 0; axis < 3; ++axis) {
        c.window[axis] = 2 * any(0, axis ? 5 : 3) + 1;
        *sides[axis] = c.window[axis] + any(0, 9);
    }
    if (c.copied)
        c.width = any(1, 20);
    return c;
}

TEST(equals_the_scalar_reference) {
    double worst = 0;
    for (int i = 0; i < 40; ++i) {
        Tensors t(any_call());
        const WindowCall & c = t.call;
        const std::vector<float> have = t.run(any(1, 3), any(1, 4));
        CHECK(int64_t(have.size()) == c.frames * c.cells() * c.heads * c.head_dim);
        Nmse error;
        for (int sample = 0; sample < 30; ++sample) { // the corners of the grid among them
            const auto side = [](int64_t n) {
                return any(0, 2) ? any(0, int(n) - 1) : any(0, 1) * (n - 1);
            };
            const int64_t f = side(c.frames), y = side(c.height), x = side(c.width);
            const int64_t head = any(0, int(c.heads) - 1);
            const std::vector<double> want = plain(t, head, f, y, x);
            const int64_t cell = (f * c.height + y) * c.width + x;
            for (size_t d = 0; d < want.size(); ++d)
                error.add(double(have[size_t((cell * c.heads + head) * c.head_dim) + d]), want[d]);
        }
        worst = std::max(worst, error.value());
    }
    std::printf("window attention: worst NMSE %.2g\n", worst);
    CHECK(worst < 4e-12);
}

TEST(chunks_and_threads_change_no_bit) {
    WindowCall c;
    c.frames = 13, c.height = 9, c.width = 17, c.heads = 2, c.head_dim = 64;
    c.window[0] = c.window[1] = 5, c.window[2] = 11;
    Tensors t(c);
    const std::vector<float> whole = t.run(1, 13);
    CHECK(t.run(3, 13) == whole);
    CHECK(t.run(2, 1) == whole);
    CHECK(t.run(1, 4) == whole);
}

TEST(what_is_not_finite_stays_so) {
    WindowCall c;
    c.frames = c.height = 3, c.width = 9, c.heads = 1, c.head_dim = 16;
    c.window[0] = c.window[1] = c.window[2] = 3;
    Tensors t(c);
    floats(t.qkv)[(1 * 9 + 4) * 48 + 17] = NAN; // of a key
    const std::vector<float> out = t.run(1, 3);
    CHECK(std::isnan(out[4 * 16]));
    CHECK(std::isfinite(out[8 * 16]));
}

// What the kernel does in a second of the processor, of the products that are wanted.
TEST(speed) {
    WindowCall c;
    c.frames = 11, c.height = 24, c.width = 48, c.heads = 1, c.head_dim = 64;
    c.window[0] = c.window[1] = c.window[2] = 11;
    Tensors t(c);
    const size_t size = t.run(1, 11).size();
    std::printf("window attention: %.1f GFLOP/s\n", double(size) * 1331 * 4 / t.seconds / 1e9);
    CHECK(size == 11 * 24 * 48 * 64);
}

} // namespace

int main(int argc, char ** argv) { return run_kernel_tests(argc, argv); }
