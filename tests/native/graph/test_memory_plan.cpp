// Where values lie: apart while both are in use, together where they can.
#include "graph/memory_plan.h"

#include "check.h"
#include "graph/ggml_guard.h"

using namespace ltx2;

namespace {

constexpr size_t line = 64;

// x -> a -> b -> ... of `count` operations, each of 100 floats; the last is the output.
struct Chain {
    ContextPtr context = make_context(128);
    ggml_cgraph * graph = ggml_new_graph_custom(context.get(), 64, false);
    Tensor input = ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, 100);
    Tensor last = input;

    void grow(int count) {
        for (int i = 0; i < count; ++i)
            last = ggml_sqr(context.get(), last);
    }
    MemoryPlan plan() {
        ggml_set_output(last);
        ggml_build_forward_expand(graph, last);
        return MemoryPlan(graph, line);
    }
};

const MemoryPlan::Place * place_of(const MemoryPlan & plan, Tensor tensor) {
    for (const MemoryPlan::Place & place : plan.places)
        if (place.tensor == tensor)
            return &place;
    return nullptr;
}

bool none_meet(const MemoryPlan & plan) {
    for (const MemoryPlan::Place & a : plan.places)
        for (const MemoryPlan::Place & b : plan.places) {
            const bool together = a.first <= b.last && b.first <= a.last;
            const bool same = a.offset < b.offset + b.size && b.offset < a.offset + a.size;
            if (&a != &b && together && same)
                return false;
        }
    return true;
}

TEST(a_chain_takes_the_memory_of_two_values) {
    Chain chain;
    chain.grow(10);
    const MemoryPlan plan = chain.plan();
    CHECK(plan.places.size() == 11);
    CHECK(plan.size == 2 * 448); // 400 bytes, in whole lines
    CHECK(none_meet(plan));
}

TEST(a_value_that_is_read_late_is_kept) {
    Chain chain;
    chain.grow(5);
    chain.last = ggml_add(chain.context.get(), chain.last, chain.input);
    const MemoryPlan plan = chain.plan();
    CHECK(plan.size == 3 * 448);
    CHECK(none_meet(plan));
}

TEST(an_output_is_kept_to_the_end) {
    Chain chain;
    chain.grow(1);
    ggml_set_output(chain.last);
    chain.grow(5);
    CHECK(chain.plan().size == 3 * 448);
}

TEST(a_view_keeps_what_it_views_and_has_no_place) {
    Chain chain;
    chain.grow(1);
    const Tensor viewed = chain.last;
    const Tensor view = ggml_view_1d(chain.context.get(), viewed, 50, 200);
    chain.grow(4);
    const Tensor half = ggml_view_1d(chain.context.get(), chain.last, 50, 0);
    chain.last = ggml_add(chain.context.get(), half, view);
    const MemoryPlan plan = chain.plan();
    CHECK(!place_of(plan, view) && !place_of(plan, half));
    CHECK(place_of(plan, viewed)->last == ggml_graph_n_nodes(chain.graph) - 1);
    CHECK(none_meet(plan));
}

TEST(what_a_norm_reads_is_kept_for_the_product_after_it) {
    Chain chain;
    chain.grow(1);
    const Tensor read = chain.last;
    const Tensor norm = ggml_rms_norm(chain.context.get(), read, 1e-6f);
    chain.last = ggml_mul(chain.context.get(), norm, chain.input);
    const MemoryPlan plan = chain.plan();
    CHECK(place_of(plan, read)->last == ggml_graph_n_nodes(chain.graph) - 1);
    CHECK(none_meet(plan));
}

TEST(what_has_memory_gets_none) {
    Chain chain;
    float values[100];
    chain.input->data = values;
    chain.grow(2);
    const MemoryPlan plan = chain.plan();
    CHECK(plan.places.size() == 2);
    CHECK(!place_of(plan, chain.input));
}

TEST(any_graph_is_planned_without_a_collision) {
    for (int round = 0; round < 50; ++round) {
        Chain chain;
        std::vector<Tensor> all = {chain.input};
        for (int i = 0; i < 40; ++i) {
            const auto one = [&] { return all[static_cast<size_t>(any(0, int(all.size()) - 1))]; };
            const Tensor a = one(), b = ggml_new_tensor_1d(chain.context.get(), GGML_TYPE_F32, 1);
            all.push_back(i % 3 ? ggml_concat(chain.context.get(), a, b, 0)
                                : ggml_view_1d(chain.context.get(), a, 1, 0));
        }
        chain.last = all.back();
        CHECK(none_meet(chain.plan()));
    }
}

} // namespace

int main(int argc, char ** argv) { return run_tests(argc, argv); }
