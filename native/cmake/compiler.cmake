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
