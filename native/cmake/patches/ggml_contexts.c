/* ggml.c and one function more. ggml_init has a context's own struct from malloc, and aborts where
   there is none; this one puts it in front of the memory that the context manages. */
#include "ggml.c"

/* `memory` is the caller's, aligned to 16, and holds both; there is nothing to free but it. */
struct ggml_context * ggml_init_in(void * memory, size_t size) {
    const size_t own = GGML_PAD(sizeof(struct ggml_context), GGML_MEM_ALIGN);
    struct ggml_context * context = memory;
    GGML_ASSERT(size > own);
    *context = (struct ggml_context){
        .mem_size = size - own, .mem_buffer = (char *)memory + own, .no_alloc = true};
    return context;
}
