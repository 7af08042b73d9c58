#include "kernels/variant.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace ltx2::kernels {

#define LTX2_VARIANT_ENTRY(name)                                                                   \
    namespace name {                                                                               \
    extern const Variant table;                                                                    \
    }
#include "kernel_variants.inc"
#undef LTX2_VARIANT_ENTRY

#if defined(__x86_64__)
// What older compilers' __builtin_cpu_supports does not know: F16C; AVX-VNNI (bit 4) and AVX-512
// BF16 (bit 5).
static bool has_f16c() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 29));
}
static bool has_in_leaf_7_1(unsigned bit) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << bit));
}
#elif defined(__aarch64__)
static bool arm_has(const char * feature, int word, unsigned long bit) {
#if defined(__linux__)
    (void)feature;
    return getauxval(word == 1 ? AT_HWCAP : AT_HWCAP2) & bit;
#elif defined(__APPLE__)
    (void)word, (void)bit;
    int present = 0;
    size_t size = sizeof present;
    return sysctlbyname(feature, &present, &size, nullptr, 0) == 0 && present;
#else
    (void)feature, (void)word, (void)bit;
    return false;
#endif
}
#endif

static bool supported(const std::string & name) {
    if (name == "portable")
        return true;
#if defined(__x86_64__)
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl");
    if (name == "avx2")
        return avx2;
    if (name == "avxvnni")
        return avx2 && has_in_leaf_7_1(4);
    if (name == "avx512")
        return avx512;
    if (name == "avx512vnni")
        return avx512 && __builtin_cpu_supports("avx512vnni");
    if (name == "avx512bf16")
        return avx512 && __builtin_cpu_supports("avx512vnni") && has_in_leaf_7_1(5);
#elif defined(__aarch64__)
    const bool dotprod = arm_has("hw.optional.arm.FEAT_DotProd", 1, 1ul << 20) &&
                         arm_has("hw.optional.arm.FEAT_FP16", 1, 1ul << 10);
    if (name == "dotprod")
        return dotprod;
    if (name == "i8mm")
        return dotprod && arm_has("hw.optional.arm.FEAT_I8MM", 2, 1ul << 13) &&
               arm_has("hw.optional.arm.FEAT_BF16", 2, 1ul << 14);
#endif
    return false;
}

std::vector<const Variant *> variants() {
    std::vector<const Variant *> list;
    for (const Variant * compiled : {
#define LTX2_VARIANT_ENTRY(name) &name::table,
#include "kernel_variants.inc"
#undef LTX2_VARIANT_ENTRY
         })
        if (supported(compiled->name))
            list.push_back(compiled);
    return list;
}

static std::atomic<const Variant *> chosen{nullptr};

bool choose_variant(const char * name) {
    const std::vector<const Variant *> all = variants();
    const bool named = name && *name;
    const auto found = named ? std::find_if(all.begin(), all.end(),
                                            [&](auto * v) { return !std::strcmp(v->name, name); })
                             : all.end() - 1;
    if (found == all.end())
        return false;
    const Variant * none = nullptr;
    chosen.compare_exchange_strong(none, *found);
    return true;
}

const Variant & variant() { return *chosen.load(std::memory_order_relaxed); }

} // namespace ltx2::kernels
