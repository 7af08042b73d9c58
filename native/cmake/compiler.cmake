# What differs between the compilers: GCC, Clang (Apple's and zig's too), and Clang in the place of
# Microsoft's compiler, whose command line it then has.
include(CheckLinkerFlag)

if(MSVC AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "Microsoft's compiler lacks the vector types that the kernels are written "
        "in; build with clang-cl (-T ClangCL), or link your program with a built ltx2.dll by "
        "ltx2.lib")
endif()
if(MSVC)
    set(ltx2_as_clang "/clang:") # before an option of Clang's own
    set(ltx2_warnings /W4 /WX)
    set(ltx2_include_option /FI)
else()
    set(ltx2_as_clang "")
    set(ltx2_warnings -Wall -Wextra -Werror)
    set(ltx2_include_option -include)
endif()
if(MINGW AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU") # it takes our printf for Windows' old one
    list(APPEND ltx2_warnings -Wno-format)
endif()

# zig has an unwinder of its own. An exception that a caller's function throws is raised by the
# process's, libgcc_s, and two cannot unwind one stack: that one is used, which every Linux has.
if(LTX2_WHEEL MATCHES linux)
    set(ltx2_unwinder "${CMAKE_BINARY_DIR}/libgcc_s.so")
    separate_arguments(arguments UNIX_COMMAND "${CMAKE_C_COMPILER_ARG1}")
    execute_process(COMMAND "${CMAKE_C_COMPILER}" ${arguments} -w -shared -nostdlib
        -Wl,-soname,libgcc_s.so.1 "${CMAKE_CURRENT_LIST_DIR}/gcc_s.c" -o "${ltx2_unwinder}"
        COMMAND_ERROR_IS_FATAL ANY)
    add_link_options("${ltx2_unwinder}")
endif()
