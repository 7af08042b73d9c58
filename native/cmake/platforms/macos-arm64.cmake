# Without Metal and Accelerate, whose headers only a Mac has.
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR arm64)
set(CMAKE_OSX_SYSROOT "" CACHE STRING "")
set(CMAKE_INSTALL_NAME_TOOL true) # there is no path to change
set(ltx2_zig_target aarch64-macos.13.0)
set(LTX2_WHEEL macosx_13_0_arm64)
foreach(framework LTX2_METAL GGML_BLAS GGML_ACCELERATE)
    set(${framework} OFF CACHE BOOL "")
endforeach()
include("${CMAKE_CURRENT_LIST_DIR}/../zig.cmake")
