# Builds with zig's clang, which has the headers and libraries of every system inside, and the C++
# library that it links statically. The files of platforms/ say for which system, and include this.
find_program(LTX2_ZIG zig REQUIRED)
set(CMAKE_C_COMPILER "${LTX2_ZIG}" cc -target ${ltx2_zig_target})
set(CMAKE_CXX_COMPILER "${LTX2_ZIG}" c++ -target ${ltx2_zig_target})
foreach(tool ar ranlib rc) # CMake calls them without arguments of ours before its own
    set(program "${CMAKE_BINARY_DIR}/zig-${tool}")
    file(WRITE "${program}" "#!/bin/sh\nexec \"${LTX2_ZIG}\" ${tool} \"$@\"\n")
    file(CHMOD "${program}" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
    string(TOUPPER ${tool} tool_name)
    set(CMAKE_${tool_name} "${program}" CACHE FILEPATH "")
endforeach()
set(CMAKE_RC_COMPILER "${CMAKE_RC}")
# Nothing of this machine's own headers and libraries.
set(CMAKE_FIND_ROOT_PATH "${CMAKE_BINARY_DIR}/none")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
if(NOT CMAKE_SYSTEM_NAME STREQUAL Windows) # where zig 0.17 never ends with it
    set(CMAKE_SHARED_LINKER_FLAGS_INIT -s)
endif()

# Whose code is linked in: zig's own, and of what it brings.
get_filename_component(ltx2_zig_folder "${LTX2_ZIG}" REALPATH)
get_filename_component(ltx2_zig_folder "${ltx2_zig_folder}" DIRECTORY)
set(LTX2_RUNTIME_LICENSES "${ltx2_zig_folder}/LICENSE")
foreach(part libcxx libcxxabi libunwind)
    list(APPEND LTX2_RUNTIME_LICENSES "${ltx2_zig_folder}/lib/${part}/LICENSE.TXT")
endforeach()
if(CMAKE_SYSTEM_NAME STREQUAL Windows)
    list(APPEND LTX2_RUNTIME_LICENSES "${ltx2_zig_folder}/lib/libc/mingw/COPYING")
endif()
