# Lays the library, headers, CLI and CMake package out below one prefix: the wheel's package
# folder (lib/, include/, bin/), or any prefix of `cmake --install`.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(prefix "")
if(SKBUILD)
  set(prefix "headrace/")
endif()
install(TARGETS headrace EXPORT headraceTargets
  LIBRARY DESTINATION ${prefix}lib INCLUDES DESTINATION ${prefix}include)
if(TARGET headrace_s3)
  install(TARGETS headrace_s3 LIBRARY DESTINATION ${prefix}lib)
endif()
install(TARGETS headrace_supervisor RUNTIME DESTINATION ${prefix}lib)  # beside the library
install(DIRECTORY include/headrace DESTINATION ${prefix}include FILES_MATCHING PATTERN "*.h")
install(TARGETS headrace_cli RUNTIME DESTINATION ${prefix}bin)
install(EXPORT headraceTargets NAMESPACE headrace:: DESTINATION ${prefix}lib/cmake/headrace)
configure_package_config_file(cmake/headraceConfig.cmake.in headraceConfig.cmake
  INSTALL_DESTINATION ${prefix}lib/cmake/headrace)
write_basic_package_version_file(headraceConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  "${CMAKE_CURRENT_BINARY_DIR}/headraceConfig.cmake"
  "${CMAKE_CURRENT_BINARY_DIR}/headraceConfigVersion.cmake"
  cmake/HeadraceArrow.cmake
  DESTINATION ${prefix}lib/cmake/headrace)
