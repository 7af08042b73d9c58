// The nodes of a graph under construction, as operations see it, and where the values of a tensor
// lie when one of our own nodes runs.
#pragma once

#include "kernels/calls.h"
#include "kernels/scratch.h"

#include <map>
#include <vector>

namespace ltx2 {

class Nodes {
public:
    // `exact`: all arithmetic is F32, for comparing implementations; nothing is rounded in between.
    Nodes(Workers workers, bool exact) : workers_(workers), exact_(exact) {}
    virtual ~Nodes() = default;

    // With room for one operation more, however many there are already; asked for each anew.
    virtual ggml_context * ctx() = 0;
    Workers workers() const { return workers_; }
    bool exact() const { return exact_; }

    // `data` must stay until the graph runs and is copied then.
    Tensor input(ggml_type type, Shape ne, const void * data);
    // What must live as long as the graph.
    void hold(std::shared_ptr<void> thing) { held_.push_back(std::move(thing)); }
    // x in another form (by a number), shared by all operations that need it. Null at first: the
    // first that needs it makes it and stores it here.
    Tensor & form_of(Tensor x, int form) { return forms_[{x, form}]; }

    // A node that Run(plan, out, thread, threads) computes; it reads those of `from` that are not
    // null. With `place` it writes there, else into memory of its own.
    template <auto Run, class Plan>
    Tensor node(const char * name, Shape ne, std::initializer_list<Tensor> from,
                std::shared_ptr<Plan> plan, Tensor place = nullptr,
                ggml_type type = GGML_TYPE_F32) {
        const auto run = [](Tensor out, int thread, int threads, void * data) {
            Run(*static_cast<Plan *>(data), out, thread, threads);
        };
        return add(name, ne, from, run, std::move(plan), place, type);
    }
    // The same with a function of ggml's kind.
    Tensor add(const char * name, Shape ne, std::initializer_list<Tensor> from,
               ggml_custom_op_t run, std::shared_ptr<void> plan, Tensor place, ggml_type type);

protected:
    struct Input {
        Tensor tensor;
        const void * from;
    };
    std::vector<Input> inputs_;

private:
    Workers workers_;
    bool exact_;
    std::vector<std::shared_ptr<void>> held_;
    std::map<std::pair<Tensor, int>, Tensor> forms_;
};

namespace kernels {

// Where index `i` of an axis begins.
inline uint8_t * at(const ggml_tensor * t, int axis, int64_t i) {
    return static_cast<uint8_t *>(t->data) + static_cast<size_t>(i) * t->nb[axis];
}
inline float * floats(const ggml_tensor * t) { return static_cast<float *>(t->data); }
inline float * row_of(const ggml_tensor * t, int64_t row) {
    return reinterpret_cast<float *>(at(t, 1, row));
}
// Frame `t` of the row of frames that `past` (or null) and `x` are.
inline const float * frame_of(const ggml_tensor * past, const ggml_tensor * x, int64_t t) {
    const int64_t before = past ? past->ne[3] : 0;
    return reinterpret_cast<const float *>(t < before ? at(past, 3, t) : at(x, 3, t - before));
}

} // namespace kernels
} // namespace ltx2
