# The flags of MEDPLUG_SANITIZE, for every target that is added from here on.

set(known address undefined thread)
foreach(sanitizer IN LISTS MEDPLUG_SANITIZE)
  if(NOT sanitizer IN_LIST known)
    message(FATAL_ERROR "MEDPLUG_SANITIZE: no sanitizer '${sanitizer}'; there are ${known}")
  endif()
endforeach()
if("thread" IN_LIST MEDPLUG_SANITIZE AND "address" IN_LIST MEDPLUG_SANITIZE)
  message(FATAL_ERROR "MEDPLUG_SANITIZE: thread and address exclude each other; build twice")
endif()

string(REPLACE ";" "," sanitizers "${MEDPLUG_SANITIZE}")
set(flags -fsanitize=${sanitizers} -fno-sanitize-recover=all)
if("undefined" IN_LIST MEDPLUG_SANITIZE) # the two that `undefined` leaves out
  list(APPEND flags -fsanitize=float-cast-overflow,float-divide-by-zero)
endif()
add_compile_options(${flags} -O1 -g -fno-omit-frame-pointer)
add_link_options(${flags})
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-maybe-uninitialized) # instrumented code misleads this warning
endif()
add_compile_definitions(_GLIBCXX_ASSERTIONS) # operator[] of a vector checks its index

set(CMAKE_INTERPROCEDURAL_OPTIMIZATION OFF) # said, so that pybind11 does not add its own
set(CMAKE_BUILD_TYPE Debug) # pybind11 strips the symbols of a release, and reports would name no lines
