/* Functions of CUDA's runtime that fail on request, preloaded in front of the real ones, for
   tests/test_gpu.py. LTX2_CUDA_FAULT is what fails:
       launch=N      the Nth launch of a kernel, and whatever is asked of the device after it
       allocate=N    the Nth allocation of device memory, and no other
   When the process ends, it appends one line with how many there were of each to the file
   LTX2_CUDA_COUNTS. What cuBLAS launches itself is neither counted nor failed: CUDA's runtime is
   linked into it. */
#define _GNU_SOURCE
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of cuBLAS, whose headers need not be there. */
typedef void * Handle;
typedef int Status;
enum { execution_failed = 13 };

/* What programs that nvcc compiles launch by; a header that only C++ can read declares it. */
typedef void * Kernel;

/* The real one. By the library's name, since RTLD_NEXT does not find what was loaded later by
   somebody else for himself, as ctypes loads ltx2. */
static void * real(const char * name) {
    char library[32];
    snprintf(library, sizeof library, "lib%s.so.%d",
             strncmp(name, "cublas", 6) == 0 ? "cublas" : "cudart", CUDART_VERSION / 1000);
    void * handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    void * function = handle ? dlsym(handle, name) : NULL;
    if (!function) {
        fprintf(stderr, "%s has no %s\n", library, name);
        abort();
    }
    dlclose(handle);
    return function;
}

static long fault_at(const char * kind) {
    const char * fault = getenv("LTX2_CUDA_FAULT");
    const size_t length = strlen(kind);
    if (!fault || strncmp(fault, kind, length) != 0 || fault[length] != '=')
        return 0;
    return atol(fault + length + 1);
}

static atomic_long launches, allocations;
static atomic_int lost;

__attribute__((destructor)) static void tell(void) {
    const char * path = getenv("LTX2_CUDA_COUNTS");
    const int used = atomic_load(&launches) || atomic_load(&allocations); // not by a helper
    FILE * file = path && used ? fopen(path, "a") : NULL;
    if (!file)
        return;
    fprintf(file, "%ld %ld\n", atomic_load(&launches), atomic_load(&allocations));
    fclose(file);
}

static int launch_fails(void) {
    const long now = atomic_fetch_add(&launches, 1) + 1, at = fault_at("launch");
    if (at && now >= at)
        atomic_store(&lost, 1);
    return atomic_load(&lost);
}

/* A function of the runtime, or of cuBLAS, that fails where `when`. */
#define FAILS_WHEN(when, Result, failure, name, parameters, arguments)                             \
    Result name parameters {                                                                       \
        typedef Result Real parameters;                                                            \
        if (when)                                                                                  \
            return failure;                                                                        \
        return ((Real *)real(#name))arguments;                                                     \
    }
#define FAILS(name, parameters, arguments)                                                         \
    FAILS_WHEN(atomic_load(&lost), cudaError_t, cudaErrorLaunchFailure, name, parameters, arguments)
#define BLAS_FAILS(name, parameters, arguments)                                                    \
    FAILS_WHEN(atomic_load(&lost), Status, execution_failed, name, parameters, arguments)

FAILS_WHEN(launch_fails(), cudaError_t, cudaErrorLaunchFailure, cudaLaunchKernel,
           (const void * kernel, dim3 grid, dim3 block, void ** arguments, size_t shared,
            cudaStream_t stream),
           (kernel, grid, block, arguments, shared, stream))
FAILS_WHEN(launch_fails(), cudaError_t, cudaErrorLaunchFailure, __cudaLaunchKernel,
           (Kernel kernel, dim3 grid, dim3 block, void ** arguments, size_t shared,
            cudaStream_t stream),
           (kernel, grid, block, arguments, shared, stream))
FAILS_WHEN(launch_fails(), cudaError_t, cudaErrorLaunchFailure, cudaLaunchKernelExC,
           (const cudaLaunchConfig_t * config, const void * kernel, void ** arguments),
           (config, kernel, arguments))
FAILS_WHEN(atomic_fetch_add(&allocations, 1) + 1 == fault_at("allocate"), cudaError_t,
           cudaErrorMemoryAllocation, cudaMalloc, (void ** memory, size_t size), (memory, size))
FAILS(cudaFree, (void * memory), (memory))
FAILS(cudaGetLastError, (void), ())
FAILS(cudaStreamSynchronize, (cudaStream_t stream), (stream))
FAILS(cudaDeviceSynchronize, (void), ())
FAILS(cudaStreamCreateWithFlags, (cudaStream_t * stream, unsigned flags), (stream, flags))
FAILS(cudaStreamDestroy, (cudaStream_t stream), (stream))
FAILS(cudaEventDestroy, (cudaEvent_t event), (event))
FAILS(cudaMemGetInfo, (size_t * free, size_t * total), (free, total))
FAILS(cudaMemsetAsync, (void * memory, int value, size_t size, cudaStream_t stream),
      (memory, value, size, stream))
FAILS(cudaMemcpyAsync,
      (void * to, const void * from, size_t size, enum cudaMemcpyKind kind, cudaStream_t stream),
      (to, from, size, kind, stream))
BLAS_FAILS(cublasDestroy_v2, (Handle handle), (handle))
BLAS_FAILS(cublasSetStream_v2, (Handle handle, cudaStream_t stream), (handle, stream))
