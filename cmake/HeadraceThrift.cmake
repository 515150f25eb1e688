# The part of the library that talks to Hive Metastores, as the object library headrace_hive: a
# Thrift client that is generated from src/catalog/hive/hive_metastore.thrift into the build
# folder, and those who use it. Its headers are seen by this part alone.
#
# Arrow's libparquet holds a Thrift of its own, of another version, whose symbols are visible:
# with libthrift in one process, reading footers frees what the other version's code made. So
# no libthrift is linked. The client is built on Thrift's headers with hidden symbols, and the
# little that they lack is in socket_transport.cc and thrift_runtime.cc. (Debian's static
# library does not link into shared ones.) What is generated besides, servers and a client for
# many threads, is not used, and its sections go.
find_program(THRIFT_COMPILER thrift REQUIRED)
find_path(THRIFT_INCLUDE_DIR thrift/Thrift.h REQUIRED)

set(hive_interface "${CMAKE_CURRENT_SOURCE_DIR}/src/catalog/hive/hive_metastore.thrift")
set(hive_generated "${CMAKE_CURRENT_BINARY_DIR}/generated/hive")
set(hive_client
  "${hive_generated}/hive_metastore_types.cpp" "${hive_generated}/ThriftHiveMetastore.cpp")
file(MAKE_DIRECTORY "${hive_generated}")
add_custom_command(
  OUTPUT ${hive_client}
    "${hive_generated}/hive_metastore_types.h" "${hive_generated}/ThriftHiveMetastore.h"
  COMMAND "${THRIFT_COMPILER}" --gen cpp:no_skeleton -out "${hive_generated}" "${hive_interface}"
  DEPENDS "${hive_interface}"
  VERBATIM)
set_source_files_properties(${hive_client} PROPERTIES COMPILE_OPTIONS "-w;-ffunction-sections;-fdata-sections")

set(hive_sources
  hive_catalog.cc hive_entry.cc metastore.cc socket_transport.cc thrift_runtime.cc)
list(TRANSFORM hive_sources PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/src/catalog/hive/")
add_library(headrace_hive OBJECT ${hive_sources} ${hive_client})
set_target_properties(headrace_hive PROPERTIES
  CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
target_include_directories(headrace_hive PRIVATE include src)
target_include_directories(headrace_hive SYSTEM PRIVATE
  "${hive_generated}" "${THRIFT_INCLUDE_DIR}")
target_link_libraries(headrace_hive PRIVATE
  Headrace::Arrow nlohmann_json::nlohmann_json headrace_options)
