# Flags for our own code. Headers of other projects are included as system headers and not held to them.
add_library(nncc_flags INTERFACE)
target_compile_options(nncc_flags INTERFACE -Wall -Wextra -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 sees overlaps in `"literal" + std::string` that aren't there (GCC bug 105651).
  target_compile_options(nncc_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
endif()
if(NNCC_SANITIZE)
  target_compile_options(nncc_flags INTERFACE -fsanitize=${NNCC_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(nncc_flags INTERFACE -fsanitize=${NNCC_SANITIZE})
endif()

# nncc_library(name SOURCES … DEPENDS …): one folder of the compiler as a static library.
# Headers are included from the root of the tree: #include "ir/graph.h".
function(nncc_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_DEPENDS} PRIVATE nncc_flags)
endfunction()
