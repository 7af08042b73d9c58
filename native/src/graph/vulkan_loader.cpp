// The four functions of Vulkan's loader that ggml is linked with, by way of the loader that this
// machine has, if it has one. Every other function ggml asks vkGetInstanceProcAddr for.
#include <vulkan/vulkan_core.h>

#include <cstring>

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace {

#if defined(_WIN32)
void * loader() { return LoadLibraryExA("vulkan-1.dll", nullptr, LOAD_LIBRARY_SEARCH_SYSTEM32); }
void * symbol(void * library, const char * name) {
    return reinterpret_cast<void *>(GetProcAddress(static_cast<HMODULE>(library), name));
}
#else
void * loader() {
#if defined(__APPLE__)
    constexpr const char * names[] = {"libvulkan.1.dylib", "libMoltenVK.dylib"};
#else
    constexpr const char * names[] = {"libvulkan.so.1", "libvulkan.so"};
#endif
    for (const char * name : names)
        if (void * library = dlopen(name, RTLD_NOW | RTLD_LOCAL))
            return library;
    return nullptr;
}
void * symbol(void * library, const char * name) { return dlsym(library, name); }
#endif

// Of the loader, or null. It stays loaded: drivers do not bear to be loaded again.
template <class Function>
Function function(const char * name) {
    static void * const library = loader();
    return library ? reinterpret_cast<Function>(symbol(library, name)) : nullptr;
}

VKAPI_ATTR VkResult VKAPI_CALL no_version(uint32_t *) { return VK_ERROR_INITIALIZATION_FAILED; }

} // namespace

extern "C" {

// Without a loader, or with one of Vulkan 1.0, it knows one function: vulkan.hpp calls that first
// and throws what it answers, and ggml then has no Vulkan device.
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetInstanceProcAddr(VkInstance instance,
                                                               const char * name) {
    static const auto real = function<PFN_vkGetInstanceProcAddr>("vkGetInstanceProcAddr");
    const PFN_vkVoidFunction found = real ? real(instance, name) : nullptr;
    const bool first = std::strcmp(name, "vkEnumerateInstanceVersion") == 0;
    return found || !first ? found : reinterpret_cast<PFN_vkVoidFunction>(no_version);
}

// These are called of devices only, so there is a loader.

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetDeviceProcAddr(VkDevice device, const char * name) {
    static const auto real = function<PFN_vkGetDeviceProcAddr>("vkGetDeviceProcAddr");
    return real(device, name);
}

VKAPI_ATTR void VKAPI_CALL vkGetPhysicalDeviceFeatures2(VkPhysicalDevice device,
                                                        VkPhysicalDeviceFeatures2 * features) {
    static const auto real =
        function<PFN_vkGetPhysicalDeviceFeatures2>("vkGetPhysicalDeviceFeatures2");
    real(device, features);
}

VKAPI_ATTR void VKAPI_CALL vkCmdCopyBuffer(VkCommandBuffer commands, VkBuffer from, VkBuffer to,
                                           uint32_t count, const VkBufferCopy * regions) {
    static const auto real = function<PFN_vkCmdCopyBuffer>("vkCmdCopyBuffer");
    real(commands, from, to, count, regions);
}

} // extern "C"
