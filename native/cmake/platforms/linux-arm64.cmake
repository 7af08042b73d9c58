set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu) # runs the tests
set(ltx2_zig_target aarch64-linux-gnu.2.28)
set(LTX2_WHEEL manylinux_2_28_aarch64)
include("${CMAKE_CURRENT_LIST_DIR}/../zig.cmake")
