# LLVM 14 and Halide 14 of Debian 12. One shared libLLVM serves both, which is what lets codegen/ link Halide's modules with its own.
find_package(LLVM 14 REQUIRED CONFIG HINTS /usr/lib/llvm-14/lib/cmake/llvm)
add_library(nncc_llvm INTERFACE)
target_include_directories(nncc_llvm SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS})
separate_arguments(LLVM_DEFINITIONS_LIST NATIVE_COMMAND ${LLVM_DEFINITIONS})
target_compile_options(nncc_llvm INTERFACE ${LLVM_DEFINITIONS_LIST})
target_link_libraries(nncc_llvm INTERFACE LLVM)

find_path(HALIDE_INCLUDE_DIR Halide.h PATH_SUFFIXES halide14 REQUIRED)
find_library(HALIDE_LIBRARY NAMES Halide14 Halide REQUIRED)
add_library(nncc_halide INTERFACE)
target_include_directories(nncc_halide SYSTEM INTERFACE ${HALIDE_INCLUDE_DIR})
target_link_libraries(nncc_halide INTERFACE ${HALIDE_LIBRARY})

find_package(ZLIB REQUIRED)
find_library(LLD_ELF lldELF PATHS ${LLVM_LIBRARY_DIR} REQUIRED)
find_library(LLD_COMMON lldCommon PATHS ${LLVM_LIBRARY_DIR} REQUIRED)
add_library(nncc_lld INTERFACE)
target_link_libraries(nncc_lld INTERFACE ${LLD_ELF} ${LLD_COMMON} nncc_llvm ZLIB::ZLIB)

find_package(Boost 1.74 REQUIRED)
find_package(Threads REQUIRED)
