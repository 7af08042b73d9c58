#include "kernels/nodes.h"

namespace ltx2 {

Tensor Nodes::input(ggml_type type, Shape ne, const void * data) {
    Tensor tensor = ggml_new_tensor(ctx(), type, 4, ne.data());
    ggml_set_input(tensor);
    inputs_.push_back({tensor, data});
    return tensor;
}

Tensor Nodes::add(const char * name, Shape ne, std::initializer_list<Tensor> from,
                  ggml_custom_op_t run, std::shared_ptr<void> plan, Tensor place, ggml_type type) {
    std::vector<Tensor> args;
    for (Tensor arg : from)
        if (arg)
            args.push_back(arg);
    const int count = static_cast<int>(args.size());
    Tensor out = place ? ggml_custom_inplace(ctx(), place, args.data(), count, run,
                                             GGML_N_TASKS_MAX, plan.get())
                       : ggml_custom_4d(ctx(), type, ne[0], ne[1], ne[2], ne[3], args.data(), count,
                                        run, GGML_N_TASKS_MAX, plan.get());
    hold(std::move(plan));
    return ggml_set_name(out, name);
}

} // namespace ltx2
