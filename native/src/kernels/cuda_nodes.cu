#include "kernels/cuda_nodes.h"

#include "ggml-cuda/common.cuh"
#include "ggml-cuda/convert.cuh"

#include <cublasLt.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>

namespace ltx2::kernels {

void cuda_node(ggml_tensor * out, int, int, void *) { GGML_ABORT("%s is CUDA's", out->name); }

// ---- rows: a block of threads for each

namespace {

constexpr int threads = 256;

// The row of a token in a table [width, rows, timesteps].
struct RowOf {
    const float * table; // null: none
    int64_t width, rows, row;
    const int32_t * index; // null: the first timestep

    RowOf(const TokenRow & r)
        : table(r.table ? static_cast<const float *>(r.table->data) : nullptr),
          width(r.table ? r.table->ne[0] : 0), rows(r.table ? r.table->ne[1] : 0), row(r.row),
          index(r.index ? static_cast<const int32_t *>(r.index->data) : nullptr) {}
    __device__ const float * of(int64_t token) const {
        return table ? table + ((index ? index[token] : 0) * rows + row) * width : nullptr;
    }
};

__device__ float value_of(float x) { return x; }
__device__ float value_of(half x) { return __half2float(x); }
__device__ void put(float * to, float value) { *to = value; }
__device__ void put(half * to, float value) {
    *to = __float2half(value != value ? value : fminf(fmaxf(value, -65504.0f), 65504.0f));
}

// The sum of all threads' values.
__device__ float sum_of_block(float value) {
    __shared__ float sums[threads / WARP_SIZE];
    value = warp_reduce_sum(value);
    __syncthreads(); // of the sum before, all have read
    if (threadIdx.x % WARP_SIZE == 0)
        sums[threadIdx.x / WARP_SIZE] = value;
    __syncthreads();
    float sum = 0;
    for (float part : sums)
        sum += part;
    return sum;
}

template <class T>
__global__ void norm_kernel(const float * x, int64_t width, Norm norm, float eps, RowOf scale,
                            RowOf shift, float plus, T * out) {
    const int64_t row = blockIdx.x;
    x += row * width, out += row * width;
    float mean = 0, factor = 1;
    if (norm == Norm::layer) {
        for (int64_t i = threadIdx.x; i < width; i += threads)
            mean += x[i];
        mean = sum_of_block(mean) / width;
    }
    if (norm != Norm::none) {
        float squares = 0;
        for (int64_t i = threadIdx.x; i < width; i += threads)
            squares += (x[i] - mean) * (x[i] - mean);
        factor = rsqrtf(sum_of_block(squares) / width + eps);
    }
    const float *times = scale.of(row), *add = shift.of(row);
    for (int64_t i = threadIdx.x; i < width; i += threads) {
        float value = (x[i] - mean) * factor;
        if (times)
            value *= plus + times[i];
        put(out + i, add ? value + add[i] : value);
    }
}

// Each thread takes pairs of values that are rotated together.
template <class From, class To>
__global__ void heads_kernel(const From * x, int64_t heads, int64_t half_dim, const float * weight,
                             float eps, const float * cos, const float * sin, int64_t angles_row,
                             int64_t angles_head, To * out) {
    const int64_t row = blockIdx.x, pairs = heads * half_dim;
    x += row * 2 * pairs, out += row * 2 * pairs;
    float factor = 1;
    if (weight) {
        float squares = 0;
        for (int64_t i = threadIdx.x; i < 2 * pairs; i += threads)
            squares += value_of(x[i]) * value_of(x[i]);
        factor = rsqrtf(sum_of_block(squares) / (2 * pairs) + eps);
    }
    for (int64_t p = threadIdx.x; p < pairs; p += threads) {
        const int64_t head = p / half_dim, j = p % half_dim;
        const int64_t first = head * 2 * half_dim + j, second = first + half_dim;
        float a = value_of(x[first]) * factor, b = value_of(x[second]) * factor;
        if (weight)
            a *= weight[first], b *= weight[second];
        float c = 1, s = 0;
        if (cos) {
            const int64_t at = row * angles_row + head * angles_head + j;
            c = cos[at], s = sin[at];
        }
        put(out + first, a * c - b * s);
        put(out + second, b * c + a * s);
    }
}

template <class T>
__global__ void gate_kernel(const float * x, const float * logits, int64_t heads, int64_t width,
                            T * out) {
    const int64_t row = blockIdx.x, head_dim = width / heads;
    for (int64_t i = threadIdx.x; i < width; i += threads) {
        const float logit = logits[row * heads + i / head_dim];
        put(out + row * width + i, x[row * width + i] * 2 / (1 + expf(-logit)));
    }
}

__global__ void add_kernel(float * x, const float * branch, RowOf gate, int64_t width) {
    const int64_t row = blockIdx.x;
    const float * times = gate.of(row);
    for (int64_t i = threadIdx.x; i < width; i += threads)
        x[row * width + i] += branch[row * width + i] * (times ? times[i] : 1);
}

// Where a product's own epilogue cannot.
template <class T>
__global__ void bias_kernel(T * y, const float * bias, int64_t width, bool gelu) {
    const int64_t row = blockIdx.x;
    for (int64_t i = threadIdx.x; i < width; i += threads) {
        float value = float(y[row * width + i]) + (bias ? bias[i] : 0);
        if (gelu)
            value *= 0.5f * (1 + tanhf(0.7978845608f * value * (1 + 0.044715f * value * value)));
        put(y + row * width + i, value);
    }
}

ggml_backend_cuda_context & of(void * context) {
    return *static_cast<ggml_backend_cuda_context *>(context);
}

unsigned rows_of(const ggml_tensor * t) { return static_cast<unsigned>(ggml_nrows(t)); }

// Call(values) with those of `t` in its type.
template <class Call>
void typed(const ggml_tensor * t, Call && call) {
    if (t->type == GGML_TYPE_F16)
        call(static_cast<half *>(t->data));
    else
        call(static_cast<float *>(t->data));
    CUDA_CHECK(cudaGetLastError());
}

} // namespace

const ggml_tensor * CudaNode::read(const ggml_tensor * out, const ggml_tensor * t) const {
    if (!t)
        return nullptr;
    const auto at = std::find(made_of.begin(), made_of.end(), t);
    GGML_ASSERT(at != made_of.end());
    return out->src[at - made_of.begin()];
}

const float * CudaNode::floats(const ggml_tensor * out, const ggml_tensor * t) const {
    return t ? static_cast<const float *>(read(out, t)->data) : nullptr;
}

TokenRow CudaNode::read(const ggml_tensor * out, const TokenRow & row) const {
    TokenRow there = row;
    there.table = const_cast<ggml_tensor *>(read(out, row.table));
    there.index = const_cast<ggml_tensor *>(read(out, row.index));
    return there;
}

void CudaNorm::launch(ggml_tensor * out, void * context) const {
    const NormCall & c = call;
    typed(out, [&](auto * to) {
        norm_kernel<<<rows_of(out), threads, 0, of(context).stream()>>>(
            floats(out, c.x), c.x->ne[0], c.norm, c.eps, read(out, c.scale), read(out, c.shift),
            c.one_plus_scale ? 1 : 0, to);
    });
}

void CudaHeads::launch(ggml_tensor * out, void * context) const {
    const ggml_tensor * angles = rotary.cos;
    const int64_t size = sizeof(float);
    const int64_t by_row = angles ? static_cast<int64_t>(angles->nb[2]) / size : 0;
    const int64_t by_head =
        angles && angles->ne[1] > 1 ? static_cast<int64_t>(angles->nb[1]) / size : 0;
    const auto launch_for = [&](auto * from, auto * to) {
        heads_kernel<<<rows_of(x), threads, 0, of(context).stream()>>>(
            from, out->ne[1], out->ne[0] / 2, floats(out, weight), eps, floats(out, angles),
            floats(out, rotary.sin), by_row, by_head, to);
    };
    typed(read(out, x), [&](auto * from) { typed(out, [&](auto * to) { launch_for(from, to); }); });
}

void CudaGate::launch(ggml_tensor * out, void * context) const {
    typed(out, [&](auto * to) {
        gate_kernel<<<rows_of(out), threads, 0, of(context).stream()>>>(
            floats(out, x), floats(out, logits), logits->ne[0], out->ne[0], to);
    });
}

void CudaAdd::launch(ggml_tensor * out, void * context) const {
    add_kernel<<<rows_of(out), threads, 0, of(context).stream()>>>(
        static_cast<float *>(out->data), floats(out, branch), read(out, gate), out->ne[0]);
    CUDA_CHECK(cudaGetLastError());
}

// ---- products

namespace {

// What cuBLAS was found to do best for a shape, type and epilogue.
struct Way {
    cublasLtMatmulAlgo_t algorithm;
    bool found;
};
using Shape4 = std::tuple<int, int64_t, int64_t, int64_t, int, int>;

constexpr size_t workspace_size = size_t{32} << 20;

void check(cublasStatus_t status) { CUBLAS_CHECK(status); }

// The descriptions that a call needs, ended with it.
struct Description {
    cublasLtMatmulDesc_t product = nullptr;
    cublasLtMatrixLayout_t w = nullptr, x = nullptr, y = nullptr;

    Description(int64_t n, int64_t rows, int64_t k, cudaDataType_t type,
                cublasLtEpilogue_t epilogue, const void * bias) {
        check(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
        const cublasOperation_t transposed = CUBLAS_OP_T;
        set(CUBLASLT_MATMUL_DESC_TRANSA, transposed);
        set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
        if (bias) {
            set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
            set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type);
        }
        check(cublasLtMatrixLayoutCreate(&w, CUDA_R_16F, k, n, k));
        check(cublasLtMatrixLayoutCreate(&x, CUDA_R_16F, k, rows, k));
        check(cublasLtMatrixLayoutCreate(&y, type, n, rows, n));
    }
    ~Description() {
        for (cublasLtMatrixLayout_t layout : {w, x, y})
            if (layout)
                cublasLtMatrixLayoutDestroy(layout);
        if (product)
            cublasLtMatmulDescDestroy(product);
    }
    Description(const Description &) = delete;
    Description & operator=(const Description &) = delete;

private:
    template <class Value>
    void set(cublasLtMatmulDescAttributes_t attribute, const Value & value) {
        check(cublasLtMatmulDescSetAttribute(product, attribute, &value, sizeof value));
    }
};

// Asked once for each shape: it takes as long as a small product.
Way way_of(cublasLtHandle_t handle, const Description & d, const Shape4 & shape) {
    static std::mutex mutex;
    static std::map<Shape4, Way> known;
    const std::lock_guard<std::mutex> lock(mutex);
    const auto at = known.find(shape);
    if (at != known.end())
        return at->second;
    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference));
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &workspace_size, sizeof workspace_size);
    cublasLtMatmulHeuristicResult_t result = {};
    int count = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        handle, d.product, d.w, d.x, d.y, d.y, preference, 1, &result, &count);
    cublasLtMatmulPreferenceDestroy(preference);
    return known[shape] = {result.algo, status == CUBLAS_STATUS_SUCCESS && count > 0};
}

const half * as_halves(const ggml_tensor * t, ggml_cuda_pool_alloc<half> & memory,
                       cudaStream_t stream) {
    if (t->type == GGML_TYPE_F16)
        return static_cast<const half *>(t->data);
    memory.alloc(static_cast<size_t>(ggml_nelements(t)));
    ggml_get_to_fp16_cuda(t->type)(t->data, memory.get(), ggml_nelements(t), stream);
    return memory.get();
}

} // namespace

void CudaProduct::launch(ggml_tensor * out, void * context) const {
    ggml_backend_cuda_context & ctx = of(context);
    const cudaStream_t stream = ctx.stream();
    ggml_cuda_pool_alloc<half> wide(ctx.pool()), rounded(ctx.pool()), short_bias(ctx.pool());
    ggml_cuda_pool_alloc<char> workspace(ctx.pool());
    const half * w = as_halves(read(out, weight), wide, stream);
    const half * v = as_halves(read(out, x), rounded, stream);
    const bool halves = out->type == GGML_TYPE_F16;
    const cudaDataType_t type = halves ? CUDA_R_16F : CUDA_R_32F;
    const void * added = floats(out, bias);
    if (bias && halves)
        added = as_halves(read(out, bias), short_bias, stream);
    workspace.alloc(workspace_size); // last: a pool may want memory back in the reverse order
    const int64_t k = weight->ne[0], n = weight->ne[1], rows = ggml_nrows(x);
    const cublasLtHandle_t handle = reinterpret_cast<cublasLtHandle_t>(ctx.cublas_handle());
    const float one = 1, zero = 0;

    const cublasLtEpilogue_t all =
        gelu   ? (bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU)
        : bias ? CUBLASLT_EPILOGUE_BIAS
               : CUBLASLT_EPILOGUE_DEFAULT;
    for (const cublasLtEpilogue_t epilogue : {all, CUBLASLT_EPILOGUE_DEFAULT}) {
        const bool whole = epilogue == all;
        const Description d(n, rows, k, type, epilogue, whole ? added : nullptr);
        const Way way = way_of(handle, d, {ctx.device, n, rows, k, type, epilogue});
        if (!way.found && whole && all != CUBLASLT_EPILOGUE_DEFAULT)
            continue;
        check(cublasLtMatmul(handle, d.product, &one, w, d.w, v, d.x, &zero, out->data, d.y,
                             out->data, d.y, way.found ? &way.algorithm : nullptr, workspace.get(),
                             workspace_size, stream));
        if (!whole)
            typed(out, [&](auto * y) {
                bias_kernel<<<static_cast<unsigned>(rows), threads, 0, stream>>>(
                    y, floats(out, bias), n, gelu);
            });
        return;
    }
}

} // namespace ltx2::kernels
