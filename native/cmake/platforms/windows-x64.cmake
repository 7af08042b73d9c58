set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR AMD64)
set(CMAKE_CROSSCOMPILING_EMULATOR wine) # runs the tests
set(ltx2_zig_target x86_64-windows-gnu)
set(LTX2_WHEEL win_amd64)
include("${CMAKE_CURRENT_LIST_DIR}/../zig.cmake")
