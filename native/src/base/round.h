// The one way to divide and round up, of numbers that are not negative.
#pragma once

#include <type_traits>

namespace ltx2 {

template <class A, class B>
constexpr std::common_type_t<A, B> divide_up(A a, B b) {
    return (a + b - 1) / b;
}
template <class A, class B>
constexpr std::common_type_t<A, B> round_up(A a, B b) {
    return divide_up(a, b) * b;
}

} // namespace ltx2
