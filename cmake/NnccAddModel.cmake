# nncc_add_model(target model.nn [STATIC] [SET name=value …] [OPTIONS --target=x86-64-v3 …])
#
# Compiles the program when it, a file it imports, or the compiler changes.
# Without STATIC: a library to be opened with nn::Library::open. Its path is the target's property NNCC_MODEL_FILE:
#   nncc_add_model(digits digits.nn SET batch=1)
#   add_dependencies(app digits)
#   target_link_libraries(app PRIVATE nn::headers)
#   target_compile_definitions(app PRIVATE DIGITS="$<TARGET_PROPERTY:digits,NNCC_MODEL_FILE>")
# With STATIC: a static library to be linked, and a header, <target>.h, with one typed function for each entry:
#   nncc_add_model(digits digits.nn STATIC)
#   target_link_libraries(app PRIVATE digits)
function(nncc_add_model target program)
  cmake_parse_arguments(ARG "STATIC" "" "SET;OPTIONS" ${ARGN})
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "nncc_add_model: unexpected arguments: ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  get_filename_component(program "${program}" ABSOLUTE)
  set(options ${ARG_OPTIONS})
  foreach(assignment IN LISTS ARG_SET)
    list(APPEND options --set ${assignment})
  endforeach()
  string(MAKE_C_IDENTIFIER ${target} name)

  function(nncc_compile output)
    add_custom_command(
      OUTPUT ${output}
      COMMAND nncc::nncc ${program} -o ${output} --name=${name} --depfile=${output}.d ${options}
      DEPENDS ${program} nncc::nncc
      DEPFILE ${output}.d
      COMMENT "Compiling ${program} to ${output}"
      VERBATIM)
  endfunction()

  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${target}.model)
  file(MAKE_DIRECTORY ${folder})
  if(ARG_STATIC)
    nncc_compile(${folder}/lib${target}.a)
    nncc_compile(${folder}/${target}.h)
    add_custom_target(${target}_model DEPENDS ${folder}/lib${target}.a ${folder}/${target}.h)
    find_package(Threads REQUIRED)
    add_library(${target} INTERFACE)
    add_dependencies(${target} ${target}_model)
    target_include_directories(${target} INTERFACE ${folder})
    target_link_libraries(${target} INTERFACE ${folder}/lib${target}.a nn::headers Threads::Threads m)
  else()
    nncc_compile(${folder}/${target}.so)
    add_custom_target(${target} ALL DEPENDS ${folder}/${target}.so)
    set_target_properties(${target} PROPERTIES NNCC_MODEL_FILE ${folder}/${target}.so)
  endif()
endfunction()
