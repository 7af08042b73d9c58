/* A Vulkan loader that fails on request, in front of the real one, for tests/test_gpu.py:
   LTX2_VULKAN_REAL is the real loader's path, LTX2_VULKAN_FAULT what fails:
       submit=N      the Nth submission, and all after it: the device is lost
       allocate=N    the Nth allocation of device memory, and no other
   When the process ends, it appends one line with how many there were of each to the file
   LTX2_VULKAN_COUNTS. */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan_core.h>

static void * real_symbol(const char * name) {
    static void * library;
    if (!library)
        library = dlopen(getenv("LTX2_VULKAN_REAL"), RTLD_NOW | RTLD_LOCAL);
    return library ? dlsym(library, name) : NULL;
}

static long fault_at(const char * kind) {
    const char * fault = getenv("LTX2_VULKAN_FAULT");
    const size_t length = strlen(kind);
    if (!fault || strncmp(fault, kind, length) != 0 || fault[length] != '=')
        return 0;
    return atol(fault + length + 1);
}

static atomic_long submits, allocations;

__attribute__((destructor)) static void tell(void) {
    const char * path = getenv("LTX2_VULKAN_COUNTS");
    FILE * file = path ? fopen(path, "a") : NULL;
    if (!file)
        return;
    fprintf(file, "%ld %ld\n", atomic_load(&submits), atomic_load(&allocations));
    fclose(file);
}

static PFN_vkQueueSubmit real_submit;
static PFN_vkAllocateMemory real_allocate;

static VKAPI_ATTR VkResult VKAPI_CALL submit(VkQueue queue, uint32_t count,
                                             const VkSubmitInfo * infos, VkFence fence) {
    const long now = atomic_fetch_add(&submits, 1) + 1, at = fault_at("submit");
    if (at && now >= at) {
        /* On a device that is lost nothing runs any more, and what it used may be freed. */
        const PFN_vkQueueWaitIdle wait = (PFN_vkQueueWaitIdle)real_symbol("vkQueueWaitIdle");
        if (wait)
            wait(queue);
        return VK_ERROR_DEVICE_LOST;
    }
    return real_submit(queue, count, infos, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate(VkDevice device, const VkMemoryAllocateInfo * info,
                                               const VkAllocationCallbacks * callbacks,
                                               VkDeviceMemory * out) {
    if (atomic_fetch_add(&allocations, 1) + 1 == fault_at("allocate"))
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    return real_allocate(device, info, callbacks, out);
}

/* Ours in place of the two that fail. */
static PFN_vkVoidFunction ours(const char * name, PFN_vkVoidFunction found) {
    if (found && strcmp(name, "vkQueueSubmit") == 0) {
        real_submit = (PFN_vkQueueSubmit)found;
        return (PFN_vkVoidFunction)submit;
    }
    if (found && strcmp(name, "vkAllocateMemory") == 0) {
        real_allocate = (PFN_vkAllocateMemory)found;
        return (PFN_vkVoidFunction)allocate;
    }
    return found;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetInstanceProcAddr(VkInstance instance,
                                                               const char * name) {
    const PFN_vkGetInstanceProcAddr get =
        (PFN_vkGetInstanceProcAddr)real_symbol("vkGetInstanceProcAddr");
    return get ? ours(name, get(instance, name)) : NULL;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetDeviceProcAddr(VkDevice device, const char * name) {
    const PFN_vkGetDeviceProcAddr get = (PFN_vkGetDeviceProcAddr)real_symbol("vkGetDeviceProcAddr");
    return get ? ours(name, get(device, name)) : NULL;
}

VKAPI_ATTR void VKAPI_CALL vkGetPhysicalDeviceFeatures2(VkPhysicalDevice device,
                                                        VkPhysicalDeviceFeatures2 * features) {
    ((PFN_vkGetPhysicalDeviceFeatures2)real_symbol("vkGetPhysicalDeviceFeatures2"))(device,
                                                                                    features);
}

VKAPI_ATTR void VKAPI_CALL vkCmdCopyBuffer(VkCommandBuffer commands, VkBuffer from, VkBuffer to,
                                           uint32_t count, const VkBufferCopy * regions) {
    ((PFN_vkCmdCopyBuffer)real_symbol("vkCmdCopyBuffer"))(commands, from, to, count, regions);
}
