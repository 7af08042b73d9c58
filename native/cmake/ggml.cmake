# ggml, pinned by hash. In this order: LTX2_GGML_SOURCE (a path), native/third_party/ggml, else the
# source archive of the PyPI package below, which carries the whole ggml tree (MIT).
set(LTX2_GGML_PACKAGE "libggml-python==0.20.2.post1")
set(LTX2_GGML_SHA256 "e47ff53506342959ffb3ce15380b82828fea10ec5f208f9ef6915895f1a7a176")
set(LTX2_GGML_SOURCE "" CACHE PATH "A ggml 0.20.2 source tree; fetched when empty")

set(ltx2_cmake_dir "${CMAKE_CURRENT_LIST_DIR}")

function(ltx2_fetch_ggml folder)
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    set(download "${CMAKE_BINARY_DIR}/ggml-download")
    message(STATUS "Fetching ${LTX2_GGML_PACKAGE}")
    execute_process(
        COMMAND "${Python3_EXECUTABLE}" "${ltx2_cmake_dir}/fetch_sdist.py"
                "${LTX2_GGML_PACKAGE}" "${LTX2_GGML_SHA256}" "${download}"
        OUTPUT_VARIABLE archive OUTPUT_STRIP_TRAILING_WHITESPACE
        RESULT_VARIABLE failed)
    if(failed)
        message(FATAL_ERROR "ggml could not be fetched; set LTX2_GGML_SOURCE to a ggml 0.20.2 tree")
    endif()
    file(ARCHIVE_EXTRACT INPUT "${archive}" DESTINATION "${download}/tree")
    file(GLOB tree "${download}/tree/*/ggml")
    # Renamed into place last, so that a half-unpacked tree is never taken for a whole one.
    get_filename_component(parent "${folder}" DIRECTORY)
    file(MAKE_DIRECTORY "${parent}")
    file(RENAME "${tree}" "${folder}")
    file(REMOVE_RECURSE "${download}")
endfunction()

if(LTX2_GGML_SOURCE)
    set(ltx2_ggml "${LTX2_GGML_SOURCE}")
else()
    set(ltx2_ggml "${CMAKE_CURRENT_LIST_DIR}/../third_party/ggml")
    if(NOT EXISTS "${ltx2_ggml}/CMakeLists.txt")
        ltx2_fetch_ggml("${ltx2_ggml}")
    endif()
endif()

# Checkpoint names reach 74 characters; without llamafile's kernels F16 and Q8_0 lose a factor of two.
add_compile_definitions(GGML_MAX_NAME=128)
set(BUILD_SHARED_LIBS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(GGML_LLAMAFILE ON CACHE BOOL "" FORCE)
# OpenMP's threads spin when idle, and it ends the process where it cannot have one: src/graph/ggml_guard.h.
set(GGML_OPENMP OFF CACHE BOOL "" FORCE)
set(GGML_CCACHE OFF CACHE BOOL "" FORCE)
set(GGML_ALL_WARNINGS OFF CACHE BOOL "" FORCE)
set(GGML_BUILD_TESTS OFF CACHE BOOL "" FORCE)
set(GGML_BUILD_EXAMPLES OFF CACHE BOOL "" FORCE)
set(GGML_VULKAN ${LTX2_VULKAN} CACHE BOOL "" FORCE)
set(GGML_METAL ${LTX2_METAL} CACHE BOOL "" FORCE)
set(GGML_CUDA ${LTX2_CUDA} CACHE BOOL "" FORCE)
# The driver's library is not linked: where there is none, the CPU computes. It is for memory that
# several GPUs share, as is NCCL.
set(GGML_CUDA_NO_VMM ON CACHE BOOL "" FORCE)
set(GGML_CUDA_NCCL OFF CACHE BOOL "" FORCE)
set(GGML_NATIVE ${LTX2_NATIVE} CACHE BOOL "" FORCE)
if(LTX2_VULKAN)
    include(cmake/vulkan.cmake)
endif()
if(NOT LTX2_NATIVE) # ggml itself leaves them out where it is built for another machine
    foreach(set SSE42 AVX AVX2 BMI2 FMA F16C)
        set(GGML_${set} ON CACHE BOOL "" FORCE)
    endforeach()
endif()
# Its messages name source files: by paths that are the same wherever it is built.
if(NOT MSVC)
    add_compile_options("$<$<COMPILE_LANGUAGE:C,CXX>:-ffile-prefix-map=${ltx2_ggml}=ggml>")
endif()
add_subdirectory("${ltx2_ggml}" "${CMAKE_CURRENT_BINARY_DIR}/ggml" EXCLUDE_FROM_ALL)

# An exception may pass through its C code (src/base/aborts.h).
if(NOT MSVC)
    target_compile_options(ggml-base PRIVATE $<$<COMPILE_LANGUAGE:C>:-fexceptions>)
endif()

# What ggml prints past its own log takes the log's way; see the header's comment.
foreach(target ggml-base ggml-cpu ggml-vulkan)
    if(TARGET ${target})
        target_compile_options(${target} PRIVATE
            "SHELL:${ltx2_include_option} \"${ltx2_cmake_dir}/patches/ggml_prints_to_log.h\"")
    endif()
endforeach()

# Some files of it are compiled with what the files of patches/ say of them; most by way of files
# that include them, since what they add needs their inside.
function(ltx2_replace target file by)
    set_source_files_properties("${ltx2_ggml}/src/${file}"
        TARGET_DIRECTORY ${target} PROPERTIES HEADER_FILE_ONLY ON)
    target_sources(${target} PRIVATE "${ltx2_cmake_dir}/patches/${by}")
endfunction()
ltx2_replace(ggml-base ggml.c ggml_contexts.c)
ltx2_replace(ggml-cpu ggml-cpu/ggml-cpu.c ggml_threads.c)
if(LTX2_CUDA)
    ltx2_replace(ggml-cuda ggml-cuda/ggml-cuda.cu ggml_cuda.cu)
    target_sources(ggml-cuda PRIVATE "${ltx2_cmake_dir}/../src/kernels/cuda_nodes.cu")
    target_include_directories(ggml-cuda PRIVATE
        "${ltx2_cmake_dir}/../src" "${ltx2_cmake_dir}/../include")
    find_package(CUDAToolkit REQUIRED)
    target_link_libraries(ggml-cuda PRIVATE CUDA::cublasLt)
endif()
set_source_files_properties("${ltx2_ggml}/src/ggml-cpu/ggml-cpu.cpp"
    TARGET_DIRECTORY ggml-cpu PROPERTIES COMPILE_OPTIONS
    "${ltx2_include_option};${ltx2_cmake_dir}/patches/ggml_no_description.h")

# Debian's Vulkan headers are older than three names ggml uses in one file; see the header's comment.
if(LTX2_VULKAN)
    set_source_files_properties("${ltx2_ggml}/src/ggml-vulkan/ggml-vulkan.cpp"
        TARGET_DIRECTORY ggml-vulkan PROPERTIES COMPILE_OPTIONS
        "-include;${ltx2_cmake_dir}/patches/vk_layer_settings_compat.hpp")
endif()
