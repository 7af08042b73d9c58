// Loops whose indices the compiler knows: what it does not unroll by itself leaves the registers.
// Only files under variants/ include this, as simd.h.
#pragma once

#include <utility>

// Before the loop over the steps of a product: worth a tenth. Not on aarch64, where compilers then
// leave the registers.
#if defined(__x86_64__)
#define LTX2_UNROLL_STEPS _Pragma("GCC unroll 8")
#else
#define LTX2_UNROLL_STEPS
#endif

namespace ltx2::kernels::LTX2_VARIANT {

template <class F, int... I>
static inline __attribute__((always_inline)) void each(F f, std::integer_sequence<int, I...>) {
    (f(std::integral_constant<int, I>()), ...);
}
// f(0), ..., f(N - 1)
template <int N, class F>
static inline __attribute__((always_inline)) void each(F f) {
    each(f, std::make_integer_sequence<int, N>());
}

template <class F, int N>
static void call_with(const F & f) {
    f(std::integral_constant<int, N>());
}
template <class F, int... I>
static inline void with_count(int n, const F & f, std::integer_sequence<int, I...>) {
    static constexpr void (*calls[])(const F &) = {call_with<F, I + 1>...};
    calls[n - 1](f);
}
// f(n), n from 1 to Most
template <int Most, class F>
static inline void with_count(int n, const F & f) {
    with_count(n, f, std::make_integer_sequence<int, Most>());
}

} // namespace ltx2::kernels::LTX2_VARIANT
