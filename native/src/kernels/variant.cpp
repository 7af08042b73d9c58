#include "kernels/variant.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <initializer_list>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
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
// The processor's own answers. Not __builtin_cpu_supports: older compilers do not know all of the
// names, and it needs a library of the compiler's, which Microsoft's linker is not given.
namespace {
struct Cpuid {
    unsigned a = 0, b = 0, c = 0, d = 0; // zero where there is no such leaf
    explicit Cpuid(unsigned leaf, unsigned part = 0) {
        __get_cpuid_count(leaf, part, &a, &b, &c, &d);
    }
};
} // namespace

static bool has(unsigned word, std::initializer_list<int> bits) {
    return std::all_of(bits.begin(), bits.end(), [&](int bit) { return word >> bit & 1; });
}

// Whether the system keeps each thread's registers of these kinds.
static bool keeps(std::initializer_list<int> kinds) {
    if (!has(Cpuid(1).c, {27})) // the instruction that tells
        return false;
    unsigned low = 0, high = 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return has(low, kinds);
}

bool has_avx2() {
    return keeps({1, 2}) && has(Cpuid(1).c, {12, 28, 29}) && has(Cpuid(7).b, {5, 8});
}
static bool is_intel() {
    const Cpuid maker(0); // GenuineIntel
    return maker.b == 0x756e6547 && maker.d == 0x49656e69 && maker.c == 0x6c65746e;
}

// Linux keeps tiles of those threads alone whose process has asked for it.
#if defined(__linux__)
constexpr int tile_data = 18;
static bool has_amx() {
    constexpr int supported = 0x1021; // ARCH_GET_XCOMP_SUPP
    uint64_t kinds = 0;
    return has(Cpuid(7).d, {22, 24, 25}) && keeps({17, 18}) && // BF16, tiles, bytes
           syscall(SYS_arch_prctl, supported, &kinds) == 0 && kinds >> tile_data & 1;
}
static bool ask_for_tiles() {
    constexpr int ask = 0x1023; // ARCH_REQ_XCOMP_PERM
    return syscall(SYS_arch_prctl, ask, tile_data) == 0;
}
#else
static bool has_amx() { return false; }
static bool ask_for_tiles() { return false; }
#endif
bool has_avx512() { return has_avx2() && keeps({5, 6, 7}) && has(Cpuid(7).b, {16, 17, 30, 31}); }
#else
static bool is_intel() { return false; }
static bool ask_for_tiles() { return false; }
#endif
#if defined(__aarch64__)
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
    if (name == "avx2")
        return has_avx2();
    if (name == "avxvnni")
        return has_avx2() && has(Cpuid(7, 1).a, {4});
    if (name == "avx512")
        return has_avx512();
    if (name == "avx512vnni")
        return has_avx512() && has(Cpuid(7).c, {11});
    if (name == "avx512bf16")
        return has_avx512() && has(Cpuid(7).c, {11}) && has(Cpuid(7, 1).a, {5});
    if (name == "amx")
        return supported("avx512bf16") && has_amx();
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

static auto is_named(const char * name) {
    return [name](const Variant * v) { return !std::strcmp(v->name, name); };
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
    // Intel's processors multiply BF16 pairs half as fast as F32, unless in tiles.
    const auto at = std::find_if(list.begin(), list.end(), is_named("avx512bf16"));
    if (is_intel() && at != list.end())
        std::rotate(std::find_if(list.begin(), at, is_named("avx512vnni")), at, at + 1);
    return list;
}

static std::atomic<const Variant *> chosen{nullptr};

bool choose_variant(const char * name) {
    std::vector<const Variant *> all = variants();
    if (name && *name) {
        const auto at = std::find_if(all.begin(), all.end(), is_named(name));
        if (at == all.end())
            return false;
        all = {*at};
    }
    if (is_named("amx")(all.back()) && !chosen && !ask_for_tiles())
        all.pop_back();
    if (all.empty())
        return false;
    const Variant * none = nullptr;
    chosen.compare_exchange_strong(none, all.back());
    return true;
}

const Variant & variant() { return *chosen.load(std::memory_order_relaxed); }

} // namespace ltx2::kernels
