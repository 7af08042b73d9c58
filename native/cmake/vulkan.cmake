# What ggml's Vulkan backend is built with: headers, glslc, and, in place of Vulkan's loader, a file
# that looks for the loader when the first device is asked for. So one library serves machines with
# and without Vulkan.
set(LTX2_VULKAN_TOOLS "" CACHE PATH
    "Where scripts/vulkan_tools put glslc and headers; the system's when empty")
if(LTX2_VULKAN_TOOLS)
    set(Vulkan_GLSLC_EXECUTABLE "${LTX2_VULKAN_TOOLS}/bin/glslc" CACHE FILEPATH "" FORCE)
    set(Vulkan_INCLUDE_DIR "${LTX2_VULKAN_TOOLS}/include" CACHE PATH "" FORCE)
    set(SPIRV-Headers_DIR "${LTX2_VULKAN_TOOLS}/trixie/usr/share/cmake/SPIRV-Headers" CACHE PATH
        "" FORCE)
endif()
find_path(Vulkan_INCLUDE_DIR vulkan/vulkan.h REQUIRED)

# find_package(Vulkan), which ggml calls, takes a target that is there.
set(Vulkan_LIBRARY "${CMAKE_CURRENT_LIST_DIR}/../src/graph/vulkan_loader.cpp" CACHE FILEPATH "" FORCE)
add_library(Vulkan::Vulkan INTERFACE IMPORTED GLOBAL)
target_include_directories(Vulkan::Vulkan INTERFACE "${Vulkan_INCLUDE_DIR}")
target_sources(Vulkan::Vulkan INTERFACE "${Vulkan_LIBRARY}")
target_link_libraries(Vulkan::Vulkan INTERFACE ${CMAKE_DL_LIBS})
