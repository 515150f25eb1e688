# Files that are compiled together, some of one folder at a time: most of what a compiler does
# for one of ours is to instantiate what its neighbours want, too. So names in anonymous
# namespaces differ within a folder. Off by default: a file that changes takes its group along.
option(HEADRACE_UNITY "Compile files of a folder together" OFF)

# Sources of a target; those that match a regular expression after them stay alone.
function(headrace_unite target alone)
  if(NOT HEADRACE_UNITY)
    return()
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  foreach(source IN LISTS ARGN)
    if(alone AND source MATCHES "${alone}")
      continue()
    endif()
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY "${PROJECT_SOURCE_DIR}/src" OUTPUT_VARIABLE path)
    string(REGEX MATCH "^[^/]+" folder "${path}")
    math(EXPR count_${folder} "0${count_${folder}} + 1")
    math(EXPR group "(${count_${folder}} - 1) / 7")
    set_source_files_properties("${source}" TARGET_DIRECTORY ${target}
      PROPERTIES UNITY_GROUP "${folder}_${group}")
  endforeach()
endfunction()
