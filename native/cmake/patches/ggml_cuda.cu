/* ggml-cuda.cu, four things otherwise. */
#include "kernels/cuda_nodes.h"

#include "ggml-cuda/common.cuh"
#include "ggml-impl.h"

/* 1. Products of 16-bit operands have sums of F32; ggml's have 16 bits, which overflow. The macro
   is asked in one place: whether they do. */
#undef GGML_CUDA_CC_IS_RDNA4
#define GGML_CUDA_CC_IS_RDNA4(cc) true

/* 2. Of a device that is lost, these fail, and destructors that call them would end the process:
   nothing may be thrown there. What it does not give back is lost with it. */
#undef cublasDestroy
#define cublasDestroy(handle) ((void)cublasDestroy_v2(handle), CUBLAS_STATUS_SUCCESS)
#define cudaFree(memory) ((void)cudaFree(memory), cudaSuccess)
#define cudaEventDestroy(event) ((void)cudaEventDestroy(event), cudaSuccess)
#define cudaStreamDestroy(stream) ((void)cudaStreamDestroy(stream), cudaSuccess)

/* 3. A machine without a GPU, or without its driver, has none of them: that is no error. */
static cudaError_t device_count(int * count) {
    const cudaError_t error = cudaGetDeviceCount(count);
    if (error != cudaErrorNoDevice && error != cudaErrorInsufficientDriver)
        return error;
    *count = 0;
    GGML_LOG_INFO("%s: %s\n", __func__, cudaGetErrorString(cudaGetLastError()));
    return cudaSuccess;
}
#define cudaGetDeviceCount(count) device_count(count)

/* 4. Nodes of our own, and some products, are computed otherwise. The function that says which
   operations there are gets another name where it is defined with its parameters; the one that
   computes a node gets one where it is defined, and another where it is called with the node. */
static bool ggml_backend_cuda_device_supports_op(ggml_backend_dev_t dev, const ggml_tensor * op);
#define ggml_backend_cuda_device_supports_op(...) supports_of_ggml(__VA_ARGS__)

static bool compute_forward(ggml_backend_cuda_context & ctx, ggml_tensor * dst);
#define ggml_cuda_compute_forward(context, what) forward_##what)
#define forward_struct forward_of_ggml(ggml_backend_cuda_context & ctx, struct
#define forward_node compute_forward(*cuda_ctx, node

#include "ggml-cuda/ggml-cuda.cu"

#undef ggml_backend_cuda_device_supports_op

/* Null: the node is not one of ours. */
static const ltx2::kernels::CudaNode * node_of(const ggml_tensor * op) {
    ggml_custom_op_params params;
    memcpy(&params, op->op_params, sizeof(params));
    const bool ours = op->op == GGML_OP_CUSTOM && params.fun == ltx2::kernels::cuda_node;
    return ours ? static_cast<const ltx2::kernels::CudaNode *>(params.userdata) : nullptr;
}

/* Activations that were made in 16 bits are multiplied with weights of any type. */
static bool ggml_backend_cuda_device_supports_op(ggml_backend_dev_t dev, const ggml_tensor * op) {
    if (op->op == GGML_OP_MUL_MAT && op->src[1]->type == GGML_TYPE_F16) {
        ggml_tensor as_f32 = *op->src[1];
        as_f32.type = GGML_TYPE_F32;
        as_f32.nb[0] *= 2;
        ggml_tensor product = *op;
        product.src[1] = &as_f32;
        return supports_of_ggml(dev, &product);
    }
    return node_of(op) || supports_of_ggml(dev, op);
}

/* ggml's kernels for quantised weights round activations to 8 bits, whatever is asked. Where F32 is
   asked for, cuBLAS multiplies, with weights that are widened before; not for a single column, whose
   product reads each weight once: that would take ten times as long. And Hopper multiplies values of
   16 bits so fast that many columns are sooner done so as well. */
static bool wants_cublas(const ggml_backend_cuda_context & ctx, const ggml_tensor * op) {
    if (op->op != GGML_OP_MUL_MAT || !ggml_is_quantized(op->src[0]->type))
        return false;
    const int64_t columns = op->src[1]->ne[1];
    const bool hopper = ggml_cuda_info().devices[ctx.device].cc == GGML_CUDA_CC_HOPPER;
    return op->op_params[0] == GGML_PREC_F32 ? columns > 1 : hopper && columns > 256;
}

static bool compute_forward(ggml_backend_cuda_context & ctx, ggml_tensor * dst) {
    const ltx2::kernels::CudaNode * node = node_of(dst);
    if (node)
        node->launch(dst, &ctx);
    else if (wants_cublas(ctx, dst))
        ggml_cuda_mul_mat_cublas(ctx, dst->src[0], dst->src[1], dst);
    else
        return forward_of_ggml(ctx, dst);
    return true;
}
