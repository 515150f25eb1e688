# Arrow C++ (with Parquet and compute) as Headrace::Arrow, S3 as Headrace::ArrowS3.
#
# pyarrow: headers and libraries of the wheel, so that a Python process holds one libarrow. The
# wheel has no CMake package and no unversioned links: the files are found by their suffix. The
# wheel is asked of Python3_EXECUTABLE, unless HEADRACE_PYARROW_ROOT names its folder.
# system: an installed Arrow, for C++-only builds.
if(HEADRACE_ARROW STREQUAL "system")
  find_package(Arrow 26 REQUIRED)
  find_package(ArrowCompute 26 REQUIRED)
  find_package(Parquet 26 REQUIRED)
  add_library(headrace_arrow INTERFACE)
  target_link_libraries(headrace_arrow INTERFACE
    Arrow::arrow_shared ArrowCompute::arrow_compute_shared Parquet::parquet_shared)
  add_library(Headrace::Arrow ALIAS headrace_arrow)
  set(HEADRACE_ARROW_INSTALL_TARGETS headrace_arrow)
elseif(HEADRACE_ARROW STREQUAL "pyarrow")
  if(HEADRACE_PYARROW_ROOT)
    set(HEADRACE_PYARROW_INCLUDE "${HEADRACE_PYARROW_ROOT}/include")
    set(HEADRACE_PYARROW_LIBRARY_DIR "${HEADRACE_PYARROW_ROOT}")
  else()
    find_package(Python3 3.11 REQUIRED COMPONENTS Interpreter)
    execute_process(
      COMMAND "${Python3_EXECUTABLE}" -c
        "import pyarrow; print(pyarrow.get_include(), pyarrow.get_library_dirs()[0], sep=';')"
      OUTPUT_VARIABLE pyarrow_facts OUTPUT_STRIP_TRAILING_WHITESPACE
      RESULT_VARIABLE pyarrow_missing)
    if(pyarrow_missing)
      message(FATAL_ERROR "pyarrow was not found by ${Python3_EXECUTABLE}: "
        "pip install 'pyarrow==26.*', or use -DHEADRACE_ARROW=system")
    endif()
    list(GET pyarrow_facts 0 HEADRACE_PYARROW_INCLUDE)
    list(GET pyarrow_facts 1 HEADRACE_PYARROW_LIBRARY_DIR)
  endif()
  file(STRINGS "${HEADRACE_PYARROW_INCLUDE}/arrow/util/config.h" arrow_version
    REGEX "^#define ARROW_VERSION_MAJOR ")
  if(NOT arrow_version MATCHES " 26$")
    message(FATAL_ERROR "pyarrow 26 is needed; ${HEADRACE_PYARROW_INCLUDE} says "
      "'${arrow_version}'")
  endif()
  function(headrace_import_arrow target stem)
    file(GLOB found "${HEADRACE_PYARROW_LIBRARY_DIR}/lib${stem}.so.*")
    if(NOT found)
      message(FATAL_ERROR "lib${stem}.so.* is not in ${HEADRACE_PYARROW_LIBRARY_DIR}")
    endif()
    list(GET found 0 location)
    add_library(${target} SHARED IMPORTED GLOBAL)
    set_target_properties(${target} PROPERTIES IMPORTED_LOCATION "${location}")
  endfunction()
  headrace_import_arrow(headrace_arrow_core arrow)
  headrace_import_arrow(headrace_arrow_compute arrow_compute)
  headrace_import_arrow(headrace_arrow_parquet parquet)
  add_library(Headrace::Arrow INTERFACE IMPORTED GLOBAL)
  target_include_directories(Headrace::Arrow SYSTEM INTERFACE "${HEADRACE_PYARROW_INCLUDE}")
  target_link_libraries(Headrace::Arrow INTERFACE
    headrace_arrow_core headrace_arrow_compute headrace_arrow_parquet)
  headrace_import_arrow(headrace_arrow_s3 arrow_s3)
  add_library(Headrace::ArrowS3 INTERFACE IMPORTED GLOBAL)
  target_link_libraries(Headrace::ArrowS3 INTERFACE Headrace::Arrow headrace_arrow_s3)
  list(APPEND CMAKE_BUILD_RPATH "${HEADRACE_PYARROW_LIBRARY_DIR}")
else()
  message(FATAL_ERROR "HEADRACE_ARROW is '${HEADRACE_ARROW}': expected pyarrow or system")
endif()
