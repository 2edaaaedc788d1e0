# The tools, the headers of compiled models, and a package for find_package(nncc).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/nncc)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/nnccConfig.cmake.in ${PROJECT_BINARY_DIR}/nnccConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/nnccConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/nnccConfig.cmake ${PROJECT_BINARY_DIR}/nnccConfigVersion.cmake
  ${CMAKE_CURRENT_LIST_DIR}/NnccAddModel.cmake DESTINATION ${package_dir})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/runtime/nn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h" PATTERN runtime_symbols.h EXCLUDE)
