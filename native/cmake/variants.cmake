# The inner kernels are compiled once for every instruction set that this compiler knows, each time
# in a namespace of its own; src/kernels/variant.cpp chooses among them at run time.
include(CheckCXXCompilerFlag)

set(ltx2_variant_sources
    src/kernels/variants/attention.cpp
    src/kernels/variants/conv3d_tile.cpp
    src/kernels/variants/gemm.cpp
    src/kernels/variants/gemm_amx.cpp
    src/kernels/variants/gemm_amx_int8.cpp
    src/kernels/variants/gemm_coded.cpp
    src/kernels/variants/gemm_decode.cpp
    src/kernels/variants/gemm_int8.cpp
    src/kernels/variants/gemm_int8_neon.cpp
    src/kernels/variants/gemm_int8_x86.cpp
    src/kernels/variants/gemm_unpack.cpp
    src/kernels/variants/quantise.cpp
    src/kernels/variants/rows.cpp
    src/kernels/variants/snake.cpp
    src/kernels/variants/table.cpp
    src/kernels/variants/window.cpp
    src/kernels/variants/winograd.cpp
    src/kernels/variants/winograd_1d.cpp)

set(ltx2_variants portable)
set(ltx2_variant_flags_portable "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
    set(avx2 "-mavx2 -mfma -mf16c")
    set(avx512 "${avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl")
    set(spellings_avx2 "${avx2}")
    set(spellings_avxvnni "${avx2} -mavxvnni")
    set(spellings_avx512 "${avx512}")
    set(spellings_avx512vnni "${avx512} -mavx512vnni")
    set(spellings_avx512bf16 "${avx512} -mavx512vnni -mavx512bf16")
    set(spellings_amx "${avx512} -mavx512vnni -mavx512bf16 -mamx-tile -mamx-bf16 -mamx-int8")
    set(candidates avx2 avxvnni avx512 avx512vnni avx512bf16 amx)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64|ARM64") # the second spellings are zig's
    set(spellings_dotprod "-march=armv8.2-a+dotprod+fp16" "-mcpu=generic+v8_2a+dotprod+fullfp16")
    set(spellings_i8mm "-march=armv8.2-a+dotprod+fp16+i8mm+bf16"
        "-mcpu=generic+v8_2a+dotprod+fullfp16+i8mm+bf16")
    set(candidates dotprod i8mm)
endif()
foreach(variant ${candidates})
    foreach(flags ${spellings_${variant}})
        string(MAKE_C_IDENTIFIER "ltx2_compiles${flags}" compiles)
        check_cxx_compiler_flag("${flags}" ${compiles})
        if(${compiles})
            separate_arguments(ltx2_variant_flags_${variant} UNIX_COMMAND "${flags}")
            list(APPEND ltx2_variants ${variant})
            break()
        endif()
    endforeach()
    if(NOT variant IN_LIST ltx2_variants)
        set(lacking "This compiler lacks what the kernels' ${variant} variant needs")
        if(LTX2_ALL_VARIANTS)
            message(FATAL_ERROR "${lacking}, and LTX2_ALL_VARIANTS wants it")
        endif()
        message(STATUS "${lacking}: it is left out")
    endif()
endforeach()

# Its values are ggml's only if no multiply-add is fused.
set_source_files_properties(src/kernels/variants/quantise.cpp
    PROPERTIES COMPILE_OPTIONS "${ltx2_as_clang}-ffp-contract=off")

set(ltx2_variant_optimisation -O3)
if(LTX2_SANITIZE) # at -O3 the sanitizers' checks take minutes a file to compile
    set(ltx2_variant_optimisation -O1)
endif()
set(ltx2_variant_list "")
foreach(variant ${ltx2_variants})
    add_library(ltx2_kernels_${variant} OBJECT ${ltx2_variant_sources})
    target_compile_definitions(ltx2_kernels_${variant} PRIVATE LTX2_VARIANT=${variant}
        LTX2_VARIANT_NAME="${variant}")
    # Multiply-adds may be fused: where the instruction set has them, that is the faster and the
    # more exact way. No branch depends on a value that may not be finite.
    target_compile_options(ltx2_kernels_${variant} PRIVATE
        ${ltx2_as_clang}${ltx2_variant_optimisation} ${ltx2_as_clang}-ffp-contract=fast
        ${ltx2_as_clang}-fno-math-errno ${ltx2_as_clang}-fno-trapping-math
        ${ltx2_warnings} ${ltx2_variant_flags_${variant}})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU") # what it says of its own avx512fintrin.h
        target_compile_options(ltx2_kernels_${variant} PRIVATE -Wno-uninitialized
            -Wno-maybe-uninitialized)
    endif()
    target_include_directories(ltx2_kernels_${variant} PRIVATE src
        $<TARGET_PROPERTY:ggml,INTERFACE_INCLUDE_DIRECTORIES>)
    set_target_properties(ltx2_kernels_${variant} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    string(APPEND ltx2_variant_list "LTX2_VARIANT_ENTRY(${variant}) ")
endforeach()
file(CONFIGURE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/generated/kernel_variants.inc"
    CONTENT "@ltx2_variant_list@\n")
