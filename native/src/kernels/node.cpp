#include "kernels/node.h"

#include <vector>

namespace ltx2::kernels {

static std::vector<ggml_tensor *> present(std::initializer_list<ggml_tensor *> all) {
    std::vector<ggml_tensor *> found;
    for (ggml_tensor * each : all)
        if (each)
            found.push_back(each);
    return found;
}

ggml_tensor * custom(ggml_context * ctx, const char * name, ggml_type type, Shape ne,
                     std::initializer_list<ggml_tensor *> from, ggml_custom_op_t function,
                     void * plan) {
    std::vector<ggml_tensor *> args = present(from);
    ggml_tensor * out =
        ggml_custom_4d(ctx, type, ne[0], ne[1], ne[2], ne[3], args.data(),
                       static_cast<int>(args.size()), function, GGML_N_TASKS_MAX, plan);
    return ggml_set_name(out, name);
}

ggml_tensor * custom_inplace(ggml_context * ctx, const char * name, ggml_tensor * out,
                             std::initializer_list<ggml_tensor *> from, ggml_custom_op_t function,
                             void * plan) {
    std::vector<ggml_tensor *> args = present(from);
    out = ggml_custom_inplace(ctx, out, args.data(), static_cast<int>(args.size()), function,
                              GGML_N_TASKS_MAX, plan);
    return ggml_set_name(out, name);
}

} // namespace ltx2::kernels
