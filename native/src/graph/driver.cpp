#include "graph/driver.h"

#include "base/aborts.h"

#include <string>

#if defined(GGML_USE_VULKAN)
#include <vulkan/vulkan_core.h>

#include <cstring>
#include <vector>

namespace ltx2 {

// An instance of Vulkan for as long as it is asked: ggml does not hand out its own.
class Vulkan {
public:
    Vulkan() {
        const auto create = function<PFN_vkCreateInstance>("vkCreateInstance");
        VkApplicationInfo application{};
        application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
        application.apiVersion = VK_API_VERSION_1_2;
        VkInstanceCreateInfo info{};
        info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
        info.pApplicationInfo = &application;
        if (create && create(&info, nullptr, &instance_) != VK_SUCCESS)
            instance_ = VK_NULL_HANDLE;
    }
    ~Vulkan() {
        if (const auto destroy = function<PFN_vkDestroyInstance>("vkDestroyInstance");
            destroy && instance_)
            destroy(instance_, nullptr);
    }
    Vulkan(const Vulkan &) = delete;
    Vulkan & operator=(const Vulkan &) = delete;

    // Of the first device of this name.
    std::string driver(const char * name) const {
        if (!instance_)
            return {};
        const auto list = function<PFN_vkEnumeratePhysicalDevices>("vkEnumeratePhysicalDevices");
        const auto ask =
            function<PFN_vkGetPhysicalDeviceProperties2>("vkGetPhysicalDeviceProperties2");
        if (!list || !ask) // a loader that is older than Vulkan 1.1
            return {};
        uint32_t count = 0;
        list(instance_, &count, nullptr);
        std::vector<VkPhysicalDevice> devices(count);
        list(instance_, &count, devices.data());
        devices.resize(count);
        for (VkPhysicalDevice device : devices) {
            VkPhysicalDeviceDriverProperties driver{};
            driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES;
            VkPhysicalDeviceProperties2 found{};
            found.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
            found.pNext = &driver;
            ask(device, &found);
            if (std::strcmp(found.properties.deviceName, name) == 0)
                return std::string(driver.driverName) + " " + driver.driverInfo;
        }
        return {};
    }

private:
    template <class Function>
    Function function(const char * name) const {
        return reinterpret_cast<Function>(vkGetInstanceProcAddr(instance_, name));
    }

    VkInstance instance_ = VK_NULL_HANDLE;
};

static std::string vulkan_driver(const char * name) { return Vulkan().driver(name); }

} // namespace ltx2
#else
namespace ltx2 {
static std::string vulkan_driver(const char *) { return {}; }
} // namespace ltx2
#endif

namespace ltx2 {

DeviceMemory memory_of(ggml_backend_dev_t device) {
    DeviceMemory memory;
    try {
        const AbortsThrow aborts_throw;
        ggml_backend_dev_memory(device, &memory.free, &memory.total);
    } catch (const std::exception &) {
        return {};
    }
    return memory;
}

std::string driver_of(ggml_backend_dev_t device) {
    const std::string library = ggml_backend_reg_name(ggml_backend_dev_backend_reg(device));
    return library == "Vulkan" ? vulkan_driver(ggml_backend_dev_description(device)) : "";
}

} // namespace ltx2
